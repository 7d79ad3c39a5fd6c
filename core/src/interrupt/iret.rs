//! IRET, IRETD and IRETQ (SDM, IRET).

use super::code;
use super::descriptor::rpl;
use super::segment::{invalidate_inner, stack_segment};
use super::stack::{Stack, replace_pointer};
use super::task::{self, Resumption};
use super::virtual_8086::{self, virtual_interrupt_flag};
use crate::paging::Mmu;
use crate::state::{CpuState, Exception, RFlags, Register, Segment, SegmentRegister};

/// Returns from an interrupt with `operand_bits` of 16, 32 or 64, and ends the blocking of NMIs, if it
/// faults as well (SDM, "Handling Multiple NMIs").
///
/// `state.rip` is the next instruction, where a task that is left for the one that it is nested in
/// goes on.
///
/// # Errors
/// #GP, #SS, #TS, #NP, #PF or #AC; the other state is then untouched.
pub(crate) fn iret(
    state: &mut CpuState,
    mmu: &mut Mmu,
    operand_bits: u32,
) -> Result<(), Exception> {
    state.shadow.nmi = false;
    if state.has_descriptors() && state.rflags.contains(RFlags::NESTED_TASK) {
        if state.long_mode() {
            return Err(Exception::GP0);
        }
        let resumption = Resumption { rip: state.rip, rflags: state.rflags };
        task::resume_outer(state, mmu, resumption)?;
    } else {
        let mut stack = Stack::current(state, Exception::SS0);
        if state.has_descriptors() {
            let [rip, selector, image] = stack.pop_all(state, mmu, operand_bits)?;
            let place = (selector as u16, rip, image);
            to_protected_mode(state, mmu, operand_bits, stack, place)?;
        } else {
            within_paragraphs(state, mmu, operand_bits, stack)?;
        }
    }
    Ok(())
}

/// In real-address mode, or from virtual-8086 mode to itself.
fn within_paragraphs(
    state: &mut CpuState,
    mmu: &mut Mmu,
    operand_bits: u32,
    mut stack: Stack,
) -> Result<(), Exception> {
    if state.virtual_8086() {
        virtual_8086::require_flags(state, operand_bits)?;
    }
    let [rip, selector, image] = stack.pop_all(state, mmu, operand_bits)?;
    let cs = code::by_paragraph(state, selector as u16);
    if !code::holds(state, &cs, rip) {
        return Err(Exception::GP0);
    }
    let mut rflags = restored_flags(state, image, operand_bits);
    if state.virtual_8086() && state.iopl() < 3 {
        let image = RFlags::from_bits_retain(image);
        let enabled = virtual_interrupt_flag(state.rflags, image).ok_or(Exception::GP0)?;
        rflags.set(RFlags::VIRTUAL_INTERRUPT, enabled);
    }
    state.gpr[Register::Rsp] = stack.pointer;
    state.rflags = rflags;
    code::enter(state, mmu, cs, rip);
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
        return virtual_8086::enter(state, mmu, stack, (selector, rip, image));
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
    state.cpl() <= state.iopl()
}
