//! A guest in a chosen mode, which executes a few bytes of code.
//!
//! There is no interrupt descriptor table, so an exception ends the guest with a triple fault that
//! leaves the registers as the instruction found them; the log tells the exception.

use std::sync::Arc;

use monovisor_core::state::{
    Access, Activity, Cr0Flags, Cr4Flags, DescriptorTable, EferFlags, Exception, RFlags, Register,
    SegmentRegister,
};
use monovisor_core::{Cause, CpuState, Exit, InstructionClock, Ram, Vcpu};

/// Where code is put.
pub const CODE: u64 = 0x10000;
/// RAM for operands; 64 KiB and more.
pub const DATA: u64 = 0x20_0000;
/// Initial stack pointer.
pub const STACK: u64 = 0x8_0000;
/// Two MiB that are mapped by 4 KiB pages, which [`Guest::map`] changes.
pub const PAGES: u64 = 0x40_0000;
/// A page table.
const PAGE_TABLE: u64 = 0x4000;
/// Writable, for user mode too.
pub const WRITABLE: u64 = 7;

/// How a few instructions ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// They are all complete.
    Done,
    /// One of them raised this.
    Fault(Exception),
    /// One of them asks something of the host.
    Exit(Exit),
}

/// A guest.
pub struct Guest {
    pub ram: Arc<Ram>,
    pub vcpu: Vcpu,
    pub state: CpuState,
}

impl Guest {
    fn new(state: CpuState) -> Self {
        let ram = Arc::new(Ram::new(8 << 20).expect("memory"));
        for (address, entry) in [(0x1000_u64, 0x2000 | WRITABLE), (0x2000, 0x3000 | WRITABLE)] {
            ram.write(address, &entry.to_le_bytes());
        }
        for page in 0..4_u64 {
            let large = page << 21 | 0x80 | WRITABLE;
            let entry = if page << 21 == PAGES { PAGE_TABLE | WRITABLE } else { large };
            ram.write(0x3000 + page * 8, &entry.to_le_bytes());
        }
        let state = CpuState { idtr: DescriptorTable::default(), ..state };
        let vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
        let mut guest = Self { ram, vcpu, state };
        for page in 0..512 {
            guest.map(PAGES + page * 0x1000, WRITABLE);
        }
        guest
    }

    /// 64-bit mode at privilege level 0, with the first 8 MiB mapped to themselves.
    pub fn long_mode() -> Self {
        Self::with_code(0xa09b, 0)
    }

    /// 64-bit mode at privilege level 3.
    pub fn user_mode() -> Self {
        Self::with_code(0xa09b, 3)
    }

    /// Compatibility mode at privilege level 0: 32-bit code.
    pub fn compatibility() -> Self {
        Self::with_code(0xc09b, 0)
    }

    /// A code segment with these rights in IA-32e mode.
    fn with_code(rights: u32, cpl: u8) -> Self {
        let mut state = CpuState::reset(0);
        state.control.cr3 = 0x1000;
        state.control.cr0 |= Cr0Flags::PAGING | Cr0Flags::PROTECTED_MODE_ENABLE;
        state.control.cr4 |= Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR;
        state.control.efer |= EferFlags::LONG_MODE_ENABLE
            | EferFlags::LONG_MODE_ACTIVE
            | EferFlags::SYSTEM_CALL_EXTENSIONS;
        flat(&mut state, rights, cpl);
        Self::new(state)
    }

    /// 32-bit protected mode without paging, at privilege level 0.
    pub fn protected() -> Self {
        let mut state = CpuState::reset(0);
        state.control.cr0 |= Cr0Flags::PROTECTED_MODE_ENABLE;
        flat(&mut state, 0xc09b, 0);
        Self::new(state)
    }

    /// Real-address mode with all segments at 0x10000, where [`CODE`] is.
    pub fn real_mode() -> Self {
        let mut state = CpuState::reset(0);
        for register in SegmentRegister::ALL {
            if !matches!(register, SegmentRegister::Ldtr | SegmentRegister::Tr) {
                state.segments[register].selector = (CODE >> 4) as u16;
                state.segments[register].base = CODE;
            }
        }
        state.rip = 0;
        state.gpr[Register::Rsp] = 0xfff0;
        Self::new(state)
    }

    /// Virtual-8086 mode without paging, with all segments at 0x10000, where [`CODE`] is, and IOPL 0.
    pub fn virtual_8086() -> Self {
        let mut guest = Self::real_mode();
        let state = &mut guest.state;
        state.control.cr0 |= Cr0Flags::PROTECTED_MODE_ENABLE;
        state.rflags = RFlags::VIRTUAL_8086_MODE | RFlags::from_bits_retain(2);
        use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
        for register in [Cs, Ss, Ds, Es, Fs, Gs] {
            let segment = &mut state.segments[register];
            (segment.base, segment.selector) = (CODE, (CODE >> 4) as u16);
            (segment.limit, segment.access) = (0xffff, Access(0xf3));
        }
        guest
    }

    /// Maps the page at `linear`, in [`PAGES`], to itself with these flags.
    pub fn map(&mut self, linear: u64, flags: u64) {
        self.map_to(linear, linear, flags);
    }

    /// Maps the page at `linear`, in [`PAGES`], to the one at `physical` with these flags.
    pub fn map_to(&mut self, linear: u64, physical: u64, flags: u64) {
        let entry = PAGE_TABLE + (linear - PAGES) / 0x1000 * 8;
        self.ram.write(entry, &(physical | flags).to_le_bytes());
    }

    /// Executes `code` from a freshly set state until it has come to its end.
    pub fn run(&mut self, code: &[u8]) -> End {
        const HLT: u8 = 0xf4;
        let linear = self.state.segments[SegmentRegister::Cs].base + self.state.rip;
        self.ram.write(linear, &[code, &[HLT]].concat());
        self.vcpu.memory_written(linear, code.len() as u64 + 1);
        let end = self.state.rip + code.len() as u64;
        self.state.activity = Activity::Active;
        self.vcpu.set_state(&self.state);
        self.resume(end)
    }

    /// As [`run`](Self::run) at [`CODE`], instruction by instruction, where none is executed together
    /// with another.
    pub fn step_through(&mut self, code: &[u8]) {
        const HLT: u8 = 0xf4;
        self.ram.write(CODE, &[code, &[HLT]].concat());
        self.vcpu.memory_written(CODE, code.len() as u64 + 1);
        self.state.activity = Activity::Active;
        self.vcpu.set_state(&self.state);
        while let Exit::Budget = self.vcpu.step() {}
        self.state = self.vcpu.state().clone();
    }

    /// Goes on until the HLT at `end`, which privilege level 3 may not execute.
    pub fn resume(&mut self, end: u64) -> End {
        let exit = loop {
            match self.vcpu.run(100_000) {
                Exit::Budget => {}
                exit => break exit,
            }
        };
        self.state = self.vcpu.state().clone();
        let log = self.vcpu.fault_log().iter().filter(|delivery| !delivery.nested);
        let fault = log.last().map(|delivery| delivery.cause);
        match (exit, fault) {
            (Exit::Halted, _) => End::Done,
            (Exit::TripleFault, _) if self.state.rip == end => End::Done,
            (Exit::TripleFault, Some(Cause::Exception(exception))) => End::Fault(exception),
            (exit, _) => End::Exit(exit),
        }
    }

    /// A register.
    pub fn get(&self, register: Register) -> u64 {
        self.state.gpr[register]
    }

    /// Sets a register.
    pub fn set(&mut self, register: Register, value: u64) {
        self.state.gpr[register] = value;
    }

    /// Reads guest memory.
    pub fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        assert!(self.ram.read(address, &mut bytes), "{address:#x} is RAM");
        bytes
    }
}

fn flat(state: &mut CpuState, code_rights: u32, cpl: u8) {
    use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
    for register in [Cs, Ss, Ds, Es, Fs, Gs] {
        let rights = if register == Cs { code_rights } else { 0xc093 };
        let segment = &mut state.segments[register];
        segment.base = 0;
        segment.limit = u32::MAX;
        segment.access = Access(rights).with_dpl(cpl);
        segment.selector = if register == Cs { 8 } else { 16 } | u16::from(cpl);
    }
    state.rip = CODE;
    state.rflags = RFlags::from_bits_retain(2);
    state.gpr[Register::Rsp] = STACK;
}
