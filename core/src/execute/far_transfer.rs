//! Far control transfers: far JMP, CALL and RET, IRET, the software interrupts, SYSCALL, SYSRET,
//! SYSENTER and SYSEXIT. What they check and do is in `interrupt`; here are their operands.

use iced_x86::{Code, Mnemonic};

use super::emit::{Emit, Function};
use super::flags::OF;
use super::op::Detail;
use super::segment::far_pointer;
use super::table::Row;
use super::{Cpu, Leave};
use crate::interrupt::{self, SoftwareInterrupt};
use crate::memory::Width;
use crate::paging::Mmu;
use crate::state::{CpuState, Exception, RFlags, SegmentRegister, Vector};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Retf, far_ret),
    (Mnemonic::Iret, |e| last(e, iret::<16>)),
    (Mnemonic::Iretd, |e| last(e, iret::<32>)),
    (Mnemonic::Iretq, |e| crossing(e, iret::<64>)),
    (Mnemonic::Int, |e| last(e, int_n)),
    (Mnemonic::Int3, |e| last(e, int3)),
    (Mnemonic::Into, |e| last(e, into)),
    (Mnemonic::Int1, |e| last(e, int1)),
    (Mnemonic::Syscall, emit_syscall),
    (Mnemonic::Sysret, |e| last(e, sysret::<32>)),
    (Mnemonic::Sysretq, |e| crossing(e, sysret::<64>)),
    (Mnemonic::Sysenter, |e| last(e, sysenter)),
    (Mnemonic::Sysexit, |e| last(e, sysexit::<32>)),
    (Mnemonic::Sysexitq, |e| last(e, sysexit::<64>)),
];

fn last(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_last(function);
    Some(())
}

/// A return, which replaces all status flags.
fn crossing(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_crossing(function);
    Some(())
}

/// SYSCALL saves the status flags, and clears some.
fn emit_syscall(emit: &mut Emit) -> Option<()> {
    emit.materialize();
    crossing(emit, syscall)
}

/// JMP to another segment.
pub(super) fn far_jump(emit: &mut Emit) -> Option<()> {
    emit.call_out_last(match emit.instruction.code() {
        Code::Jmp_m1616 => jump_indirect::<u16>,
        Code::Jmp_m1632 => jump_indirect::<u32>,
        Code::Jmp_m1664 => jump_indirect::<u64>,
        _ => jump_direct,
    });
    Some(())
}

fn jump_direct(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    jump(cpu, direct(detail))
}

fn jump_indirect<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = far_pointer::<W>(cpu, detail)?;
    jump(cpu, target)
}

fn jump(cpu: &mut Cpu, (selector, offset): (u16, u64)) -> Result<(), Leave> {
    transfer(cpu, |state, mmu| interrupt::far_jump(state, mmu, selector, offset))
}

/// Makes a transfer that may switch tasks. TF is each task's own, so no single-step trap follows a
/// switch.
fn transfer(
    cpu: &mut Cpu,
    transfer: impl FnOnce(&mut CpuState, &mut Mmu) -> Result<(), Exception>,
) -> Result<(), Leave> {
    let task = cpu.state.segments[SegmentRegister::Tr].selector;
    transfer(&mut cpu.state, &mut cpu.mmu)?;
    cpu.trap_suppressed = cpu.state.segments[SegmentRegister::Tr].selector != task;
    Ok(())
}

/// The far pointer in the instruction.
fn direct(detail: &Detail) -> (u16, u64) {
    ((detail.immediate >> 32) as u16, detail.immediate & 0xffff_ffff)
}

/// CALL to another segment.
pub(super) fn far_call(emit: &mut Emit) -> Option<()> {
    emit.call_out_last(match emit.instruction.code() {
        Code::Call_m1616 => call_indirect::<u16>,
        Code::Call_m1632 => call_indirect::<u32>,
        Code::Call_m1664 => call_indirect::<u64>,
        Code::Call_ptr1616 => call_direct::<u16>,
        _ => call_direct::<u32>,
    });
    Some(())
}

fn call_direct<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    call::<W>(cpu, detail, direct(detail))
}

fn call_indirect<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = far_pointer::<W>(cpu, detail)?;
    call::<W>(cpu, detail, target)
}

fn call<W: Width>(
    cpu: &mut Cpu,
    detail: &Detail,
    (selector, offset): (u16, u64),
) -> Result<(), Leave> {
    transfer(cpu, |state, mmu| {
        interrupt::far_call(state, mmu, selector, offset, W::BITS, detail.next_rip)
    })
}

fn far_ret(emit: &mut Emit) -> Option<()> {
    emit.call_out_last(match emit.instruction.code() {
        Code::Retfw | Code::Retfw_imm16 => ret::<16>,
        Code::Retfd | Code::Retfd_imm16 => ret::<32>,
        _ => ret::<64>,
    });
    Some(())
}

fn ret<const BITS: u32>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let released = detail.immediate as u16;
    Ok(interrupt::far_return(&mut cpu.state, &mut cpu.mmu, BITS, released)?)
}

fn iret<const BITS: u32>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    if BITS == 64 {
        // 64-bit mode has no task switches.
        return Ok(interrupt::iret(&mut cpu.state, &mut cpu.mmu, BITS)?);
    }
    transfer(cpu, |state, mmu| interrupt::iret(state, mmu, BITS))
}

fn int_n(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    software(cpu, detail, detail.immediate as u8, SoftwareInterrupt::IntN)
}

fn int3(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    software(cpu, detail, Vector::Breakpoint as u8, SoftwareInterrupt::Int3)
}

fn int1(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    software(cpu, detail, Vector::Debug as u8, SoftwareInterrupt::Int1)
}

fn into(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    if cpu.status() & OF == 0 {
        return Ok(());
    }
    software(cpu, detail, Vector::Overflow as u8, SoftwareInterrupt::Into)
}

/// The delivery has cleared TF, so no single-step trap follows (SDM, "Single-Step Exception
/// Condition").
fn software(
    cpu: &mut Cpu,
    detail: &Detail,
    vector: u8,
    kind: SoftwareInterrupt,
) -> Result<(), Leave> {
    interrupt::software(&mut cpu.state, &mut cpu.mmu, vector, kind, detail.next_rip)?;
    cpu.trap_suppressed = true;
    Ok(())
}

/// A SYSCALL that clears TF by IA32_FMASK is not followed by a single-step trap.
fn syscall(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    interrupt::syscall(&mut cpu.state, &mut cpu.mmu, detail.next_rip)?;
    cpu.trap_suppressed = !cpu.state.rflags.contains(RFlags::TRAP_FLAG);
    Ok(())
}

fn sysret<const BITS: u32>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Ok(interrupt::sysret(&mut cpu.state, &mut cpu.mmu, BITS)?)
}

fn sysenter(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Ok(interrupt::sysenter(&mut cpu.state, &mut cpu.mmu)?)
}

fn sysexit<const BITS: u32>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Ok(interrupt::sysexit(&mut cpu.state, &mut cpu.mmu, BITS)?)
}
