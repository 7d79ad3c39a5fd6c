//! Instructions that cannot be compared in a program of Linux, and why.

use iced_x86::{FlowControl, Instruction, Mnemonic};
use monovisor_core::cpuid::Feature;

use crate::features::{is_instruction_offered, row};

/// It asks Linux, or the machine monitor under it.
const ASKS_SYSTEM: &str = "enters the system";
/// It reads what differs between any two machines or moments.
const DIFFERS: &str = "reads what is different by nature";
/// Linux executes it itself where UMIP forbids it.
const EMULATED: &str = "executed by Linux under UMIP";
/// A machine monitor under Linux delivers the exception as a fault instead of a trap.
const REFLECTED: &str = "delivered anew by machine monitors";
/// It depends on descriptor tables that Linux owns.
const DESCRIPTORS: &str = "depends on Linux's descriptor tables";
/// With a right taken away, Linux cannot write the frame of the signal that ends the case.
const SIGNALS: &str = "may deny Linux the signal's stack";
/// It depends on state components and masks that CPUID tells, and those differ.
const COMPONENTS: &str = "depends on what CPUID says";
/// Its image has pointers and a mask in which processors differ, beside what is the same in all.
pub const IN_PART: &str = "has an image that differs in part";

const TABLE: &[(Mnemonic, &str)] = &[
    (Mnemonic::Syscall, ASKS_SYSTEM),
    (Mnemonic::Sysenter, ASKS_SYSTEM),
    (Mnemonic::Int, ASKS_SYSTEM),
    (Mnemonic::Vmcall, ASKS_SYSTEM),
    (Mnemonic::Vmmcall, ASKS_SYSTEM),
    (Mnemonic::Vmgexit, ASKS_SYSTEM),
    (Mnemonic::Cpuid, DIFFERS),
    (Mnemonic::Rdtsc, DIFFERS),
    (Mnemonic::Rdtscp, DIFFERS),
    (Mnemonic::Rdpmc, DIFFERS),
    (Mnemonic::Rdpru, DIFFERS),
    (Mnemonic::Rdpid, DIFFERS),
    (Mnemonic::Rdrand, DIFFERS),
    (Mnemonic::Rdseed, DIFFERS),
    (Mnemonic::Xgetbv, DIFFERS),
    (Mnemonic::Rdpkru, DIFFERS),
    (Mnemonic::Wrpkru, SIGNALS),
    (Mnemonic::Int1, REFLECTED),
    (Mnemonic::Sgdt, EMULATED),
    (Mnemonic::Sidt, EMULATED),
    (Mnemonic::Sldt, EMULATED),
    (Mnemonic::Str, EMULATED),
    (Mnemonic::Smsw, EMULATED),
    (Mnemonic::Lar, DESCRIPTORS),
    (Mnemonic::Lsl, DESCRIPTORS),
    (Mnemonic::Verr, DESCRIPTORS),
    (Mnemonic::Verw, DESCRIPTORS),
    (Mnemonic::Lds, DESCRIPTORS),
    (Mnemonic::Les, DESCRIPTORS),
    (Mnemonic::Lfs, DESCRIPTORS),
    (Mnemonic::Lgs, DESCRIPTORS),
    (Mnemonic::Lss, DESCRIPTORS),
    (Mnemonic::Retf, DESCRIPTORS),
    (Mnemonic::Iret, DESCRIPTORS),
    (Mnemonic::Iretd, DESCRIPTORS),
    (Mnemonic::Iretq, DESCRIPTORS),
    (Mnemonic::Wrfsbase, DESCRIPTORS),
    (Mnemonic::Wrgsbase, DESCRIPTORS),
    (Mnemonic::Fxsave, IN_PART),
    (Mnemonic::Fxsave64, IN_PART),
    (Mnemonic::Fxrstor, IN_PART),
    (Mnemonic::Fxrstor64, IN_PART),
    (Mnemonic::Xsave, COMPONENTS),
    (Mnemonic::Xsave64, COMPONENTS),
    (Mnemonic::Xsavec, COMPONENTS),
    (Mnemonic::Xsavec64, COMPONENTS),
    (Mnemonic::Xsaveopt, COMPONENTS),
    (Mnemonic::Xsaveopt64, COMPONENTS),
    (Mnemonic::Xrstor, COMPONENTS),
    (Mnemonic::Xrstor64, COMPONENTS),
];

/// The interpreter does not offer it, though the processor may have it.
const NOT_OFFERED: &str = "is of a feature that the interpreter does not offer";

/// The processor under us does not have it, though the interpreter has.
const NOT_HERE: &str = "is of a feature that this processor has not got";

/// Whether the processor under us has what the instruction needs, as far as CPUID tells.
fn is_here(instruction: &Instruction) -> bool {
    let told = |row: &Feature| {
        let leaf = std::arch::x86_64::__cpuid_count(row.leaf, row.subleaf);
        let register = [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx][row.output as usize];
        register >> row.bit & 1 != 0
    };
    instruction.cpuid_features().iter().filter_map(|feature| row(*feature)).all(told)
}

/// Whether the instruction must not be executed, be it only to see whether it exists.
pub fn asks_system(instruction: &Instruction) -> bool {
    TABLE.contains(&(instruction.mnemonic(), ASKS_SYSTEM))
}

/// Why an instruction is not compared.
pub fn reason(instruction: &Instruction) -> Option<&'static str> {
    if !is_instruction_offered(instruction) {
        return Some(NOT_OFFERED);
    }
    if !is_here(instruction) {
        return Some(NOT_HERE);
    }
    let listed = TABLE.iter().find(|(mnemonic, _)| *mnemonic == instruction.mnemonic());
    let listed = listed.map(|(_, reason)| *reason);
    listed.or_else(|| (changes_segment(instruction) || is_far(instruction)).then_some(DESCRIPTORS))
}

/// A MOV or POP to a segment register.
fn changes_segment(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Pop)
        && instruction.op0_register().is_segment_register()
}

fn is_far(instruction: &Instruction) -> bool {
    instruction.is_jmp_far()
        || instruction.is_jmp_far_indirect()
        || instruction.is_call_far()
        || instruction.is_call_far_indirect()
        || instruction.flow_control() == FlowControl::Interrupt
            && !matches!(instruction.mnemonic(), Mnemonic::Int3 | Mnemonic::Into)
}
