//! SYSCALL, SYSRET, SYSENTER and SYSEXIT: transfers whose segments have fixed hidden parts and
//! never touch a descriptor table. Where Intel's and AMD's processors differ, this is Intel's
//! behaviour.

use super::code;
use crate::paging::{Mmu, is_canonical};
use crate::state::{
    Access, CpuState, EferFlags, Exception, RFlags, Register, Segment, SegmentRegister,
};

/// Rights of a flat code segment: execute and read, accessed, present, 4 KiB granular.
const CODE: u32 = 0x809b;
/// Rights of a flat stack segment: read and write, accessed, present, B, 4 KiB granular.
const STACK: u32 = 0xc093;
/// L of a code segment.
const LONG: u32 = 0x2000;
/// D of a code segment.
const DEFAULT_BIG: u32 = 0x4000;

/// SYSCALL; `return_rip` is the next instruction (SDM, SYSCALL). Only 64-bit mode has it.
///
/// # Errors
/// #UD outside 64-bit mode or without EFER.SCE; the state is then untouched.
#[inline]
pub(crate) fn syscall(
    state: &mut CpuState,
    mmu: &mut Mmu,
    return_rip: u64,
) -> Result<(), Exception> {
    enabled(state)?;
    state.gpr[Register::Rcx] = return_rip;
    state.gpr[Register::R11] = state.rflags.bits();
    state.rflags = code::without(state.rflags, RFlags::from_bits_retain(state.msr.fmask));
    let selector = (state.msr.star >> 32) as u16 & !3;
    let target = state.msr.lstar;
    enter_flat(state, mmu, (selector, selector.wrapping_add(8)), 0, LONG, target);
    Ok(())
}

/// SYSRET with `operand_bits` of 64 (to 64-bit mode) or 32 (to compatibility mode). A return
/// address that is not canonical faults here, at privilege level 0 (SDM, SYSRET).
///
/// # Errors
/// #UD outside 64-bit mode or without EFER.SCE, #GP(0) at a privilege level other than 0 or on a
/// return address that is not canonical; the state is then untouched.
#[inline]
pub(crate) fn sysret(
    state: &mut CpuState,
    mmu: &mut Mmu,
    operand_bits: u32,
) -> Result<(), Exception> {
    const RESTORED: u64 = 0x3c_7fd7;
    enabled(state)?;
    let target = state.gpr[Register::Rcx];
    let to_64bit = operand_bits == 64;
    if state.cpl() != 0 || to_64bit && !is_canonical(state, target) {
        return Err(Exception::GP0);
    }
    state.rflags = RFlags::from_bits_retain(state.gpr[Register::R11] & RESTORED | 2);
    let selector = (state.msr.star >> 48) as u16;
    let (cs, size, target) = if to_64bit {
        (selector.wrapping_add(16), LONG, target)
    } else {
        (selector, DEFAULT_BIG, target & 0xffff_ffff)
    };
    enter_flat(state, mmu, (cs | 3, selector.wrapping_add(8) | 3), 3, size, target);
    Ok(())
}

/// SYSENTER (SDM, SYSENTER).
///
/// # Errors
/// #GP(0) outside protected mode or with a NULL IA32_SYSENTER_CS; the state is then untouched.
pub(crate) fn sysenter(state: &mut CpuState, mmu: &mut Mmu) -> Result<(), Exception> {
    let selector = sysenter_selector(state)?;
    let cleared = RFlags::VIRTUAL_8086_MODE | RFlags::INTERRUPT_FLAG;
    state.rflags = code::without(state.rflags, cleared);
    let long = state.long_mode();
    let (size, mask) = if long { (LONG, u64::MAX) } else { (DEFAULT_BIG, 0xffff_ffff) };
    state.gpr[Register::Rsp] = state.msr.sysenter_esp & mask;
    let target = state.msr.sysenter_eip & mask;
    enter_flat(state, mmu, (selector, selector.wrapping_add(8)), 0, size, target);
    Ok(())
}

/// SYSEXIT with `operand_bits` of 64 (to 64-bit mode) or 32 (SDM, SYSEXIT).
///
/// # Errors
/// #GP(0) outside protected mode, with a NULL IA32_SYSENTER_CS, at a privilege level other than 0,
/// or on addresses that are not canonical; the state is then untouched.
pub(crate) fn sysexit(
    state: &mut CpuState,
    mmu: &mut Mmu,
    operand_bits: u32,
) -> Result<(), Exception> {
    let selector = sysenter_selector(state)?;
    let (pointer, target) = (state.gpr[Register::Rcx], state.gpr[Register::Rdx]);
    let to_64bit = operand_bits == 64;
    if state.cpl() != 0
        || to_64bit && !(is_canonical(state, pointer) && is_canonical(state, target))
    {
        return Err(Exception::GP0);
    }
    let (distance, size, mask) =
        if to_64bit { (32, LONG, u64::MAX) } else { (16, DEFAULT_BIG, 0xffff_ffff) };
    let cs = selector.wrapping_add(distance) | 3;
    state.gpr[Register::Rsp] = pointer & mask;
    enter_flat(state, mmu, (cs, cs.wrapping_add(8)), 3, size, target & mask);
    Ok(())
}

fn enabled(state: &CpuState) -> Result<(), Exception> {
    let enabled = state.control.efer.contains(EferFlags::SYSTEM_CALL_EXTENSIONS);
    if state.mode_64bit() && enabled { Ok(()) } else { Err(Exception::UD) }
}

fn sysenter_selector(state: &CpuState) -> Result<u16, Exception> {
    let selector = state.msr.sysenter_cs as u16 & !3;
    if state.protected() && selector != 0 { Ok(selector) } else { Err(Exception::GP0) }
}

/// Commits flat segments with privilege level `cpl` and continues at `target`.
fn enter_flat(
    state: &mut CpuState,
    mmu: &mut Mmu,
    (cs, ss): (u16, u16),
    cpl: u8,
    size: u32,
    target: u64,
) {
    let flat = |selector, rights| Segment {
        base: 0,
        limit: u32::MAX,
        access: Access(rights).with_dpl(cpl),
        selector,
    };
    state.segments[SegmentRegister::Ss] = flat(ss, STACK);
    code::enter(state, mmu, flat(cs, CODE | size), target);
}
