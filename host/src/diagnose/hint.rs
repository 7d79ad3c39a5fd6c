//! Why an instruction raised its exception, where no error code says so: read off the instruction
//! and the registers, as they are when nothing has run since.
//!
//! Invariant: a hint is a fact about the state. Where several causes are possible, there is none.

use iced_x86::{CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic};
use monovisor_core::CpuState;
use monovisor_core::paging::is_canonical;
use monovisor_core::state::{Cr0Flags, Cr4Flags, Exception, Register, Vector};

use super::disassemble::{Code, MAX_INSTRUCTION_BYTES};
use super::guest::Guest;

/// What explains `exception`, raised by the instruction at the linear address `rip`.
pub fn hint(guest: &Guest<'_>, exception: &Exception, rip: u64) -> Option<String> {
    let bytes = guest.read(rip, MAX_INSTRUCTION_BYTES);
    let bitness = guest.state.bitness();
    let instruction = Decoder::with_ip(bitness, &bytes, rip, DecoderOptions::NONE).decode();
    let operand = Code { bytes: &bytes, address: rip, bitness }.operand_address(rip, guest.state);
    match exception.vector {
        Vector::InvalidOpcode => invalid_opcode(guest.state, &instruction, &bytes),
        Vector::DeviceNotAvailable => device_not_available(guest.state),
        Vector::GeneralProtection | Vector::StackFault if exception.error_code == Some(0) => {
            general_protection(guest.state, &instruction, operand)
        }
        _ => None,
    }
}

fn invalid_opcode(state: &CpuState, instruction: &Instruction, bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("there is no memory at this address; what is read there is all ones".into());
    }
    if instruction.is_invalid() {
        return Some("the bytes there are no instruction".into());
    }
    if instruction.mnemonic() == Mnemonic::Ud2 {
        return Some("UD2 is there to raise it: an abort, or code that must not be reached".into());
    }
    if matches!(instruction.encoding(), EncodingKind::VEX | EncodingKind::EVEX | EncodingKind::XOP)
    {
        return Some("it belongs to AVX, which this processor does not offer (CPUID)".into());
    }
    if !is_sse(instruction) {
        return None;
    }
    if state.control.cr0.contains(Cr0Flags::EMULATE_COPROCESSOR) {
        return Some("SSE is switched off: CR0.EM is set".into());
    }
    let enabled = state.control.cr4.contains(Cr4Flags::OSFXSR);
    (!enabled).then(|| "SSE is switched off: CR4.OSFXSR is clear".into())
}

fn is_sse(instruction: &Instruction) -> bool {
    instruction.cpuid_features().iter().any(|feature| {
        matches!(feature, CpuidFeature::SSE | CpuidFeature::SSE2 | CpuidFeature::SSE3)
    })
}

fn device_not_available(state: &CpuState) -> Option<String> {
    if state.control.cr0.contains(Cr0Flags::EMULATE_COPROCESSOR) {
        return Some("x87 is switched off: CR0.EM is set".into());
    }
    let switched = state.control.cr0.contains(Cr0Flags::TASK_SWITCHED);
    switched.then(|| "CR0.TS is set: the x87 and SSE registers wait to be switched".into())
}

fn general_protection(
    state: &CpuState,
    instruction: &Instruction,
    operand: Option<u64>,
) -> Option<String> {
    if let Some(address) =
        operand.filter(|&address| state.mode_64bit() && !is_canonical(state, address))
    {
        return Some(format!("its operand's address {address:#x} is not canonical"));
    }
    let stack = state.gpr[Register::Rsp];
    if instruction.is_stack_instruction() && state.mode_64bit() && !is_canonical(state, stack) {
        return Some(format!("the stack pointer {stack:#x} is not canonical"));
    }
    let cpl = state.cpl();
    if instruction.is_privileged() && cpl != 0 {
        return Some(format!("the instruction is privileged, and the CPL is {cpl}"));
    }
    if let Some(address) =
        operand.filter(|address| address % 16 != 0 && needs_alignment(instruction))
    {
        return Some(format!("its operand at {address:#x} is not aligned to 16 bytes"));
    }
    let number = state.gpr[Register::Rcx] as u32;
    match instruction.mnemonic() {
        Mnemonic::Rdmsr => Some(format!("there is no MSR {number:#x} that can be read")),
        Mnemonic::Wrmsr => {
            let half = |register| state.gpr[register] & u64::from(u32::MAX);
            let value = half(Register::Rdx) << 32 | half(Register::Rax);
            Some(format!("there is no MSR {number:#x} that can be written with {value:#x}"))
        }
        _ => None,
    }
}

/// Whether an instruction of the legacy encoding wants its 16 bytes aligned (SDM, "Memory
/// Alignment of SSE Operands").
fn needs_alignment(instruction: &Instruction) -> bool {
    let unaligned = [Mnemonic::Movups, Mnemonic::Movupd, Mnemonic::Movdqu, Mnemonic::Lddqu];
    instruction.encoding() == EncodingKind::Legacy
        && is_sse(instruction)
        && instruction.memory_size().size() == 16
        && !unaligned.contains(&instruction.mnemonic())
}

#[cfg(test)]
mod tests {
    use monovisor_core::state::{Access, EferFlags, SegmentRegister};

    use super::*;
    use crate::memory::GuestRam;

    fn state() -> CpuState {
        let mut state = CpuState::reset(0);
        state.control.efer = EferFlags::LONG_MODE_ACTIVE;
        state.control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE;
        state.segments[SegmentRegister::Cs].access = Access(0xa09b);
        state
    }

    fn said(state: &CpuState, exception: Exception, bytes: &[u8]) -> Option<String> {
        let ram = GuestRam::new(2 << 20).unwrap();
        ram.write(0x1000, bytes).unwrap();
        hint(&Guest { state, ram: &ram }, &exception, 0x1000)
    }

    #[test]
    fn instructions_that_are_not_there_are_told_apart() {
        let mut state = state();
        let ud = |state: &CpuState, bytes: &[u8]| said(state, Exception::UD, bytes).unwrap();
        assert!(ud(&state, &[0x0f, 0x0b]).starts_with("UD2 is there"));
        assert_eq!(ud(&state, &[0x06]), "the bytes there are no instruction");
        assert!(ud(&state, &[0xc5, 0xf8, 0x28, 0xc1]).contains("AVX"));
        assert!(ud(&state, &[0x0f, 0x28, 0xc1]).contains("CR4.OSFXSR is clear"));
        state.control.cr0 |= Cr0Flags::EMULATE_COPROCESSOR;
        assert!(ud(&state, &[0x0f, 0x28, 0xc1]).contains("CR0.EM is set"));
        assert!(said(&state, Exception::NM, &[0xd9, 0xe8]).unwrap().contains("CR0.EM is set"));
        assert_eq!(said(&state, Exception::UD, &[0x90]), None);
    }

    #[test]
    fn protection_faults_without_a_selector_have_reasons() {
        let mut state = state();
        let gp = |state: &CpuState, bytes: &[u8]| said(state, Exception::GP0, bytes);
        // mov rax, [rax]
        let load = [0x48, 0x8b, 0x00];
        assert_eq!(gp(&state, &load), None);
        state.gpr[Register::Rax] = 0x8000_0000_0000_0000;
        assert!(gp(&state, &load).unwrap().contains("0x8000000000000000 is not canonical"));
        // movaps xmm0, [rbx]; movups xmm0, [rbx]
        state.gpr[Register::Rbx] = 0x1008;
        assert!(gp(&state, &[0x0f, 0x28, 0x03]).unwrap().contains("0x1008 is not aligned"));
        assert_eq!(gp(&state, &[0x0f, 0x10, 0x03]), None);
        // wrmsr; hlt in user mode; push rax
        state.gpr[Register::Rcx] = 0x1234;
        state.gpr[Register::Rax] = 5;
        state.gpr[Register::Rdx] = 0;
        assert!(
            gp(&state, &[0x0f, 0x30]).unwrap().contains("MSR 0x1234 that can be written with 0x5")
        );
        state.segments[SegmentRegister::Ss].access = Access(0xf3);
        assert!(gp(&state, &[0xf4]).unwrap().ends_with("the CPL is 3"));
        state.gpr[Register::Rsp] = 0x1234_5678_9abc_def0;
        assert!(said(&state, Exception::SS0, &[0x50]).unwrap().contains("stack pointer"));
    }
}
