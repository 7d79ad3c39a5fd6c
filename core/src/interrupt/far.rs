//! Far JMP and far CALL, direct and through call gates (SDM, JMP and CALL).

use heapless::Vec;

use super::access::fault;
use super::code;
use super::descriptor::{Descriptor, is_null, kind, rpl};
use super::gate::Gate;
use super::stack::Stack;
use super::task::{self, Cause, Resumption};
use super::tss;
use crate::paging::Mmu;
use crate::state::{CpuState, Exception, Register, Segment, SegmentRegister, Vector};

/// Jumps to `selector:offset`; `offset` is as wide as the operand. `state.rip` is the next
/// instruction, where a task that is left goes on.
///
/// # Errors
/// #GP, #TS, #NP or #PF; the state is then untouched.
pub(crate) fn far_jump(
    state: &mut CpuState,
    mmu: &mut Mmu,
    selector: u16,
    offset: u64,
) -> Result<(), Exception> {
    let (cs, rip) = match target(state, mmu, selector)? {
        Target::Code(cs) => (cs, offset),
        Target::Gate(gate) => {
            (code::behind_gate(state, mmu, gate.selector, false, true)?, gate.offset)
        }
        Target::Task(task) => return switch(state, mmu, task, Cause::Jump, state.rip),
    };
    if !code::holds(state, &cs, rip) {
        return Err(Exception::GP0);
    }
    code::enter(state, mmu, cs, rip);
    Ok(())
}

/// Calls `selector:offset` with `operand_bits` of 16, 32 or 64; the callee returns to `return_rip`.
///
/// # Errors
/// #GP, #SS, #TS, #NP, #PF or #AC; the state is then untouched.
pub(crate) fn far_call(
    state: &mut CpuState,
    mmu: &mut Mmu,
    selector: u16,
    offset: u64,
    operand_bits: u32,
    return_rip: u64,
) -> Result<(), Exception> {
    match target(state, mmu, selector)? {
        Target::Code(cs) => {
            let stack = Stack::current(state, Exception::SS0);
            commit_call(state, mmu, (cs, offset), stack, &place(state, return_rip), operand_bits)
        }
        Target::Gate(gate) => through_gate(state, mmu, &gate, return_rip),
        Target::Task(task) => switch(state, mmu, task, Cause::Call, return_rip),
    }
}

enum Target {
    Code(Segment),
    Gate(Gate),
    /// The selector of a TSS.
    Task(u16),
}

fn switch(
    state: &mut CpuState,
    mmu: &mut Mmu,
    selector: u16,
    cause: Cause,
    rip: u64,
) -> Result<(), Exception> {
    let resumption = Resumption { rip, rflags: state.rflags };
    task::switch(state, mmu, selector, cause, resumption)
}

/// What the selector of a far pointer names.
fn target(state: &CpuState, mmu: &mut Mmu, selector: u16) -> Result<Target, Exception> {
    if !state.has_descriptors() {
        return Ok(Target::Code(code::by_paragraph(state, selector)));
    }
    if is_null(selector) {
        return Err(Exception::GP0);
    }
    let descriptor = Descriptor::read(state, mmu, selector, Vector::GeneralProtection, false)?;
    let access = descriptor.access();
    if access.code() {
        return code::direct(state, mmu, descriptor, selector).map(Target::Code);
    }
    let long = state.long_mode();
    let possible = match access.kind() {
        kind::CALL_GATE => true,
        kind::CALL_GATE_16 | kind::TASK_GATE | kind::TSS | kind::TSS_16 => !long,
        _ => false,
    };
    let denied = access.dpl() < rpl(selector).max(state.cpl());
    if access.code_or_data() || !possible || denied {
        return Err(Exception::gp(selector));
    }
    if matches!(access.kind(), kind::TSS | kind::TSS_16) {
        return Ok(Target::Task(selector));
    }
    let gate = if long {
        Gate::long(descriptor.raw, descriptor.upper(state, mmu, selector)?)
    } else {
        Gate::legacy(descriptor.raw)
    };
    if !access.present() {
        return Err(fault(Vector::SegmentNotPresent, selector, false));
    }
    Ok(match access.kind() {
        kind::TASK_GATE => Target::Task(gate.selector),
        _ => Target::Gate(gate),
    })
}

fn through_gate(
    state: &mut CpuState,
    mmu: &mut Mmu,
    gate: &Gate,
    return_rip: u64,
) -> Result<(), Exception> {
    let cs = code::behind_gate(state, mmu, gate.selector, false, false)?;
    let cpl = rpl(cs.selector);
    let place = place(state, return_rip);
    if cpl == state.cpl() {
        let stack = match gate.bits {
            64 => Stack::current_flat(state, Exception::SS0),
            _ => Stack::current(state, Exception::SS0),
        };
        return commit_call(state, mmu, (cs, gate.offset), stack, &place, gate.bits);
    }
    let stack = match gate.bits {
        64 => tss::inner_stack_64bit(state, mmu, cpl, false)?,
        _ => tss::inner_stack(state, mmu, cpl, false)?,
    };
    // SS, RSP, up to 31 parameters, CS, RIP.
    let mut frame: Vec<u64, 35> =
        [u64::from(state.segments[SegmentRegister::Ss].selector), state.gpr[Register::Rsp]]
            .into_iter()
            .collect();
    frame.extend(parameters(state, mmu, gate)?);
    frame.extend(place);
    commit_call(state, mmu, (cs, gate.offset), stack, &frame, gate.bits)
}

/// The caller's parameters, in the order in which they are pushed anew. 64-bit gates copy none.
fn parameters(state: &CpuState, mmu: &mut Mmu, gate: &Gate) -> Result<Vec<u64, 31>, Exception> {
    let mut copied = Vec::new();
    if gate.bits != 64 {
        let mut stack = Stack::current(state, Exception::SS0);
        for _ in 0..gate.parameters() {
            copied.extend([stack.pop(state, mmu, gate.bits)?]);
        }
        copied.reverse();
    }
    Ok(copied)
}

/// The return address, as it is pushed.
fn place(state: &CpuState, return_rip: u64) -> [u64; 2] {
    [u64::from(state.segments[SegmentRegister::Cs].selector), return_rip]
}

fn commit_call(
    state: &mut CpuState,
    mmu: &mut Mmu,
    (cs, rip): (Segment, u64),
    mut stack: Stack,
    frame: &[u64],
    item_bits: u32,
) -> Result<(), Exception> {
    stack.probe(state, mmu, frame.len(), item_bits)?;
    if !code::holds(state, &cs, rip) {
        return Err(Exception::GP0);
    }
    stack.push(state, mmu, frame, item_bits)?;
    state.gpr[Register::Rsp] = stack.pointer;
    if state.has_descriptors() && rpl(cs.selector) < state.cpl() {
        state.segments[SegmentRegister::Ss] = stack.segment;
    }
    code::enter(state, mmu, cs, rip);
    Ok(())
}
