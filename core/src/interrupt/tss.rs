//! Stack pointers out of the task-state segment (SDM, "Task-State Segment", "64-Bit Task State
//! Segment").

use super::access::{fault, read_system, table_address};
use super::descriptor::{Descriptor, is_null, kind, rpl};
use super::segment::{is_writable_data, null_segment};
use super::stack::Stack;
use crate::memory::Width;
use crate::paging::{Mmu, is_canonical};
use crate::state::{CpuState, Exception, Register, SegmentRegister, Vector};

/// The stack of privilege level `cpl` outside IA-32e mode: SS:ESP or SS:SP from the TSS, checked
/// (SDM, INT n, "inter-privilege-level interrupt"; CALL, "more privilege").
pub(super) fn inner_stack(
    state: &CpuState,
    mmu: &mut Mmu,
    cpl: u8,
    external: bool,
) -> Result<Stack, Exception> {
    let level = u32::from(cpl);
    let tss_kind = state.segments[SegmentRegister::Tr].access.kind();
    let (pointer, selector) = if matches!(tss_kind, kind::TSS_16 | kind::TSS_16_BUSY) {
        let start = level * 4 + 2;
        check(state, start + 3, external)?;
        let pointer = u64::from(field::<u16>(state, mmu, start, external)?);
        (pointer, field::<u16>(state, mmu, start + 2, external)?)
    } else {
        let start = level * 8 + 4;
        check(state, start + 5, external)?;
        let pointer = u64::from(field::<u32>(state, mmu, start, external)?);
        (pointer, field::<u16>(state, mmu, start + 4, external)?)
    };
    let invalid = |selector| fault(Vector::InvalidTss, selector, external);
    if is_null(selector) {
        return Err(invalid(0));
    }
    let Some(mut descriptor) = Descriptor::find(state, mmu, selector, external)? else {
        return Err(invalid(selector));
    };
    let access = descriptor.access();
    if rpl(selector) != cpl || access.dpl() != cpl || !is_writable_data(access) {
        return Err(invalid(selector));
    }
    let stack_fault = fault(Vector::StackFault, selector, external);
    if !access.present() {
        return Err(stack_fault);
    }
    descriptor.mark_accessed(state, mmu, external)?;
    let segment = descriptor.segment(selector);
    let bits = if access.default_big() { 32 } else { 16 };
    Ok(Stack::inner(segment, (state.gpr[Register::Rsp], pointer), bits, cpl, stack_fault))
}

/// RSP`cpl` of a 64-bit TSS, with the NULL selector that goes with it.
pub(super) fn inner_stack_64bit(
    state: &CpuState,
    mmu: &mut Mmu,
    cpl: u8,
    external: bool,
) -> Result<Stack, Exception> {
    let pointer = pointer_64bit(state, mmu, u32::from(cpl) * 8 + 4, external)?;
    Ok(flat_stack(pointer, cpl, external))
}

/// The interrupt stack `index` (1 to 7) of a 64-bit TSS, for a handler at privilege level `cpl`.
pub(super) fn interrupt_stack(
    state: &CpuState,
    mmu: &mut Mmu,
    index: u8,
    cpl: u8,
    external: bool,
) -> Result<Stack, Exception> {
    let pointer = pointer_64bit(state, mmu, u32::from(index) * 8 + 28, external)?;
    Ok(flat_stack(pointer, cpl, external))
}

fn flat_stack(pointer: u64, cpl: u8, external: bool) -> Stack {
    let segment = null_segment(u16::from(cpl), cpl);
    Stack::inner(segment, (0, pointer), 64, cpl, fault(Vector::StackFault, 0, external))
}

fn pointer_64bit(
    state: &CpuState,
    mmu: &mut Mmu,
    offset: u32,
    external: bool,
) -> Result<u64, Exception> {
    check(state, offset + 7, external)?;
    let pointer = field(state, mmu, offset, external)?;
    if is_canonical(state, pointer) {
        Ok(pointer)
    } else {
        Err(fault(Vector::StackFault, 0, external))
    }
}

fn check(state: &CpuState, last: u32, external: bool) -> Result<(), Exception> {
    let task = &state.segments[SegmentRegister::Tr];
    if task.access.unusable() || last > task.limit {
        return Err(fault(Vector::InvalidTss, task.selector, external));
    }
    Ok(())
}

fn field<W: Width>(
    state: &CpuState,
    mmu: &mut Mmu,
    offset: u32,
    external: bool,
) -> Result<W, Exception> {
    let base = state.segments[SegmentRegister::Tr].base;
    let linear = table_address(state, base, u64::from(offset));
    read_system(state, mmu, linear, external)
}
