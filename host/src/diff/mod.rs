//! Differences between two engines that have executed the same: which there are ([`compare`]), which
//! of them are legitimate ([`legitimate`]), and how they are told ([`report`]). Who executes what is
//! `engine::lockstep`'s business.

pub mod compare;
pub mod legitimate;
pub mod report;

use iced_x86::{Decoder, DecoderOptions, Instruction};
use monovisor_core::CpuState;
use monovisor_core::paging::{Outcome, explain};
use monovisor_core::state::SegmentRegister;

use crate::memory::GuestRam;
pub use compare::Difference;

/// The longest instruction (SDM, "Instruction Format").
const MAX_INSTRUCTION_BYTES: u64 = 15;

/// An instruction about to be executed.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its offset in the code segment.
    pub rip: u64,
    /// The privilege level.
    pub cpl: u8,
    /// The instruction; invalid where there is no code.
    pub instruction: Instruction,
}

impl Site {
    /// The instruction that `state` is about to execute.
    pub fn of(state: &CpuState, ram: &GuestRam) -> Self {
        let bytes = code(state, ram);
        let mut decoder =
            Decoder::with_ip(state.bitness(), &bytes, state.rip, DecoderOptions::NONE);
        Self { rip: state.rip, cpl: state.cpl(), instruction: decoder.decode() }
    }

    /// Whether it is a string instruction with a repeat prefix.
    pub fn repeats(&self) -> bool {
        self.instruction.is_string_instruction()
            && (self.instruction.has_rep_prefix() || self.instruction.has_repne_prefix())
    }
}

/// What the instruction stream holds at the instruction pointer, as far as it is mapped to RAM.
fn code(state: &CpuState, ram: &GuestRam) -> Vec<u8> {
    let base = if state.mode_64bit() { 0 } else { state.segments[SegmentRegister::Cs].base };
    let mut bytes = Vec::new();
    for offset in 0..MAX_INSTRUCTION_BYTES {
        let linear = base.wrapping_add(state.rip).wrapping_add(offset);
        let linear = if state.mode_64bit() { linear } else { linear & 0xffff_ffff };
        let mut byte = [0];
        match explain(state, ram, linear).outcome {
            Outcome::Mapped { physical, .. } if ram.read(physical, &mut byte).is_ok() => {
                bytes.extend(byte);
            }
            _ => break,
        }
    }
    bytes
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The instruction at which they were found to differ.
    pub site: Site,
    /// Instructions that were executed before it.
    pub instructions: u64,
    /// What differs; not empty.
    pub differences: Vec<Difference>,
}
