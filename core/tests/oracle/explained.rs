//! Differences that remain, each with its reason. Where the manuals of the two vendors differ, the
//! interpreter does what Intel's says, since its CPUID says that it is Intel's; so what is AMD's way is
//! no reason on another processor.

use iced_x86::{Code, CpuidFeature, Instruction, Mnemonic, OpKind, Register};

use crate::case::{Case, Outcome, PAGE_FAULT, Raised};
use crate::generate::operands::segment_base;
use crate::layout::Mode;
use crate::silicon::is_amd;

/// A reason, and whether it holds.
pub struct Explanation {
    /// A sentence.
    pub reason: &'static str,
    /// Whose processors it is about.
    whose: Whose,
    holds: fn(&Question) -> bool,
}

/// Whose processors differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Amd,
    Any,
    /// What a KVM makes of a processor that has neither VMX nor SVM.
    ParavirtualKvm,
}

/// A case that ended differently.
struct Question<'a> {
    case: &'a Case,
    instruction: &'a Instruction,
    silicon: &'a Outcome,
    interpreter: &'a Outcome,
}

const INVALID_OPCODE: u32 = 6;
const STACK_FAULT: u32 = 12;
const GENERAL_PROTECTION: u32 = 13;
const ALIGNMENT_CHECK: u32 = 17;

/// All of them.
pub const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        reason: "a misaligned access that also page-faults: AMD checks the alignment first, SDM, \
                 \"Priority Among Concurrent Events\", the page",
        whose: Whose::Amd,
        holds: |it| it.vectors() == (ALIGNMENT_CHECK, PAGE_FAULT) && it.raise_at_start(),
    },
    Explanation {
        reason: "a branch into the instruction itself, whose rest the processor then executes: a \
                 matter of this comparison",
        whose: Whose::Any,
        holds: |it| {
            let bytes = it.case.start()..it.case.start() + u64::from(it.case.length);
            it.interpreter.raised == Raised::NOTHING
                && it.is_near_branch()
                && bytes.contains(&it.interpreter.state.rip)
        },
    },
    Explanation {
        reason: "a near branch with an operand-size prefix in 64-bit mode: AMD makes it 16 bits \
                 wide, Intel ignores the prefix",
        whose: Whose::Amd,
        holds: |it| {
            it.case.mode == Mode::Long && it.has_operand_size_prefix() && it.is_near_branch()
        },
    },
    Explanation {
        reason: "a near branch to an address that is not canonical: AMD's faults at the target, \
                 Intel's at the branch",
        whose: Whose::Amd,
        holds: |it| {
            it.case.mode == Mode::Long
                && it.is_near_branch()
                && it.vectors() == (GENERAL_PROTECTION, GENERAL_PROTECTION)
        },
    },
    Explanation {
        reason: "SYSCALL and SYSRET outside 64-bit mode: AMD has them, Intel has not",
        whose: Whose::Amd,
        holds: |it| {
            it.case.mode != Mode::Long
                && matches!(it.instruction.mnemonic(), Mnemonic::Syscall | Mnemonic::Sysret)
        },
    },
    Explanation {
        reason: "0F 0D with a register: AMD reserves it, to Intel it is a NOP",
        whose: Whose::Amd,
        holds: |it| {
            matches!(
                it.instruction.code(),
                Code::Reservednop_rm16_r16_0F0D
                    | Code::Reservednop_rm32_r32_0F0D
                    | Code::Reservednop_rm64_r64_0F0D
            ) && it.silicon.raised.vector == INVALID_OPCODE
        },
    },
    Explanation {
        reason: "a CALL whose target and whose stack are both out of reach: AMD pushes first, SDM, \
                 CALL, looks at the target first",
        whose: Whose::Amd,
        holds: |it| {
            it.instruction.mnemonic() == Mnemonic::Call
                && it.interpreter.raised.vector == GENERAL_PROTECTION
                && matches!(it.silicon.raised.vector, PAGE_FAULT | STACK_FAULT | ALIGNMENT_CHECK)
        },
    },
    Explanation {
        reason: "POPA and POPAD that fault: AMD has loaded the registers up to there, which the \
                 restarted instruction loads again",
        whose: Whose::Amd,
        holds: |it| {
            matches!(it.instruction.mnemonic(), Mnemonic::Popa | Mnemonic::Popad)
                && it.silicon.raised == it.interpreter.raised
                && it.silicon.raised != Raised::NOTHING
        },
    },
    Explanation {
        reason: "LOOPcc behind a repeat prefix, which SDM, REP, reserves: AMD tests the prefix's \
                 condition",
        whose: Whose::Amd,
        holds: |it| {
            it.instruction.is_loopcc()
                && (it.instruction.has_rep_prefix() || it.instruction.has_repne_prefix())
        },
    },
    Explanation {
        reason: "CMPS and SCAS that fault in a repetition: SDM, REP, restores the flags, AMD leaves \
                 those of the last comparison",
        whose: Whose::Amd,
        holds: |it| {
            let mut silicon = *it.silicon;
            silicon.state.rflags = it.interpreter.state.rflags;
            it.instruction.is_string_instruction()
                && it.silicon.raised != Raised::NOTHING
                && silicon == *it.interpreter
        },
    },
    Explanation {
        reason: "CMPS with two operands that fault: no manual says which comes first",
        whose: Whose::Any,
        holds: |it| {
            let string = it.instruction.is_string_instruction();
            string && is_cmps(it.instruction) && it.raise_at_start_with_faults()
        },
    },
    Explanation {
        reason: "MOVSXD to a 16-bit register: AMD reads 32 bits, SDM, MOVSXD, 16",
        whose: Whose::Amd,
        holds: |it| {
            it.instruction.code() == Code::Movsxd_r16_rm16
                && matches!(
                    it.silicon.raised.vector,
                    PAGE_FAULT | ALIGNMENT_CHECK | STACK_FAULT | GENERAL_PROTECTION
                )
        },
    },
    Explanation {
        reason: "LDMXCSR or FXRSTOR of bit 17: AMD's misaligned exception mask, which is Intel's reserved bit",
        whose: Whose::Amd,
        holds: |it| {
            use Mnemonic::{Fxrstor, Fxrstor64, Ldmxcsr, Vldmxcsr};
            matches!(it.instruction.mnemonic(), Fxrstor | Fxrstor64 | Ldmxcsr | Vldmxcsr)
                && it.silicon.state.mxcsr & MISALIGNED_MASK != 0
                && it.interpreter.raised.vector == GENERAL_PROTECTION
        },
    },
    Explanation {
        reason: "FXSAVE and FXRSTOR of an area beyond the last 16-bit address: AMD goes on at the \
                 first, here as by SDM, \"Limit Checking\", that is a fault of the segment",
        whose: Whose::Amd,
        holds: |it| {
            let segment = segment_base(it.case.mode, it.instruction.memory_segment());
            it.case.mode == Mode::Compatibility16
                && matches!(it.instruction.mnemonic(), Mnemonic::Fxsave | Mnemonic::Fxrstor)
                && matches!(it.interpreter.raised.vector, STACK_FAULT | GENERAL_PROTECTION)
                && it.silicon.raised.vector == PAGE_FAULT
                && it.silicon.raised.address.wrapping_sub(segment) < 511
        },
    },
    Explanation {
        reason: "FCOMI and its kin: SDM has C1 cleared, AMD keeps it",
        whose: Whose::Amd,
        holds: |it| {
            use Mnemonic::{Fcomi, Fcomip, Fucomi, Fucomip};
            let mut silicon = *it.silicon;
            silicon.state.x87.status &= !C1;
            matches!(it.instruction.mnemonic(), Fcomi | Fcomip | Fucomi | Fucomip)
                && silicon == *it.interpreter
        },
    },
    Explanation {
        reason: "a transcendental function's last place, and what is said of its rounding: the \
                 manuals allow an error of one unit",
        whose: Whose::Any,
        holds: |it| is_transcendental(it.instruction) && it.differs_in_last_places(),
    },
    Explanation {
        reason: "SHA with a misaligned operand: SDM, \"Type 4\", makes that #GP, AMD's processors do not",
        whose: Whose::Amd,
        holds: |it| {
            it.instruction.cpuid_features().contains(&CpuidFeature::SHA)
                && it.interpreter.raised.vector == GENERAL_PROTECTION
        },
    },
    Explanation {
        reason: "VPEXTRQ and VPINSRQ outside 64-bit mode: to AMD they do not exist, SDM, VPINSRQ, has \
                 VEX.W ignored there",
        whose: Whose::Amd,
        holds: |it| {
            it.case.mode != Mode::Long
                && matches!(it.instruction.mnemonic(), Mnemonic::Vpextrd | Mnemonic::Vpinsrd)
                && it.silicon.raised.vector == INVALID_OPCODE
        },
    },
    Explanation {
        reason: "a segment with a base whose offset is not canonical while the sum is: AMD faults, \
                 Intel looks at the sum",
        whose: Whose::Amd,
        holds: |it| {
            it.case.mode == Mode::Long
                && matches!(it.instruction.memory_segment(), Register::FS | Register::GS)
                && it.vectors() == (GENERAL_PROTECTION, PAGE_FAULT)
                && it.raise_at_start()
        },
    },
    Explanation {
        reason: "a segment register's value under a paravirtual KVM, which has loaded others",
        whose: Whose::ParavirtualKvm,
        holds: |it| {
            (0..it.instruction.op_count()).any(|operand| {
                it.instruction.op_kind(operand) == OpKind::Register
                    && it.instruction.op_register(operand).is_segment_register()
            })
        },
    },
    Explanation {
        reason: "#GP under a paravirtual KVM, which emulates what raises it: it has no emulation of \
                 this instruction or another exception for it, or has made an MMX instruction's \
                 change to the x87's tags and top of stack before",
        whose: Whose::ParavirtualKvm,
        holds: |it| {
            let mut silicon = *it.silicon;
            silicon.raised = it.interpreter.raised;
            if silicon.state.x87.registers() == it.interpreter.state.x87.registers() {
                silicon.state.x87 = it.interpreter.state.x87;
            }
            let (theirs, ours) = it.vectors();
            ours == GENERAL_PROTECTION
                && matches!(theirs, INVALID_OPCODE | STACK_FAULT | GENERAL_PROTECTION | PAGE_FAULT)
                && silicon == *it.interpreter
        },
    },
];

/// Of the x87's status word.
const C1: u16 = 1 << 9;
/// MXCSR.MM of AMD's processors.
const MISALIGNED_MASK: u32 = 1 << 17;

fn is_cmps(instruction: &Instruction) -> bool {
    use Mnemonic::{Cmpsb, Cmpsd, Cmpsq, Cmpsw};
    matches!(instruction.mnemonic(), Cmpsb | Cmpsw | Cmpsd | Cmpsq)
}

fn is_transcendental(instruction: &Instruction) -> bool {
    use Mnemonic::{F2xm1, Fcos, Fpatan, Fptan, Fsin, Fsincos, Fyl2x, Fyl2xp1};
    let mnemonic = instruction.mnemonic();
    matches!(mnemonic, F2xm1 | Fcos | Fpatan | Fptan | Fsin | Fsincos | Fyl2x | Fyl2xp1)
}

/// Why two outcomes differ, as an index of [`EXPLANATIONS`]. `paravirtual` says that the processor is a
/// guest's of such a KVM.
pub fn find(
    case: &Case,
    instruction: &Instruction,
    silicon: &Outcome,
    interpreter: &Outcome,
    paravirtual: bool,
) -> Option<usize> {
    let question = Question { case, instruction, silicon, interpreter };
    let is_its = |whose| match whose {
        Whose::Amd => is_amd(),
        Whose::Any => true,
        Whose::ParavirtualKvm => paravirtual,
    };
    EXPLANATIONS.iter().position(|one| is_its(one.whose) && (one.holds)(&question))
}

impl Question<'_> {
    fn vectors(&self) -> (u32, u32) {
        (self.silicon.raised.vector, self.interpreter.raised.vector)
    }

    /// Both have changed nothing.
    fn raise_at_start(&self) -> bool {
        self.silicon.state.rip == self.case.start()
            && self.silicon.state == self.interpreter.state
            && self.silicon.memory == self.interpreter.memory
    }

    /// Both fault, and differ in nothing but the fault.
    fn raise_at_start_with_faults(&self) -> bool {
        let faults = |vector| {
            matches!(vector, PAGE_FAULT | GENERAL_PROTECTION | STACK_FAULT | ALIGNMENT_CHECK)
        };
        let (silicon, interpreter) = self.vectors();
        faults(silicon) && faults(interpreter) && self.raise_at_start()
    }

    /// Whether nothing differs but C1, and the first two registers by one unit in the last place.
    fn differs_in_last_places(&self) -> bool {
        // Exponent and fraction are one number, but for the integer bit.
        let place = |bits: u128| (bits >> 64 & 0xffff) << 63 | bits & (u128::MAX >> 65);
        let mut silicon = *self.silicon;
        let (theirs, ours) = (&mut silicon.state.x87, &self.interpreter.state.x87);
        for (theirs, ours) in theirs.st.iter_mut().zip(ours.st).take(2) {
            if place(*theirs).abs_diff(place(ours)) <= 1 {
                *theirs = ours;
            }
        }
        theirs.status = theirs.status & !C1 | ours.status & C1;
        silicon == *self.interpreter
    }

    fn has_operand_size_prefix(&self) -> bool {
        const OPERAND_SIZE: u8 = 0x66;
        let prefix = |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
        self.case.code().iter().take_while(|byte| prefix(byte)).any(|byte| *byte == OPERAND_SIZE)
    }

    fn is_near_branch(&self) -> bool {
        let it = self.instruction;
        it.is_jcc_short_or_near()
            || it.is_jmp_short_or_near()
            || it.is_jmp_near_indirect()
            || it.is_call_near()
            || it.is_call_near_indirect()
            || it.is_loop()
            || it.is_loopcc()
            || it.is_jcx_short()
            || it.mnemonic() == Mnemonic::Ret
    }
}
