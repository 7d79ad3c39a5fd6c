//! Accesses to descriptor tables, task-state segments and stacks, with the memory's errors turned
//! into exceptions.
//!
//! Invariant: no access here asks the host for a device's data. A device in the place of a table
//! or a stack reads all ones.

use crate::memory::Width;
use crate::paging::{AccessError, AccessKind, Mmu, Privilege};
use crate::state::{CpuState, Exception, Vector};

/// An exception whose error code names a selector (or 0) and says in EXT whether the event under
/// delivery is external to the program (SDM, "Error Code").
pub(super) fn fault(vector: Vector, selector: u16, external: bool) -> Exception {
    Exception::with_code(vector, u32::from(selector & !3) | u32::from(external))
}

/// A linear address in a table or segment at `base`: addresses wrap at 4 GiB outside IA-32e mode.
pub(super) fn table_address(state: &CpuState, base: u64, offset: u64) -> u64 {
    let linear = base.wrapping_add(offset);
    if state.long_mode() { linear } else { linear & 0xffff_ffff }
}

/// Reads; an address that is not canonical raises `non_canonical`.
pub(super) fn read<W: Width>(
    state: &CpuState,
    mmu: &mut Mmu,
    linear: u64,
    privilege: Privilege,
    non_canonical: Exception,
) -> Result<W, Exception> {
    match mmu.read(state, linear, privilege) {
        Err(AccessError::Device(_)) => Ok(W::truncate(u64::MAX)),
        result => result.map_err(|error| exception(error, non_canonical)),
    }
}

/// Reads from a descriptor table or task-state segment.
pub(super) fn read_system<W: Width>(
    state: &CpuState,
    mmu: &mut Mmu,
    linear: u64,
    external: bool,
) -> Result<W, Exception> {
    let non_canonical = fault(Vector::GeneralProtection, 0, external);
    read(state, mmu, linear, Privilege::System, non_canonical)
}

/// Writes to a task-state segment; the caller has found out that it can.
pub(super) fn write_system<W: Width>(
    state: &CpuState,
    mmu: &mut Mmu,
    linear: u64,
    value: W,
) -> Result<(), Exception> {
    write(state, mmu, linear, value, Privilege::System, Exception::GP0)
}

/// Writes; an address that is not canonical raises `non_canonical`.
pub(super) fn write<W: Width>(
    state: &CpuState,
    mmu: &mut Mmu,
    linear: u64,
    value: W,
    privilege: Privilege,
    non_canonical: Exception,
) -> Result<(), Exception> {
    ignore_device(mmu.write(state, linear, value, privilege), non_canonical)
}

/// Finds out whether a write would fault.
pub(super) fn probe_write(
    state: &CpuState,
    mmu: &mut Mmu,
    linear: u64,
    length: u32,
    privilege: Privilege,
    non_canonical: Exception,
) -> Result<(), Exception> {
    ignore_device(mmu.probe(state, linear, length, AccessKind::Write, privilege), non_canonical)
}

/// Sets bits of a descriptor's type byte by a locked operation.
pub(super) fn set_type_bits(
    state: &CpuState,
    mmu: &mut Mmu,
    linear: u64,
    bits: u8,
    external: bool,
) -> Result<(), Exception> {
    let result = mmu.modify_as(state, linear, true, Privilege::System, |kind: u8| kind | bits);
    ignore_device(result.map(|_| ()), fault(Vector::GeneralProtection, 0, external))
}

/// Clears bits of a descriptor's type byte by a locked operation.
pub(super) fn clear_type_bits(
    state: &CpuState,
    mmu: &mut Mmu,
    linear: u64,
    bits: u8,
) -> Result<(), Exception> {
    let result = mmu.modify_as(state, linear, true, Privilege::System, |kind: u8| kind & !bits);
    ignore_device(result.map(|_| ()), Exception::GP0)
}

fn ignore_device(
    result: Result<(), AccessError>,
    non_canonical: Exception,
) -> Result<(), Exception> {
    match result {
        Err(AccessError::Device(_)) => Ok(()),
        result => result.map_err(|error| exception(error, non_canonical)),
    }
}

fn exception(error: AccessError, non_canonical: Exception) -> Exception {
    match error {
        AccessError::Exception(exception) => exception,
        // A byte, as is all that is locked here, is never split.
        AccessError::NonCanonical | AccessError::Device(_) | AccessError::Split => non_canonical,
    }
}
