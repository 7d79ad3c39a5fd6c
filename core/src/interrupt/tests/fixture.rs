//! A small machine: RAM with descriptor tables, a task-state segment and stacks, in real, protected
//! or IA-32e mode. Everything has a fixed place, so that tests are tables.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::Ram;
use crate::interrupt::FaultLog;
use crate::paging::Mmu;
use crate::state::{
    Access, CpuState, Cr0Flags, Cr4Flags, DescriptorTable, EferFlags, Exception, RFlags, Register,
    Segment, SegmentRegister, Vector,
};

/// Interrupt descriptor (or vector) table: 256 entries of 16 bytes.
pub const IDT: u64 = 0x5000;
/// Global descriptor table.
pub const GDT: u64 = 0x6000;
/// Task-state segment.
pub const TSS: u64 = 0x7000;
/// Local descriptor table, two entries.
pub const LDT: u64 = 0x8000;
/// Where the interrupted program's stack pointer is.
pub const STACK: u64 = 0x9000;
/// RSP0, or ESP0, in the task-state segment.
pub const STACK_0: u64 = 0xa000;
/// The first interrupt stack.
pub const IST_1: u64 = 0xb008;
/// Where the interrupted program is.
pub const RIP: u64 = 0x1234;
/// Where handlers are.
pub const HANDLER: u64 = 0x4321;
/// First linear address that no page maps (IA-32e mode).
pub const UNMAPPED: u64 = 0x4_0000;
const PAGE_TABLES: u64 = 0x1000;

/// 64-bit code, DPL 0.
pub const CODE_64: u16 = 0x08;
/// Data, DPL 0.
pub const DATA: u16 = 0x10;
/// 32-bit code, DPL 3.
pub const USER_CODE_32: u16 = 0x1b;
/// Data, DPL 3.
pub const USER_DATA: u16 = 0x23;
/// 64-bit code, DPL 3.
pub const USER_CODE_64: u16 = 0x2b;
/// 32-bit code, DPL 0.
pub const CODE_32: u16 = 0x30;
/// The task register's selector: sixteen bytes.
pub const TASK: u16 = 0x40;
/// A descriptor that a test writes: sixteen bytes.
pub const FREE: u16 = 0x50;
/// A selector beyond the table's limit.
pub const BEYOND: u16 = 0x60;
/// The first entry of the local descriptor table.
pub const LOCAL: u16 = 0x04;

/// Type bytes: P, DPL, S and type.
pub const CODE: u8 = 0x9b;
pub const CONFORMING: u8 = 0x9f;
pub const WRITABLE: u8 = 0x93;
pub const DPL_3: u8 = 0x60;
pub const PRESENT: u8 = 0x80;

/// A descriptor's flags: G, D/B, L, AVL in a nibble.
pub const FLAT_32: u8 = 0xc;
pub const FLAT_64: u8 = 0xa;
pub const SMALL_16: u8 = 0;

pub struct Machine {
    pub ram: Arc<Ram>,
    pub state: CpuState,
    pub mmu: Box<Mmu>,
    pub log: FaultLog,
}

/// A segment descriptor.
pub fn descriptor(base: u32, limit: u32, kind: u8, flags: u8) -> u64 {
    let (base, limit) = (u64::from(base), u64::from(limit));
    limit & 0xffff
        | (base & 0xff_ffff) << 16
        | u64::from(kind) << 40
        | (limit >> 16 & 0xf) << 48
        | u64::from(flags) << 52
        | (base >> 24) << 56
}

/// A flat segment.
pub fn flat(kind: u8, flags: u8) -> u64 {
    descriptor(0, 0xf_ffff, kind, flags)
}

/// The first eight bytes of a gate; `extra` is the IST or the number of parameters.
pub fn gate(selector: u16, offset: u64, kind: u8, extra: u8) -> u64 {
    offset & 0xffff
        | u64::from(selector) << 16
        | u64::from(extra) << 32
        | u64::from(kind) << 40
        | (offset >> 16 & 0xffff) << 48
}

/// An exception with an error code.
pub fn code(vector: Vector, error_code: u32) -> Exception {
    Exception::with_code(vector, error_code)
}

impl Machine {
    /// Real-address mode: each vector's handler is at `0:HANDLER`.
    pub fn real() -> Self {
        let mut machine = Self::bare();
        machine.state.idtr = DescriptorTable { base: IDT, limit: 0x3ff };
        machine.state.segments[SegmentRegister::Cs].base = 0;
        machine.state.segments[SegmentRegister::Cs].selector = 0;
        for vector in 0..256 {
            machine.poke(IDT + vector * 4, HANDLER as u32);
        }
        machine.mmu.update_mode(&machine.state);
        machine
    }

    /// Protected mode without paging at privilege level `cpl`, in flat 32-bit segments. All gates
    /// are 32-bit interrupt gates to `CODE_32:HANDLER`.
    pub fn protected(cpl: u8) -> Self {
        let mut machine = Self::bare();
        machine.tables(0xb);
        machine.state.control.cr0 |= Cr0Flags::PROTECTED_MODE_ENABLE;
        machine.state.idtr = DescriptorTable { base: IDT, limit: 256 * 8 - 1 };
        for vector in 0..256 {
            machine.poke(IDT + vector * 8, gate(CODE_32, HANDLER, 0x8e, 0));
        }
        machine.poke(TSS + 4, STACK_0 as u32);
        machine.poke(TSS + 8, DATA);
        machine.enter(cpl, if cpl == 3 { USER_CODE_32 } else { CODE_32 });
        machine
    }

    /// IA-32e mode at privilege level `cpl`, in 64-bit code. All gates are interrupt gates to
    /// `CODE_64:HANDLER`. Linear addresses up to `UNMAPPED` are physical ones and open to all.
    pub fn long(cpl: u8) -> Self {
        let mut machine = Self::bare();
        machine.tables(9);
        for table in 0..3 {
            machine.poke(PAGE_TABLES + table * 0x1000, PAGE_TABLES + (table + 1) * 0x1000 + 7);
        }
        for page in 0..UNMAPPED / 0x1000 {
            machine.poke(PAGE_TABLES + 0x3000 + page * 8, page * 0x1000 + 7);
        }
        let control = &mut machine.state.control;
        control.cr0 |= Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::PAGING | Cr0Flags::WRITE_PROTECT;
        control.cr4 |= Cr4Flags::PHYSICAL_ADDRESS_EXTENSION;
        control.cr3 = PAGE_TABLES;
        control.efer |= EferFlags::LONG_MODE_ENABLE
            | EferFlags::LONG_MODE_ACTIVE
            | EferFlags::SYSTEM_CALL_EXTENSIONS;
        machine.state.idtr = DescriptorTable { base: IDT, limit: 0xfff };
        for vector in 0..256 {
            machine.poke(IDT + vector * 16, gate(CODE_64, HANDLER, 0x8e, 0));
        }
        machine.poke(TSS + 4, STACK_0);
        machine.poke(TSS + 36, IST_1);
        machine.enter(cpl, if cpl == 3 { USER_CODE_64 } else { CODE_64 });
        machine
    }

    fn bare() -> Self {
        let ram = Arc::new(Ram::new(UNMAPPED as usize).expect("a few pages"));
        let mut state = CpuState::reset(0);
        state.rip = RIP;
        state.gpr[Register::Rsp] = STACK;
        Self { mmu: Mmu::new(ram.clone()), ram, state, log: FaultLog::new() }
    }

    /// The GDT, LDT and TSS, whose type in the table is `tss_kind`.
    fn tables(&mut self, tss_kind: u8) {
        let entries = [
            0,
            flat(CODE, FLAT_64),
            flat(WRITABLE, FLAT_32),
            flat(CODE | DPL_3, FLAT_32),
            flat(WRITABLE | DPL_3, FLAT_32),
            flat(CODE | DPL_3, FLAT_64),
            flat(CODE, FLAT_32),
            flat(CONFORMING, FLAT_32),
            descriptor(TSS as u32, 0x67, PRESENT | tss_kind, 0),
        ];
        for (index, entry) in (0..).zip(entries) {
            self.poke(GDT + index * 8, entry);
        }
        self.state.gdtr = DescriptorTable { base: GDT, limit: BEYOND - 1 };
        self.state.segments[SegmentRegister::Ldtr] =
            Segment { base: LDT, limit: 15, access: Access(0x82), selector: 0 };
        self.state.segments[SegmentRegister::Tr] =
            Segment { base: TSS, limit: 0x67, access: Access(0x8b), selector: TASK };
    }

    /// Loads flat segments of privilege level `cpl`.
    pub fn enter(&mut self, cpl: u8, code: u16) {
        let data = if cpl == 3 { USER_DATA } else { DATA };
        use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
        for (register, selector) in
            [(Cs, code), (Ss, data), (Ds, data), (Es, data), (Fs, data), (Gs, data)]
        {
            let raw: u64 = self.peek(GDT + u64::from(selector & !7));
            self.state.segments[register] = Segment {
                base: 0,
                limit: u32::MAX,
                access: Access::from_descriptor_high((raw >> 32) as u32),
                selector,
            };
        }
        self.mmu.update_mode(&self.state);
    }

    /// Takes all pages from user mode (IA-32e mode).
    pub fn hide_from_user(&mut self) {
        self.poke(PAGE_TABLES, PAGE_TABLES + 0x1000 + 3);
    }

    /// Writes the test's own descriptor, of which `upper` is the second half.
    pub fn free(&mut self, raw: u64, upper: u64) {
        self.poke(GDT + u64::from(FREE), raw);
        self.poke(GDT + u64::from(FREE) + 8, upper);
    }

    /// Writes a gate of the current mode's IDT.
    pub fn idt(&mut self, vector: u8, raw: u64) {
        let size = if self.state.long_mode() { 16 } else { 8 };
        self.poke(IDT + u64::from(vector) * size, raw);
    }

    /// Writes a value to physical memory.
    pub fn poke<T: Bytes>(&mut self, address: u64, value: T) {
        assert!(value.with_bytes(|bytes| self.ram.write(address, bytes)));
    }

    /// Reads a value from physical memory.
    pub fn peek<T: Bytes>(&self, address: u64) -> T {
        T::from_bytes(|bytes| assert!(self.ram.read(address, bytes)))
    }

    /// Items of the frame at the stack pointer, lowest first.
    pub fn frame<T: Bytes + Into<u64>, const N: usize>(&self) -> [u64; N] {
        let start = self.state.gpr[Register::Rsp];
        core::array::from_fn(|index| self.peek::<T>(start + (index * size_of::<T>()) as u64).into())
    }

    /// Writes items of a frame at the stack pointer, lowest first.
    pub fn set_frame<T: Bytes + Copy>(&mut self, items: &[T]) {
        let start = self.state.gpr[Register::Rsp];
        for (index, &item) in items.iter().enumerate() {
            self.poke(start + (index * size_of::<T>()) as u64, item);
        }
    }

    /// Runs `change`, and asserts that it raises `expected` and leaves the state alone.
    pub fn assert_raises(
        &mut self,
        expected: Exception,
        change: impl FnOnce(&mut CpuState, &mut Mmu) -> Result<(), Exception>,
    ) {
        let before = self.state.clone();
        assert_eq!(change(&mut self.state, &mut self.mmu), Err(expected));
        assert_eq!(self.state, before);
    }

    pub fn set_flags(&mut self, flags: RFlags) {
        self.state.rflags |= flags;
    }
}

/// Integers as little-endian bytes.
pub trait Bytes: Sized {
    fn with_bytes<R>(self, use_bytes: impl FnOnce(&[u8]) -> R) -> R;
    fn from_bytes(fill: impl FnOnce(&mut [u8])) -> Self;
}

macro_rules! bytes {
    ($($type:ty),*) => {$(
        impl Bytes for $type {
            fn with_bytes<R>(self, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
                use_bytes(&self.to_le_bytes())
            }
            fn from_bytes(fill: impl FnOnce(&mut [u8])) -> Self {
                let mut bytes = [0; size_of::<$type>()];
                fill(&mut bytes);
                Self::from_le_bytes(bytes)
            }
        }
    )*};
}

bytes!(u8, u16, u32, u64);
