//! A processor in 64-bit mode with a few pages of memory, for tests that execute instructions.
//!
//! The first 2 MiB are memory, and mapped as they are; nothing else is mapped. The interrupt descriptor table is empty, so that an
//! exception ends in a triple fault with the first one in the fault log.

#![allow(dead_code, reason = "each test uses its part")]

pub mod extended;
pub mod fpu;
pub mod guest;
#[cfg(target_arch = "x86_64")]
pub mod native;
pub mod numbers;
pub mod threads;

use std::sync::Arc;

use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, EferFlags, Exception, Register, SegmentRegister,
};
use monovisor_core::{Cause, CpuState, Exit, InstructionClock, Ram, Vcpu};

/// Where code goes.
pub const CODE: u64 = 0x1_0000;
/// Where data goes: the start of two pages.
pub const DATA: u64 = 0x2_0000;
/// Top of the stack.
pub const STACK: u64 = 0x8_0000;

const MEMORY_BYTES: usize = 2 << 20;
const TABLES: u64 = 0x1000;
const PRESENT_WRITABLE_USER: u64 = 7;
const LARGE_PAGE: u64 = 0x80;
const HLT: u8 = 0xf4;

/// A vCPU, its memory and the state that each test starts from.
pub struct Machine {
    pub ram: Arc<Ram>,
    pub vcpu: Vcpu,
    /// What [`execute`](Self::execute) starts from.
    pub state: CpuState,
}

/// What became of an instruction.
#[derive(Debug)]
pub enum Outcome {
    /// It completed; the vCPU has the state behind it.
    Completed,
    /// It raised this.
    Raised(Exception),
}

impl Outcome {
    /// What was raised.
    pub fn raised(self) -> Option<Exception> {
        match self {
            Self::Completed => None,
            Self::Raised(exception) => Some(exception),
        }
    }
}

impl Machine {
    pub fn new() -> Self {
        let ram = Arc::new(Ram::new(MEMORY_BYTES).expect("memory"));
        for (level, entry) in [TABLES + 0x1000, TABLES + 0x2000].into_iter().enumerate() {
            let table = TABLES + 0x1000 * level as u64;
            ram.write(table, &(entry | PRESENT_WRITABLE_USER).to_le_bytes());
        }
        let directory = TABLES + 0x2000;
        ram.write(directory, &(LARGE_PAGE | PRESENT_WRITABLE_USER).to_le_bytes());
        let vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
        Self { ram, vcpu, state: long_mode() }
    }

    /// Puts `code` in place, and HLT behind it.
    pub fn assemble(&mut self, code: &[u8]) {
        let code = [code, &[HLT]].concat();
        self.ram.write(CODE, &code);
        self.vcpu.memory_written(CODE, code.len() as u64);
    }

    /// Executes what was assembled from `state` on, up to its HLT.
    pub fn execute(&mut self) -> Outcome {
        self.vcpu.set_state(&self.state);
        match self.vcpu.run(10_000) {
            Exit::Halted => Outcome::Completed,
            Exit::TripleFault => Outcome::Raised(self.last_exception()),
            other => panic!("left with {other:?}"),
        }
    }

    /// The last exception that did not come of another's delivery.
    fn last_exception(&self) -> Exception {
        let log = self.vcpu.fault_log();
        let last = log.iter().filter(|delivery| !delivery.nested).last();
        match last.expect("a triple fault begins with an exception").cause {
            Cause::Exception(exception) => exception,
            other => panic!("{other:?} was delivered"),
        }
    }
}

/// A flat 64-bit mode at CPL 0 with SSE and its exceptions enabled.
pub fn long_mode() -> CpuState {
    let mut state = CpuState::reset(0);
    state.control.cr3 = TABLES;
    state.control.cr0 = Cr0Flags::PAGING
        | Cr0Flags::PROTECTED_MODE_ENABLE
        | Cr0Flags::EXTENSION_TYPE
        | Cr0Flags::NUMERIC_ERROR;
    state.control.cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE
        | Cr4Flags::OSXSAVE;
    state.control.efer = EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
    state.idtr.limit = 0;
    for register in SegmentRegister::ALL {
        let segment = &mut state.segments[register];
        segment.base = 0;
        segment.limit = u32::MAX;
        // 64-bit code, and writable data.
        segment.access = Access(if register == SegmentRegister::Cs { 0xa09b } else { 0xc093 });
    }
    state.segments[SegmentRegister::Tr].access = Access(0x8b);
    state.segments[SegmentRegister::Ldtr].access = Access(0x82);
    state.rip = CODE;
    state.gpr[Register::Rsp] = STACK;
    state
}
