//! Checks of code segments, by the way they are entered, and what all ways have in common.

use super::access::fault;
use super::descriptor::{Descriptor, is_null, rpl};
use super::segment;
use crate::paging::{Mmu, is_canonical};
use crate::state::{Access, CpuState, Exception, RFlags, Segment, SegmentRegister, Vector};

/// Conforming code segments keep the privilege level of their caller.
pub(super) fn is_conforming(access: Access) -> bool {
    access.conforming_or_expand_down()
}

/// The code segment that `selector` of a direct JMP or CALL names (SDM, JMP and CALL,
/// "conforming" and "nonconforming code segment").
pub(super) fn direct(
    state: &CpuState,
    mmu: &mut Mmu,
    mut descriptor: Descriptor,
    selector: u16,
) -> Result<Segment, Exception> {
    let access = descriptor.access();
    let cpl = state.cpl();
    let denied = if is_conforming(access) {
        access.dpl() > cpl
    } else {
        rpl(selector) > cpl || access.dpl() != cpl
    };
    if impossible_in_long_mode(state, access) || denied {
        return Err(Exception::gp(selector));
    }
    present(access, selector, false)?;
    descriptor.mark_accessed(state, mmu, false)?;
    Ok(descriptor.segment(selector & !3 | u16::from(cpl)))
}

/// The code segment that a gate leads to (SDM, INT n and CALL, "call gate"). Its selector's RPL
/// becomes the privilege level of the code. With `jump` that must be the current one, which only a
/// call or an event may raise.
pub(super) fn behind_gate(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
    external: bool,
    jump: bool,
) -> Result<Segment, Exception> {
    let denied = |selector| fault(Vector::GeneralProtection, selector, external);
    if is_null(selector) {
        return Err(denied(0));
    }
    let mut descriptor =
        Descriptor::read(state, mmu, selector, Vector::GeneralProtection, external)?;
    let access = descriptor.access();
    let only_64bit = state.long_mode() && (!access.long() || access.default_big());
    let cpl = if is_conforming(access) { state.cpl() } else { access.dpl() };
    let more_privileged = jump && cpl != state.cpl();
    if !access.code() || access.dpl() > state.cpl() || only_64bit || more_privileged {
        return Err(denied(selector));
    }
    present(access, selector, external)?;
    descriptor.mark_accessed(state, mmu, external)?;
    Ok(descriptor.segment(selector & !3 | u16::from(cpl)))
}

/// The code segment that a far return or IRET goes back to (SDM, RET and IRET). Its selector's RPL
/// becomes the privilege level.
pub(super) fn returned_to(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
) -> Result<Segment, Exception> {
    if is_null(selector) {
        return Err(Exception::GP0);
    }
    let mut descriptor = Descriptor::read(state, mmu, selector, Vector::GeneralProtection, false)?;
    let access = descriptor.access();
    let level = rpl(selector);
    let denied = if is_conforming(access) { access.dpl() > level } else { access.dpl() != level };
    if !access.code() || level < state.cpl() || denied || impossible_in_long_mode(state, access) {
        return Err(Exception::gp(selector));
    }
    present(access, selector, false)?;
    descriptor.mark_accessed(state, mmu, false)?;
    Ok(descriptor.segment(selector))
}

/// CS after a transfer in real-address or virtual-8086 mode.
pub(super) fn by_paragraph(state: &CpuState, selector: u16) -> Segment {
    segment::by_paragraph(state, SegmentRegister::Cs, selector)
}

/// Whether code in `segment` will run in 64-bit mode.
pub(super) fn is_64bit(state: &CpuState, segment: &Segment) -> bool {
    state.long_mode() && segment.access.long()
}

/// Whether `rip` is a place to execute at: within the limit, or canonical in 64-bit mode.
pub(super) fn holds(state: &CpuState, segment: &Segment, rip: u64) -> bool {
    if is_64bit(state, segment) {
        is_canonical(state, rip)
    } else {
        rip <= u64::from(segment.limit)
    }
}

/// Commits a transfer.
pub(super) fn enter(state: &mut CpuState, mmu: &mut Mmu, segment: Segment, rip: u64) {
    state.segments[SegmentRegister::Cs] = segment;
    state.rip = rip;
    mmu.update_mode(state);
}

/// Flags with some cleared and the always-set bit 1.
pub(super) fn without(rflags: RFlags, cleared: RFlags) -> RFlags {
    RFlags::from_bits_retain(rflags.bits() & !cleared.bits() | 2)
}

fn present(access: Access, selector: u16, external: bool) -> Result<(), Exception> {
    if access.present() {
        return Ok(());
    }
    Err(fault(Vector::SegmentNotPresent, selector, external))
}

/// L and D both set is reserved (SDM, "Code Segment Descriptor in 64-bit Mode").
fn impossible_in_long_mode(state: &CpuState, access: Access) -> bool {
    state.long_mode() && access.long() && access.default_big()
}
