//! Tests of the paging floor: one file per property. Here is the guest that they share.

mod accessed_dirty;
mod code;
mod cost;
mod crossing;
mod devices;
mod explain;
mod flush;
mod formats;
mod keys;
mod levels;
mod locked;
mod reference;
mod rights;
mod sharing;
mod structures;

extern crate std;

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::{AccessError, AccessKind, Mmu, Privilege};
use crate::CpuState;
use crate::memory::{GuestMemory, HostPage, Ram, Width};
use crate::state::{Cr0Flags, Cr4Flags, EferFlags, Exception, RFlags, SegmentRegister};

// Entry flags, by the manual's names.
pub(super) const P: u64 = 1;
pub(super) const W: u64 = 2;
pub(super) const U: u64 = 4;
pub(super) const A: u64 = 1 << 5;
pub(super) const D: u64 = 1 << 6;
pub(super) const PS: u64 = 1 << 7;
pub(super) const G: u64 = 1 << 8;
pub(super) const NX: u64 = 1 << 63;

pub(super) const RAM_BYTES: usize = 1 << 18;
/// Where the structures of the guest's own 4-level tables are.
pub(super) const PML4: u64 = 0x1000;
pub(super) const PDPT: u64 = 0x2000;
pub(super) const PD: u64 = 0x3000;
pub(super) const PT: u64 = 0x4000;

/// RAM whose pages from `rom_start` on are read-only.
pub(super) struct Memory {
    ram: Ram,
    size_bytes: usize,
    rom_start: u64,
}

// SAFETY: the pages are `Ram`'s.
unsafe impl GuestMemory for Memory {
    fn page(&self, address: u64) -> Option<HostPage> {
        let page = self.ram.page(address)?;
        Some(HostPage { writable: address < self.rom_start, ..page })
    }
}

/// A machine with 256 KiB of RAM and one vCPU in 64-bit mode at CPL 0, whose linear addresses 0 to
/// 2 MiB go through one page table.
pub(super) struct Guest {
    pub(super) memory: Arc<Memory>,
    pub(super) state: CpuState,
    pub(super) mmu: Box<Mmu>,
}

impl Guest {
    pub(super) fn new() -> Self {
        Self::with_memory(RAM_BYTES, u64::MAX)
    }

    pub(super) fn with_memory(size_bytes: usize, rom_start: u64) -> Self {
        let ram = Ram::new(size_bytes).expect("so little memory");
        let memory = Arc::new(Memory { ram, size_bytes, rom_start });
        let mut state = CpuState::reset(0);
        state.control.cr0 =
            Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::PAGING | Cr0Flags::WRITE_PROTECT;
        state.control.cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::PAGE_GLOBAL;
        state.control.efer = EferFlags::LONG_MODE_ENABLE
            | EferFlags::LONG_MODE_ACTIVE
            | EferFlags::NO_EXECUTE_ENABLE;
        state.control.cr3 = PML4;
        let mut guest = Self { mmu: Mmu::new(memory.clone()), memory, state };
        guest.poke(PML4, PDPT | P | W | U);
        guest.poke(PDPT, PD | P | W | U);
        guest.poke(PD, PT | P | W | U);
        guest.sync();
        guest
    }

    /// Maps the page at `linear`, below 2 MiB, by a page-table entry.
    pub(super) fn map(&mut self, linear: u64, entry: u64) {
        self.poke(PT + (linear >> 12) * 8, entry);
    }

    /// The page-table entry of `linear`.
    pub(super) fn entry(&self, linear: u64) -> u64 {
        self.peek(PT + (linear >> 12) * 8)
    }

    pub(super) fn poke(&self, physical: u64, value: u64) {
        assert!(self.memory.ram.write(physical, &value.to_le_bytes()));
    }

    pub(super) fn poke32(&self, physical: u64, value: u32) {
        assert!(self.memory.ram.write(physical, &value.to_le_bytes()));
    }

    pub(super) fn peek(&self, physical: u64) -> u64 {
        let mut bytes = [0; 8];
        assert!(self.memory.ram.read(physical, &mut bytes));
        u64::from_le_bytes(bytes)
    }

    /// All of RAM.
    pub(super) fn dump(&self) -> std::vec::Vec<u8> {
        let mut bytes = std::vec![0; self.memory.size_bytes];
        assert!(self.memory.ram.read(0, &mut bytes));
        bytes
    }

    pub(super) fn set_cpl(&mut self, cpl: u8) {
        let ss = &mut self.state.segments[SegmentRegister::Ss];
        ss.access = ss.access.with_dpl(cpl);
        self.sync();
    }

    pub(super) fn set_ac(&mut self, on: bool) {
        self.state.rflags.set(RFlags::ALIGNMENT_CHECK, on);
        self.sync();
    }

    pub(super) fn set_cr4(&mut self, flags: Cr4Flags, on: bool) {
        self.state.control.cr4.set(flags, on);
        self.sync();
    }

    pub(super) fn sync(&mut self) {
        self.mmu.update_mode(&self.state);
    }

    /// Loads the PDPTE registers as MOV to CR3 does.
    pub(super) fn load_pointers(&mut self) -> Result<(), Exception> {
        let cr3 = self.state.control.cr3;
        self.mmu.load_pointers(&mut self.state, cr3)
    }

    /// Loads the PDPTE registers without a check.
    pub(super) fn adopt_pointers(&mut self) {
        self.state.control.pdptes = None;
        self.mmu.adopt_pointers(&mut self.state);
    }

    pub(super) fn read<T: Width>(&mut self, linear: u64) -> Result<T, AccessError> {
        self.mmu.read(&self.state, linear, Privilege::Current)
    }

    pub(super) fn write<T: Width>(&mut self, linear: u64, value: T) -> Result<(), AccessError> {
        self.mmu.write(&self.state, linear, value, Privilege::Current)
    }

    pub(super) fn access(&mut self, linear: u64, kind: AccessKind) -> Result<(), AccessError> {
        self.mmu.probe(&self.state, linear, 1, kind, Privilege::Current)
    }

    /// Whether the active TLB serves the access, as the interpreter's operations ask it.
    pub(super) fn hits(&self, linear: u64, kind: AccessKind) -> bool {
        let tlb = &self.mmu.tlbs[self.mmu.active / size_of::<super::Tlb>()];
        tlb.lookup(linear, 1, kind).is_some()
    }
}

/// The error of a page fault at `linear`.
pub(super) fn page_fault(linear: u64, error_code: u32) -> AccessError {
    AccessError::Exception(Exception::page_fault(linear, error_code))
}
