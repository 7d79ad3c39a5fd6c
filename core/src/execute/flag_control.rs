//! Flag control: CLC, STC, CMC, CLD, STD, CLI, STI, LAHF, SAHF, PUSHF, POPF, CLAC, STAC.
//!
//! CF changes in the materialised flags. An instruction that may let an interrupt or a trap in, or
//! that changes access rights, ends its block.

use iced_x86::Mnemonic;

use super::dispatch::{Flow, next};
use super::emit::{Emit, Function};
use super::flags::{AF, CF, PF, SF, STATUS, ZF};
use super::op::{Detail, Handler, Op};
use super::table::Row;
use super::{Cpu, Leave};
use crate::interrupt;
use crate::memory::Width;
use crate::state::{Cr4Flags, Exception, RFlags};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Clc, |e| carry(e, clc)),
    (Mnemonic::Stc, |e| carry(e, stc)),
    (Mnemonic::Cmc, |e| carry(e, cmc)),
    (Mnemonic::Cld, |e| plain(e, cld)),
    (Mnemonic::Std, |e| plain(e, std)),
    (Mnemonic::Cli, cli),
    (Mnemonic::Sti, |e| last(e, sti)),
    (Mnemonic::Lahf, |e| with_flags(e, lahf)),
    (Mnemonic::Sahf, |e| with_flags(e, sahf)),
    (Mnemonic::Pushf, |e| with_flags(e, push_flags::<u16>)),
    (Mnemonic::Pushfd, |e| with_flags(e, push_flags::<u32>)),
    (Mnemonic::Pushfq, |e| with_flags(e, push_flags::<u64>)),
    (Mnemonic::Popf, |e| last(e, pop_flags::<u16>)),
    (Mnemonic::Popfd, |e| last(e, pop_flags::<u32>)),
    (Mnemonic::Popfq, |e| last(e, pop_flags::<u64>)),
    (Mnemonic::Clac, |e| last(e, clac)),
    (Mnemonic::Stac, |e| last(e, stac)),
];

/// AH.
const AH: u8 = 1;
/// The flags that LAHF and SAHF move.
const LOW_STATUS: u64 = SF | ZF | AF | PF | CF;

fn carry(emit: &mut Emit, handler: Handler) -> Option<()> {
    emit.materialize();
    plain(emit, handler)
}

fn plain(emit: &mut Emit, handler: Handler) -> Option<()> {
    emit.op(handler, 0, 0, 0, 0, 0);
    Some(())
}

fn cli(emit: &mut Emit) -> Option<()> {
    emit.call_out(clear_interrupt_flag);
    Some(())
}

fn with_flags(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_with_flags(function);
    Some(())
}

fn last(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_last(function);
    Some(())
}

unsafe extern "C" fn clc(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    next!(cpu, op.wrapping_add(1), res, src & !CF, budget)
}

unsafe extern "C" fn stc(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    next!(cpu, op.wrapping_add(1), res, src | CF, budget)
}

unsafe extern "C" fn cmc(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    next!(cpu, op.wrapping_add(1), res, src ^ CF, budget)
}

unsafe extern "C" fn cld(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    cpu.state.rflags.remove(RFlags::DIRECTION_FLAG);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn std(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    cpu.state.rflags.insert(RFlags::DIRECTION_FLAG);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Whether the current privilege level may change IF and use all ports (SDM, "I/O Privilege Level").
pub(super) fn within_iopl(cpu: &Cpu) -> bool {
    cpu.state.cpl() <= cpu.state.iopl()
}

/// The flag that CLI and STI change: where IOPL keeps IF from the program, VIF if CR4 has given it
/// one (SDM, "Protected-Mode Virtual Interrupts" and "Virtual-8086 Mode Extensions").
///
/// # Errors
/// #GP(0) if it has neither.
fn interrupt_flag(cpu: &Cpu) -> Result<RFlags, Leave> {
    if within_iopl(cpu) {
        return Ok(RFlags::INTERRUPT_FLAG);
    }
    let extension = match cpu.state.virtual_8086() {
        true => Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS,
        false => Cr4Flags::PROTECTED_MODE_VIRTUAL_INTERRUPTS,
    };
    match cpu.state.cpl() == 3 && cpu.state.control.cr4.contains(extension) {
        true => Ok(RFlags::VIRTUAL_INTERRUPT),
        false => Err(Exception::GP0.into()),
    }
}

fn clear_interrupt_flag(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    let flag = interrupt_flag(cpu)?;
    cpu.state.rflags.remove(flag);
    Ok(())
}

/// Interrupts stay blocked for one more instruction if they were (SDM, STI). A virtual one that is
/// pending is for the program's supervisor to bring.
fn sti(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    if interrupt_flag(cpu)? == RFlags::VIRTUAL_INTERRUPT {
        if cpu.state.rflags.contains(RFlags::VIRTUAL_INTERRUPT_PENDING) {
            return Err(Exception::GP0.into());
        }
        cpu.state.rflags.insert(RFlags::VIRTUAL_INTERRUPT);
        return Ok(());
    }
    if !cpu.state.rflags.contains(RFlags::INTERRUPT_FLAG) {
        cpu.state.rflags.insert(RFlags::INTERRUPT_FLAG);
        cpu.state.shadow.sti = true;
    }
    Ok(())
}

fn lahf(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    const ALWAYS_SET: u64 = 2;
    cpu.set::<u8>(AH, cpu.status() & LOW_STATUS | ALWAYS_SET);
    Ok(())
}

fn sahf(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    let ah = cpu.get::<u8>(AH);
    cpu.set_status(cpu.status() & !LOW_STATUS | ah & LOW_STATUS);
    Ok(())
}

/// PUSHF, PUSHFD, PUSHFQ: VM and RF are clear in the image.
fn push_flags<W: Width>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    const HIDDEN: u64 = RFlags::VIRTUAL_8086_MODE.bits() | RFlags::RESUME_FLAG.bits();
    let mut rflags = cpu.state.rflags;
    if cpu.state.virtual_8086() {
        interrupt::require_flags(&cpu.state, W::BITS)?;
        rflags = interrupt::shown_flags(rflags, cpu.state.iopl());
    }
    let image = rflags.bits() & !STATUS | cpu.status();
    cpu.push(W::truncate(image & !HIDDEN))
}

/// POPF, POPFD, POPFQ (SDM, POPF, "Effect of POPF/POPFD on the EFLAGS Register").
fn pop_flags<W: Width>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    const ALWAYS: u64 = STATUS
        | RFlags::TRAP_FLAG.bits()
        | RFlags::DIRECTION_FLAG.bits()
        | RFlags::NESTED_TASK.bits()
        | RFlags::ALIGNMENT_CHECK.bits()
        | RFlags::ID.bits();
    let virtual_8086 = cpu.state.virtual_8086();
    if virtual_8086 {
        interrupt::require_flags(&cpu.state, W::BITS)?;
    }
    let image = cpu.peek::<W>(0)?.extend();
    let mut writable = ALWAYS;
    if cpu.state.cpl() == 0 {
        writable |= RFlags::IOPL_LOW.bits() | RFlags::IOPL_HIGH.bits();
    }
    if within_iopl(cpu) {
        writable |= RFlags::INTERRUPT_FLAG.bits();
    }
    if W::BYTES == 2 {
        writable &= 0xffff;
    }
    let cleared = if W::BYTES == 2 { 0 } else { RFlags::RESUME_FLAG.bits() };
    let kept = cpu.state.rflags.bits() & !writable & !cleared;
    let mut rflags = RFlags::from_bits_retain(kept | image & writable);
    if virtual_8086 && cpu.state.iopl() < 3 {
        let image = RFlags::from_bits_retain(image);
        let enabled = interrupt::virtual_interrupt_flag(cpu.state.rflags, image);
        rflags.set(RFlags::VIRTUAL_INTERRUPT, enabled.ok_or(Exception::GP0)?);
    }
    cpu.add_to_stack_pointer(W::BYTES as u64);
    cpu.state.rflags = rflags;
    Ok(())
}

fn clac(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    set_alignment_check(cpu, false)
}

fn stac(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    set_alignment_check(cpu, true)
}

fn set_alignment_check(cpu: &mut Cpu, value: bool) -> Result<(), Leave> {
    // SDM, STAC: #UD at any other privilege level.
    if cpu.state.cpl() != 0 {
        return Err(Exception::UD.into());
    }
    cpu.state.rflags.set(RFlags::ALIGNMENT_CHECK, value);
    Ok(())
}
