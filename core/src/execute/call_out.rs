//! Ops that call an ordinary function: every instruction that is not worth a handler of its own.
//!
//! The function reads and writes its operands through [`super::operand`], and returns what stops
//! it. Before a function that touches status flags the emitter materialises them, so they are in
//! `Cpu::status`.

use super::dispatch::{Flow, Frame, LEFT, next};
use super::op::{Detail, Op};
use super::{Cpu, Leave};
use crate::state::RFlags;

/// Calls the function and goes on with the next op.
pub(crate) unsafe extern "C" fn call_out(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    if call(cpu, op) {
        let Frame { res, src, budget, .. } = cpu.frame;
        next!(cpu, op.wrapping_add(Detail::SLOTS), res, src, budget)
    }
    LEFT
}

/// Calls the first part of an instruction that the next op completes: nothing comes between.
pub(crate) unsafe extern "C" fn call_out_within(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    // SAFETY: the slots behind a call-out op are its detail.
    let detail = unsafe { &*op.add(1).cast::<Detail>() };
    if let Err(leave) = call_counted(cpu, detail) {
        cpu.leave = leave;
        return LEFT;
    }
    let Frame { res, src, budget, .. } = cpu.frame;
    next!(cpu, op.wrapping_add(Detail::SLOTS), res, src, budget)
}

/// Calls the function with the instructions before it counted, for the clock's sake.
fn call_counted(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let before = i64::from(detail.index);
    cpu.frame.budget -= before;
    let result = (detail.function)(cpu, detail);
    cpu.frame.budget += before;
    result
}

/// Whether the function has completed and nothing else wants attention.
#[inline(never)]
fn call(cpu: &mut Cpu, op: *const Op) -> bool {
    // SAFETY: the slots behind a call-out op are its detail.
    let detail = unsafe { &*op.add(1).cast::<Detail>() };
    match call_counted(cpu, detail) {
        Ok(()) if cpu.mmu.attention => {
            cpu.frame.op = op.wrapping_add(Detail::SLOTS);
            cpu.leave = Leave::Attention;
            false
        }
        Ok(()) => true,
        Err(leave) => {
            cpu.leave = leave;
            false
        }
    }
}

/// Calls a function that may change anything (mode, RIP, RFLAGS, mappings), with the whole state up
/// to date, and ends the block. The flags have been materialised.
pub(crate) unsafe extern "C" fn call_out_last(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    call_last(cpu, op);
    LEFT
}

/// As [`call_out_last`] in 64-bit mode, for a transfer between privilege levels: goes on behind it,
/// if nothing has to be looked at before.
pub(crate) unsafe extern "C" fn call_out_crossing(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    call_last(cpu, op);
    if let Some(op) = cpu.cross() {
        let Frame { res, src, budget, .. } = cpu.frame;
        next!(cpu, op, res, src, budget)
    }
    LEFT
}

impl Cpu {
    /// Whether the call-out at which a block has ended leads elsewhere than to what follows it.
    pub fn has_branched(&self) -> bool {
        // SAFETY: the frame's op is the one that has left, and the slots behind it are its detail.
        let detail = unsafe { &*self.frame.op.add(1).cast::<Detail>() };
        self.state.rip != detail.next_rip
    }
}

#[inline(never)]
fn call_last(cpu: &mut Cpu, op: *const Op) {
    // SAFETY: the slots behind a call-out op are its detail.
    let detail = unsafe { &*op.add(1).cast::<Detail>() };
    cpu.commit_status();
    cpu.state.rip = detail.next_rip;
    let result = call_counted(cpu, detail);
    cpu.leave = match result {
        Ok(()) => Leave::Retired,
        Err(leave) => {
            cpu.state.rip = detail.rip();
            leave
        }
    };
    if matches!(cpu.leave, Leave::Retired) {
        // The instruction itself counts as retired.
        cpu.frame.budget -= i64::from(detail.index) + 1;
        cpu.adopt_status();
        cpu.state.rflags |= RFlags::from_bits_retain(2);
    }
}
