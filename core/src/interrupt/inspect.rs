//! LAR, LSL, VERR and VERW: what the current privilege level may know of a segment. `None` and
//! `false` are the instructions' ZF = 0. The callers raise #UD outside protected mode.

use super::descriptor::{Descriptor, is_null, kind, rpl};
use crate::paging::Mmu;
use crate::state::{Access, CpuState, Exception};

/// LAR: the second doubleword of the descriptor, masked (SDM, LAR).
///
/// # Errors
/// #PF on the descriptor table, or #GP(0) if the table is not at a canonical address.
pub(crate) fn access_rights(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
) -> Result<Option<u32>, Exception> {
    use kind::{CALL_GATE, CALL_GATE_16, LDT, TASK_GATE, TSS, TSS_16, TSS_16_BUSY, TSS_BUSY};
    let long = state.long_mode();
    let described = visible(state, mmu, selector, |system| match system {
        LDT | TSS | TSS_BUSY | CALL_GATE => true,
        TSS_16 | TSS_16_BUSY | CALL_GATE_16 | TASK_GATE => !long,
        _ => false,
    })?;
    Ok(described.map(|descriptor| (descriptor.raw >> 32) as u32 & 0x00f0_ff00))
}

/// LSL: the segment's limit in bytes (SDM, LSL).
///
/// # Errors
/// As [`access_rights`].
pub(crate) fn segment_limit(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
) -> Result<Option<u32>, Exception> {
    let long = state.long_mode();
    let described = visible(state, mmu, selector, |system| match system {
        kind::LDT | kind::TSS | kind::TSS_BUSY => true,
        kind::TSS_16 | kind::TSS_16_BUSY => !long,
        _ => false,
    })?;
    Ok(described.map(|descriptor| descriptor.limit()))
}

/// VERR: whether the segment can be read from the current privilege level (SDM, VERR/VERW).
///
/// # Errors
/// As [`access_rights`].
pub(crate) fn readable(state: &CpuState, mmu: &mut Mmu, selector: u16) -> Result<bool, Exception> {
    let described = visible(state, mmu, selector, |_| false)?;
    Ok(described.is_some_and(|descriptor| {
        let access = descriptor.access();
        !access.code() || access.readable_or_writable()
    }))
}

/// VERW: whether the segment can be written from the current privilege level (SDM, VERR/VERW).
///
/// # Errors
/// As [`access_rights`].
pub(crate) fn writable(state: &CpuState, mmu: &mut Mmu, selector: u16) -> Result<bool, Exception> {
    let described = visible(state, mmu, selector, |_| false)?;
    Ok(described.is_some_and(|descriptor| super::segment::is_writable_data(descriptor.access())))
}

/// The descriptor, if it is in its table, of a kind that may be asked for, and not too privileged.
fn visible(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
    system: impl Fn(u8) -> bool,
) -> Result<Option<Descriptor>, Exception> {
    if is_null(selector) {
        return Ok(None);
    }
    let found = Descriptor::find(state, mmu, selector, false)?;
    Ok(found.filter(|descriptor| {
        let access = descriptor.access();
        (access.code_or_data() || system(access.kind()))
            && (is_conforming_code(access) || rpl(selector).max(state.cpl()) <= access.dpl())
    }))
}

fn is_conforming_code(access: Access) -> bool {
    access.code() && access.conforming_or_expand_down()
}
