//! Guest-virtual to guest-physical to host: the memory-management unit of one vCPU.
//!
//! Here are translation, the TLBs, and memory accesses of any width and alignment with the faults
//! they raise. Segmentation is not: a linear address comes in, already wrapped to 32 bits where the
//! code segment is a 32-bit one in IA-32e mode. Nor is the delivery of the faults.
//!
//! Invariant: a TLB entry never permits more than a fresh walk would, as far as the architecture
//! demands it: whoever changes CR3 flushes, whoever changes CR0, CR4 or EFER calls
//! `Mmu::update_mode`, which does. All functions take the state as it is for the access.

mod data;
mod device_page;
mod devices;
mod explain;
mod fault;
mod gibibytes;
mod keys;
mod locked;
mod mode;
mod pointers;
mod regions;
mod rights;
mod shared_code;
mod sharing;
mod structures;
#[cfg(test)]
mod tests;
mod tlb;
mod translate;
mod walk;
mod watch;
mod watchpoint;

use alloc::boxed::Box;
use alloc::sync::Arc;

pub use explain::{Denial, Outcome, Walk, WalkEntry, explain};
pub use mode::{
    LINEAR_ADDRESS_BITS, PHYSICAL_ADDRESS_BITS, PagingMode, WIDEST_LINEAR_ADDRESS_BITS,
    is_canonical, linear_address_bits,
};
pub use rights::AccessKind;
pub use shared_code::SharedCode;
pub use walk::Level;

pub(crate) use devices::DeviceAccesses;
pub(crate) use fault::AccessError;
pub(crate) use gibibytes::Gibibytes;
pub(crate) use locked::Update;
pub(crate) use mode::repeats_highest;
pub(crate) use rights::Privilege;
pub(crate) use tlb::{Tlb, TlbEntry};
pub(crate) use translate::FetchPage;
pub(crate) use watch::{CodeWatch, chunks, pages};

use crate::memory::{GuestMemory, PAGE_SIZE};
use crate::state::Debug;
use crate::{Access, CpuState, Space};
use device_page::DevicePage;
use keys::Keys;
use locked::Locking;
use mode::{Mode, ModeKey};
use regions::Regions;
use rights::{Permissions, View};
use sharing::Sharing;
use structures::StructureCache;
use tlb::Filled;
use watchpoint::Watchpoints;

/// No page's address.
const NOWHERE: u64 = u64::MAX;

/// The memory-management unit of one vCPU.
#[repr(C)]
pub(crate) struct Mmu {
    /// One TLB for each `View`, in its order.
    pub(crate) tlbs: [Tlb; View::COUNT],
    /// Byte offset in `tlbs` of the one that serves the current privilege level.
    pub(crate) active: usize,
    /// Device accesses of the current instruction.
    pub(crate) devices: DeviceAccesses,
    /// Pages with translated code.
    pub(crate) code: CodeWatch,
    /// The vCPU's loop has something to look at before the next instruction: device writes, answers
    /// that were used, code that was written, or breakpoints that were hit.
    pub(crate) attention: bool,
    /// How often more than a page's translations have been forgotten.
    pub(crate) flushes: u64,
    memory: Arc<dyn GuestMemory>,
    filled: [Filled; View::COUNT],
    structures: StructureCache,
    regions: Regions,
    device_page: DevicePage,
    /// Guest-physical address of the local APIC's page, which hides RAM behind it; no page's if there
    /// is none.
    local_apic: u64,
    watchpoints: Watchpoints,
    /// This vCPU's place among others, if there are any.
    sharing: Option<Sharing>,
    locking: Locking,
    /// What the control registers said at the last `update_mode`; the TLBs agree with it.
    mode: Mode,
    permissions: Permissions,
    keys: Keys,
    /// Width of the processor's linear addresses, whatever mode it is in.
    linear_bits: u32,
}

impl Mmu {
    /// With empty TLBs, in the mode that a processor is reset to.
    pub(crate) fn new(memory: Arc<dyn GuestMemory>) -> Box<Self> {
        let mode = Mode::of(&CpuState::reset(0));
        Box::new(Self {
            tlbs: [Tlb::EMPTY; View::COUNT],
            active: View::Supervisor as usize * size_of::<Tlb>(),
            devices: DeviceAccesses::default(),
            code: CodeWatch::new(),
            attention: false,
            flushes: 0,
            memory,
            filled: [Filled::NOTHING; View::COUNT],
            structures: StructureCache::new(),
            regions: Regions::new(),
            device_page: DevicePage::NONE,
            local_apic: NOWHERE,
            watchpoints: Watchpoints::default(),
            sharing: None,
            locking: Locking::alone(),
            permissions: Permissions::of(&mode),
            keys: Keys::default(),
            linear_bits: WIDEST_LINEAR_ADDRESS_BITS,
            mode,
        })
    }

    /// Makes it one of a processor whose linear addresses have so many bits.
    pub(crate) fn set_linear_bits(&mut self, bits: u32) {
        self.linear_bits = bits;
    }

    /// Whether a register that is loaded ahead of its use takes the address: a segment's or a table's base,
    /// or what INVPCID is to forget. Its width there is the processor's, whatever the paging mode is.
    pub(crate) fn takes_base(&self, linear: u64) -> bool {
        repeats_highest(linear, self.linear_bits)
    }

    /// Chooses the active TLB. To be called after any change of CPL, EFLAGS.AC, CR0, CR4, EFER,
    /// PKRU or IA32_PKRS; a change of control bits that translations depend on empties the TLBs.
    #[inline]
    pub(crate) fn update_mode(&mut self, state: &CpuState) {
        if self.mode.key != ModeKey::of(state) {
            self.change_mode(state);
        }
        if self.mode.keyed && self.keys != Keys::of(state) {
            self.change_keys(state);
        }
        self.active = View::of(state, Privilege::Current) as usize * size_of::<Tlb>();
    }

    #[cold]
    fn change_mode(&mut self, state: &CpuState) {
        self.flush_all();
        self.mode = Mode::of(state);
        self.permissions = Permissions::of(&self.mode);
        self.keys = Keys::of(state);
    }

    /// The entries of the active TLB, in the order of their indices.
    #[inline]
    pub(crate) fn active_entries(&mut self) -> *mut TlbEntry {
        let view = self.active / size_of::<Tlb>();
        self.tlbs[view % View::COUNT].0.as_mut_ptr()
    }

    /// Which of three sets of access rights is current: user mode's, supervisor mode's, or those of
    /// supervisor mode with EFLAGS.AC and SMAP. Whatever is kept by linear address for longer than
    /// an instruction must be kept apart for them.
    #[inline]
    pub(crate) fn active_index(&self) -> usize {
        let view = self.active / size_of::<Tlb>();
        if view == View::UserAligned as usize { View::User as usize } else { view }
    }

    /// Empties the TLBs and the paging-structure cache, global pages included.
    pub(crate) fn flush_all(&mut self) {
        self.flush(false);
    }

    /// Empties the TLBs but for global pages, and the paging-structure cache: MOV to CR3.
    pub(crate) fn flush_non_global(&mut self) {
        self.flush(true);
    }

    fn flush(&mut self, keep_global: bool) {
        self.flushes += 1;
        for (filled, tlb) in self.filled.iter_mut().zip(&mut self.tlbs) {
            filled.flush(tlb, keep_global);
        }
        self.device_page = DevicePage::NONE;
        self.structures.flush();
    }

    /// Forgets the page of any size that contains `linear`, global or not, and the
    /// paging-structure cache: INVLPG. Whatever else is kept by linear address is the caller's
    /// business.
    pub(crate) fn flush_page(&mut self, linear: u64) {
        for (filled, tlb) in self.filled.iter_mut().zip(&mut self.tlbs) {
            filled.flush_page(tlb, linear);
        }
        self.device_page = DevicePage::NONE;
        self.structures.flush();
    }

    /// Follows a change of the debug registers: watches the data that they name from now on.
    pub(crate) fn watch_data(&mut self, debug: &Debug) {
        let watchpoints = Watchpoints::of(debug);
        if !self.watchpoints.watch_as(&watchpoints) {
            self.watchpoints = watchpoints;
            self.flush_all();
        }
    }

    /// Follows the local APIC's page to where it is now, if there is one: this processor's accesses to it
    /// reach no RAM (SDM, "Relocating the Local APIC Registers").
    pub(crate) fn place_local_apic(&mut self, page: Option<u64>) {
        let page = page.unwrap_or(NOWHERE);
        if page != self.local_apic {
            self.local_apic = page;
            self.flush_all();
        }
    }

    /// Notes an access to `bytes` ports from `port` on, where breakpoints can be on them.
    pub(crate) fn note_port(&mut self, port: u16, bytes: usize) {
        self.watchpoints.note_port(port, bytes);
    }

    /// The data and I/O breakpoints that were hit since the last call, in the places of DR6.
    pub(crate) fn take_data_breakpoints(&mut self) -> u8 {
        self.watchpoints.take_hits()
    }

    /// Records writes to these chunks of 64 bytes of the physical page `page` from now on, beside
    /// those already watched. `false` if there is no room for another page: then nothing is watched
    /// anew, and the caller has to forget some code.
    #[must_use]
    pub(crate) fn watch(&mut self, page: u64, mask: u64) -> bool {
        let unwatched = self.code.mask(page) == 0;
        if !self.code.add(page, mask) {
            return false;
        }
        // A page that was watched before has no write tags.
        if unwatched {
            self.stop_writing(page);
        }
        true
    }

    /// Records a write to RAM within one page if it touched translated code.
    #[inline]
    fn note_code(&mut self, physical: u64, length: u32) {
        self.attention |= self.code.note(physical & !0xfff, chunks(physical, length));
        self.tell_written(physical, length);
    }

    /// Reads from a device.
    ///
    /// # Errors
    /// The access, if the host has to be asked first.
    pub(crate) fn device_read(&mut self, access: Access) -> Result<u64, Access> {
        let data = self.devices.read(access)?;
        self.attention |= self.devices.keeps_answers();
        Ok(data)
    }

    /// The register of a device that `size` bytes at `linear`, all in one page, are for this kind of
    /// access at the current privilege level: `None` if that is not known by heart.
    #[inline]
    pub(crate) fn device_register(
        &self,
        state: &CpuState,
        linear: u64,
        kind: AccessKind,
        size: usize,
    ) -> Option<Access> {
        let page = self.device_page.find(linear, kind, View::of(state, Privilege::Current))?;
        let address = page + linear % PAGE_SIZE;
        (size <= 8).then_some(Access { space: Space::Memory, address, size: size as u8 })
    }

    /// Queues a write to a device.
    pub(crate) fn device_write(&mut self, access: Access, data: u64) {
        self.devices.write(access, data);
        self.attention = true;
    }
}
