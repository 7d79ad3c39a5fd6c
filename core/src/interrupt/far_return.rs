//! Far RET (SDM, RET, "far returns").

use super::code;
use super::descriptor::rpl;
use super::iret::switch_stack;
use super::segment::{invalidate_inner, stack_segment};
use super::stack::Stack;
use crate::paging::Mmu;
use crate::state::{CpuState, Exception, Register};

/// Returns to another segment with `operand_bits` of 16, 32 or 64, and releases `release_bytes` of
/// parameters.
///
/// # Errors
/// #GP, #SS, #NP, #PF or #AC; the state is then untouched.
pub(crate) fn far_return(
    state: &mut CpuState,
    mmu: &mut Mmu,
    operand_bits: u32,
    release_bytes: u16,
) -> Result<(), Exception> {
    let release = u64::from(release_bytes);
    let mut stack = Stack::current(state, Exception::SS0);
    let rip = stack.pop(state, mmu, operand_bits)?;
    let selector = stack.pop(state, mmu, operand_bits)? as u16;
    stack.advance(release);
    let descriptors = state.has_descriptors();
    let cs = if descriptors {
        code::returned_to(state, mmu, selector)?
    } else {
        code::by_paragraph(state, selector)
    };
    let cpl = rpl(cs.selector);
    let outer = descriptors && cpl > state.cpl();
    let returned = if outer {
        let pointer = stack.pop(state, mmu, operand_bits)?;
        let selector = stack.pop(state, mmu, operand_bits)? as u16;
        let into_64bit = code::is_64bit(state, &cs);
        Some((stack_segment(state, mmu, selector, cpl, into_64bit)?, pointer))
    } else {
        None
    };
    if !code::holds(state, &cs, rip) {
        return Err(Exception::GP0);
    }

    if let Some((segment, pointer)) = returned {
        switch_stack(state, &cs, segment, pointer.wrapping_add(release));
        invalidate_inner(state, cpl);
    } else {
        state.gpr[Register::Rsp] = stack.pointer;
    }
    code::enter(state, mmu, cs, rip);
    Ok(())
}
