//! String instructions at flat 64-bit addresses, as handlers: one element of MOVS, STOS or LODS, and
//! of a REP MOVS or REP STOS as many elements as the TLB serves at once, which are mostly all. The
//! call-out behind it does the others: it knows the general way.

use super::super::Cpu;
use super::super::address::{Address, Base, operand};
use super::super::dispatch::{Flow, next};
use super::super::op::{Detail, Op};
use crate::memory::{PAGE_SIZE, Width, run};
use crate::state::{RFlags, Register};

const RCX: u8 = Register::Rcx as u8 * 8;
pub(super) const RSI: u8 = Register::Rsi as u8 * 8;
pub(super) const RDI: u8 = Register::Rdi as u8 * 8;

/// What is added to a pointer after an element.
#[inline(always)]
pub(super) fn step<W: Width>(cpu: &Cpu) -> u64 {
    let bytes = W::BYTES as u64;
    if cpu.state.rflags.contains(RFlags::DIRECTION_FLAG) { bytes.wrapping_neg() } else { bytes }
}

/// Elements from the one at `linear` on that are whole in its page.
#[inline(always)]
pub(super) fn in_page<W: Width>(linear: u64, backward: bool) -> u64 {
    let (offset, size) = (linear % PAGE_SIZE, W::BYTES as u64);
    match backward {
        false => (PAGE_SIZE - offset) / size,
        true if offset + size > PAGE_SIZE => 0,
        true => offset / size + 1,
    }
}

/// Second half of a MOVS: stores the scratch word.
pub(super) unsafe extern "C" fn store_moved<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let value = unsafe { cpu.get::<W>((*op).a) };
    let pointer = operand!(WRITE W, Base, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(value)) };
    let step = step::<W>(cpu);
    cpu.set::<u64>(RSI, cpu.get::<u64>(RSI).wrapping_add(step));
    cpu.set::<u64>(RDI, cpu.get::<u64>(RDI).wrapping_add(step));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

pub(super) unsafe extern "C" fn store_accumulator<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(WRITE W, Base, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(cpu.get::<W>(0))) };
    cpu.set::<u64>(RDI, cpu.get::<u64>(RDI).wrapping_add(step::<W>(cpu)));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

pub(super) unsafe extern "C" fn load_accumulator<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, Base, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    let value = unsafe { W::load(pointer) };
    cpu.set::<W>(0, value.extend());
    cpu.set::<u64>(RSI, cpu.get::<u64>(RSI).wrapping_add(step::<W>(cpu)));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Where to go on behind the first part of a repetition: behind the call-out that follows if that
/// was `all`, or there.
#[inline(always)]
fn behind_run(op: *const Op, all: bool) -> *const Op {
    op.wrapping_add(if all { 1 + Detail::SLOTS } else { 1 })
}

/// The first part of a REP MOVS.
pub(super) unsafe extern "C" fn move_run<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    if cpu.state.rflags.intersects(RFlags::DIRECTION_FLAG.union(RFlags::TRAP_FLAG)) {
        // SAFETY: the handler's own arguments.
        return unsafe { move_run_down::<W>(cpu, op, res, src, budget) };
    }
    let (from, to) = (cpu.get::<u64>(RSI), cpu.get::<u64>(RDI));
    let (Some(source), Some(target)) = (cpu.read_hit::<W>(from), cpu.write_hit::<W>(to)) else {
        next!(cpu, op.wrapping_add(1), res, src, budget)
    };
    let count = cpu.get::<u64>(RCX);
    let elements = count.min(in_page::<W>(from, false)).min(in_page::<W>(to, false));
    let bytes = elements * W::BYTES as u64;
    cpu.set::<u64>(RCX, count - elements);
    cpu.set::<u64>(RSI, from.wrapping_add(bytes));
    cpu.set::<u64>(RDI, to.wrapping_add(bytes));
    let op = behind_run(op, elements == count);
    // SAFETY: the TLB has vouched for the pages of both pointers, which the elements stay in.
    unsafe { run::copy::<W>(source, target, elements as usize) };
    next!(cpu, op, res, src, budget)
}

/// As [`move_run`] with DF set.
unsafe extern "C" fn move_run_down<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let (from, to) = (cpu.get::<u64>(RSI), cpu.get::<u64>(RDI));
    let (Some(source), Some(target), false) = (
        cpu.read_hit::<W>(from),
        cpu.write_hit::<W>(to),
        cpu.state.rflags.contains(RFlags::TRAP_FLAG),
    ) else {
        next!(cpu, op.wrapping_add(1), res, src, budget)
    };
    let count = cpu.get::<u64>(RCX);
    let elements = count.min(in_page::<W>(from, true)).min(in_page::<W>(to, true));
    let bytes = elements * W::BYTES as u64;
    cpu.set::<u64>(RCX, count - elements);
    cpu.set::<u64>(RSI, from.wrapping_sub(bytes));
    cpu.set::<u64>(RDI, to.wrapping_sub(bytes));
    let op = behind_run(op, elements == count);
    // SAFETY: as in `move_run`.
    unsafe { run::copy_down::<W>(source, target, elements as usize) };
    next!(cpu, op, res, src, budget)
}

/// The first part of a REP STOS; with DF set, which is rare, the call-out does it all.
pub(super) unsafe extern "C" fn store_run<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let to = cpu.get::<u64>(RDI);
    let (Some(target), false) = (
        cpu.write_hit::<W>(to),
        cpu.state.rflags.intersects(RFlags::DIRECTION_FLAG.union(RFlags::TRAP_FLAG)),
    ) else {
        next!(cpu, op.wrapping_add(1), res, src, budget)
    };
    let count = cpu.get::<u64>(RCX);
    let elements = count.min(in_page::<W>(to, false));
    cpu.set::<u64>(RCX, count - elements);
    cpu.set::<u64>(RDI, to.wrapping_add(elements * W::BYTES as u64));
    let value = W::truncate(cpu.get::<W>(0));
    let op = behind_run(op, elements == count);
    // SAFETY: the TLB has vouched for the page of the pointer, which the elements stay in.
    unsafe { run::fill(target, value, elements as usize) };
    next!(cpu, op, res, src, budget)
}
