//! IRET, IRETD and IRETQ (SDM, IRET).

use super::code;
use super::descriptor::rpl;
use super::segment::{invalidate_inner, stack_segment};
use super::stack::{Stack, replace_pointer};
use crate::paging::Mmu;
use crate::state::{CpuState, Exception, RFlags, Register, Segment, SegmentRegister};

/// Returns from an interrupt with `operand_bits` of 16, 32 or 64, and ends the blocking of NMIs.
///
/// Hardware task switches and virtual-8086 mode are absent: NT set raises #GP(0), which is IA-32e
/// mode's own rule, and so does an image with VM set at privilege level 0.
///
/// # Errors
/// #GP, #SS, #NP, #PF or #AC; the state is then untouched.
pub(crate) fn iret(
    state: &mut CpuState,
    mmu: &mut Mmu,
    operand_bits: u32,
) -> Result<(), Exception> {
    let protected = state.protected();
    if protected && state.rflags.contains(RFlags::NESTED_TASK) {
        return Err(Exception::GP0);
    }
    let mut stack = Stack::current(state, Exception::SS0);
    let [rip, selector, image] = stack.pop_all(state, mmu, operand_bits)?;
    let selector = selector as u16;
    if protected {
        to_protected_mode(state, mmu, operand_bits, stack, (selector, rip, image))?;
    } else {
        let cs = code::in_real_mode(state, selector);
        if !code::holds(state, &cs, rip) {
            return Err(Exception::GP0);
        }
        state.gpr[Register::Rsp] = stack.pointer;
        state.rflags = restored_flags(state, image, operand_bits);
        code::enter(state, mmu, cs, rip);
    }
    state.shadow.nmi = false;
    Ok(())
}

fn to_protected_mode(
    state: &mut CpuState,
    mmu: &mut Mmu,
    operand_bits: u32,
    mut stack: Stack,
    (selector, rip, image): (u16, u64, u64),
) -> Result<(), Exception> {
    let to_virtual_8086 = image & RFlags::VIRTUAL_8086_MODE.bits() != 0
        && operand_bits == 32
        && state.cpl() == 0
        && !state.long_mode();
    if to_virtual_8086 {
        return Err(Exception::GP0);
    }
    let cs = code::returned_to(state, mmu, selector)?;
    let cpl = rpl(cs.selector);
    let outer = cpl > state.cpl();
    // In 64-bit mode the stack is restored on every return.
    let returned = if outer || state.mode_64bit() {
        let [pointer, selector] = stack.pop_all(state, mmu, operand_bits)?;
        let into_64bit = code::is_64bit(state, &cs);
        Some((stack_segment(state, mmu, selector as u16, cpl, into_64bit)?, pointer))
    } else {
        None
    };
    if !code::holds(state, &cs, rip) {
        return Err(Exception::GP0);
    }

    state.rflags = restored_flags(state, image, operand_bits);
    match returned {
        Some((segment, pointer)) => switch_stack(state, &cs, segment, pointer),
        None => state.gpr[Register::Rsp] = stack.pointer,
    }
    if outer {
        invalidate_inner(state, cpl);
    }
    code::enter(state, mmu, cs, rip);
    Ok(())
}

/// Commits the stack that code in `cs` returns to.
pub(super) fn switch_stack(state: &mut CpuState, cs: &Segment, segment: Segment, pointer: u64) {
    let bits = match (code::is_64bit(state, cs), segment.access.default_big()) {
        (true, _) => 64,
        (false, true) => 32,
        (false, false) => 16,
    };
    let rsp = &mut state.gpr[Register::Rsp];
    *rsp = replace_pointer(*rsp, pointer, bits);
    state.segments[SegmentRegister::Ss] = segment;
}

/// RFLAGS out of the popped image: which bits change depends on the operand's width and on the
/// privilege level that IRET is executed at.
fn restored_flags(state: &CpuState, image: u64, operand_bits: u32) -> RFlags {
    const ALWAYS: RFlags = crate::state::ARITHMETIC
        .union(RFlags::TRAP_FLAG)
        .union(RFlags::DIRECTION_FLAG)
        .union(RFlags::NESTED_TASK);
    const WIDE: RFlags = RFlags::RESUME_FLAG.union(RFlags::ALIGNMENT_CHECK).union(RFlags::ID);
    const VIRTUAL_INTERRUPT: RFlags =
        RFlags::VIRTUAL_INTERRUPT.union(RFlags::VIRTUAL_INTERRUPT_PENDING);

    let real = !state.protected();
    let privileged = real || state.cpl() == 0;
    let mut changed = ALWAYS;
    if operand_bits > 16 {
        changed |= WIDE;
        changed.set(VIRTUAL_INTERRUPT, privileged && !real);
    }
    changed.set(RFlags::IOPL_LOW | RFlags::IOPL_HIGH, privileged);
    changed.set(RFlags::INTERRUPT_FLAG, real || may_change_if(state));
    RFlags::from_bits_retain(state.rflags.bits() & !changed.bits() | image & changed.bits() | 2)
}

fn may_change_if(state: &CpuState) -> bool {
    u64::from(state.cpl()) <= state.rflags.bits() >> 12 & 3
}
