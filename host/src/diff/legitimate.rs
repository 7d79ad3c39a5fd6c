//! What may differ between two right processors, and why: one row of [`TABLE`] each; and what KVM
//! can't step: [`steps`].

use iced_x86::{FlowControl, Instruction, Mnemonic, RflagsBits};
use monovisor_core::CpuState;
use monovisor_core::state::{RFlags, Register};

/// A difference that says nothing against either engine.
pub struct Legitimate {
    /// Which instructions it is about.
    pub applies: fn(&Instruction) -> bool,
    /// Takes from `kvm` what may differ.
    pub adopt: fn(&Instruction, &mut CpuState, kvm: &CpuState),
    /// Why it may.
    pub reason: &'static str,
}

/// All of them.
pub const TABLE: &[Legitimate] = &[
    Legitimate {
        applies: |instruction| matches!(instruction.mnemonic(), Mnemonic::Rdtsc | Mnemonic::Rdtscp),
        adopt: |_, state, kvm| {
            for register in [Register::Rax, Register::Rdx] {
                state.gpr[register] = kvm.gpr[register];
            }
        },
        reason: "the time-stamp counter shows time, which passes differently",
    },
    Legitimate {
        // IA32_TIME_STAMP_COUNTER; other registers of that kind must be the same.
        applies: |instruction| instruction.mnemonic() == Mnemonic::Rdmsr,
        adopt: |_, state, kvm| {
            if state.gpr[Register::Rcx] as u32 == 0x10 {
                for register in [Register::Rax, Register::Rdx] {
                    state.gpr[register] = kvm.gpr[register];
                }
            }
        },
        reason: "the time-stamp counter can be read as a model-specific register, too",
    },
    Legitimate {
        applies: |instruction| {
            matches!(instruction.mnemonic(), Mnemonic::Rdrand | Mnemonic::Rdseed)
        },
        adopt: |instruction, state, kvm| {
            let number = instruction.op0_register().full_register().number();
            if let Some(register) = Register::ALL.get(number) {
                state.gpr[*register] = kvm.gpr[*register];
            }
            state.rflags.set(RFlags::CARRY_FLAG, kvm.rflags.contains(RFlags::CARRY_FLAG));
        },
        reason: "random numbers are random",
    },
    Legitimate {
        applies: |instruction| instruction.rflags_undefined() != RflagsBits::NONE,
        adopt: |instruction, state, kvm| {
            for (bit, flag) in FLAGS {
                if instruction.rflags_undefined() & bit != 0 {
                    state.rflags.set(*flag, kvm.rflags.contains(*flag));
                }
            }
        },
        reason: "the manual leaves these flags undefined after this instruction",
    },
    Legitimate {
        applies: |_| true,
        adopt: |_, state, kvm| {
            state.rflags.set(RFlags::RESUME_FLAG, kvm.rflags.contains(RFlags::RESUME_FLAG));
            state.debug.dr6 = kvm.debug.dr6;
        },
        reason: "KVM's single step is a debug trap of its own",
    },
    Legitimate {
        applies: |_| true,
        adopt: |_, state, kvm| {
            state.fpu.opcode = kvm.fpu.opcode;
            state.fpu.instruction_pointer = kvm.fpu.instruction_pointer;
            state.fpu.data_pointer = kvm.fpu.data_pointer;
        },
        reason: "AMD's processors keep the x87 pointers only where an exception is pending",
    },
];

/// Whether KVM's single step ends behind this instruction. It is made of the trap flag, which system
/// calls and returns, software interrupts and POPF load; and a halted processor makes no step.
pub fn steps(instruction: &Instruction) -> bool {
    let enters_or_returns = matches!(
        instruction.mnemonic(),
        Mnemonic::Iret
            | Mnemonic::Iretd
            | Mnemonic::Iretq
            | Mnemonic::Syscall
            | Mnemonic::Sysret
            | Mnemonic::Sysretq
            | Mnemonic::Sysenter
            | Mnemonic::Sysexit
            | Mnemonic::Sysexitq
    );
    let loads_flags =
        matches!(instruction.mnemonic(), Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq);
    let interrupts = instruction.flow_control() == FlowControl::Interrupt;
    let halts = instruction.mnemonic() == Mnemonic::Hlt;
    !(enters_or_returns || loads_flags || interrupts || halts)
}

const FLAGS: &[(u32, RFlags)] = &[
    (RflagsBits::OF, RFlags::OVERFLOW_FLAG),
    (RflagsBits::SF, RFlags::SIGN_FLAG),
    (RflagsBits::ZF, RFlags::ZERO_FLAG),
    (RflagsBits::AF, RFlags::AUXILIARY_CARRY_FLAG),
    (RflagsBits::CF, RFlags::CARRY_FLAG),
    (RflagsBits::PF, RFlags::PARITY_FLAG),
];

/// `state` after `instruction`, with what may differ as `kvm` has it.
pub fn adopted(instruction: &Instruction, state: &CpuState, kvm: &CpuState) -> CpuState {
    let mut state = state.clone();
    for row in TABLE.iter().filter(|row| (row.applies)(instruction)) {
        (row.adopt)(instruction, &mut state, kvm);
    }
    state
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;
    use crate::diff::compare;

    fn instruction(bytes: &[u8]) -> Instruction {
        Decoder::new(64, bytes, DecoderOptions::NONE).decode()
    }

    #[test]
    fn only_what_is_undefined_or_random_may_differ() {
        let state = CpuState::reset(0);
        let mut kvm = state.clone();
        kvm.rflags |= RFlags::AUXILIARY_CARRY_FLAG;
        kvm.gpr[Register::Rbx] = 7;
        let differing = |bytes: &[u8]| {
            let state = adopted(&instruction(bytes), &state, &kvm);
            compare::states(&state, &kvm).into_iter().map(|found| found.what).collect::<Vec<_>>()
        };
        // and eax, ecx leaves AF undefined; add eax, ecx does not; rdrand ebx clears it.
        assert_eq!(differing(b"\x21\xc8"), ["rbx"]);
        assert_eq!(differing(b"\x01\xc8"), ["rbx", "rflags"]);
        assert_eq!(differing(b"\x0f\xc7\xf3"), ["rflags"]);
        assert!(!steps(&instruction(b"\xf4")) && !steps(&instruction(b"\x48\xcf")));
        assert!(steps(&instruction(b"\x01\xc8")));
        assert!(TABLE.iter().all(|row| !row.reason.is_empty()));
    }
}
