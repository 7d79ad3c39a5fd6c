//! Locked exchanges: XCHG with memory, XADD, CMPXCHG, CMPXCHG8B and CMPXCHG16B. Their forms on registers,
//! and those without LOCK, are in `data_transfer` and `exchange`.

use super::{direct, done, emit_both, host};
use crate::execute::address::Address;
use crate::execute::arithmetic::{cut, kind};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{
    ByForm, ByWidth, Emit, Function, by_form, by_form_and_width, functions, pick,
};
use crate::execute::flags::{Class, Kind, ZF};
use crate::execute::op::{Detail, Op};
use crate::execute::{Cpu, Leave};
use crate::memory::Width;
use crate::memory::lock::{compare_exchange, is_direct};
use crate::paging::Update;
use crate::state::Register;

/// XCHG with memory, which is locked whether it says so or not.
pub(in crate::execute) fn exchange(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    let handlers: &[ByWidth; 3] = const { &by_form_and_width!(A, W => exchange_m::<W, A>) };
    emit_both(emit, &pick(handlers, width), functions!(exchange_anywhere)[width], None);
    Some(())
}

unsafe extern "C" fn exchange_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = direct!(W, A, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    // SAFETY: the TLB has vouched for the pointer, which is direct.
    let old = unsafe { host::swap::<W>(pointer, W::truncate(cpu.get::<W>(a))) };
    cpu.set::<W>(a, old.extend());
    done!(A, cpu, op, res, src, budget)
}

fn exchange_anywhere<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let new = W::truncate(cpu.get::<W>(detail.registers[1]));
    let old = cpu.update(detail, true, Update::Replace(new))?;
    cpu.set::<W>(detail.registers[1], old);
    Ok(())
}

/// XADD.
pub(in crate::execute) fn exchange_add(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    let handlers: &[ByWidth; 3] = const { &by_form_and_width!(A, W => exchange_add_m::<W, A>) };
    let function = functions!(exchange_add_anywhere)[width];
    emit_both(emit, &pick(handlers, width), function, Some(kind(Class::Add, width)));
    Some(())
}

unsafe extern "C" fn exchange_add_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = direct!(W, A, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    let right = cpu.get::<W>(a);
    // SAFETY: the TLB has vouched for the pointer, which is direct.
    let left = unsafe { host::fetch_add::<W>(pointer, W::truncate(right)) }.extend();
    cpu.set::<W>(a, left);
    done!(A, cpu, op, cut::<W>(left.wrapping_add(right)), right, budget)
}

fn exchange_add_anywhere<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = cpu.get::<W>(detail.registers[1]);
    let left = cpu.update(detail, true, Update::Add(W::truncate(right)))?;
    cpu.set::<W>(detail.registers[1], left);
    (cpu.frame.res, cpu.frame.src) = (cut::<W>(left.wrapping_add(right)), right);
    Ok(())
}

/// (E/R)AX or AL.
const ACCUMULATOR: u8 = 0;

/// CMPXCHG.
pub(in crate::execute) fn compare(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    let handlers: &[ByWidth; 3] = const { &by_form_and_width!(A, W => compare_m::<W, A>) };
    let function = functions!(compare_anywhere)[width];
    emit_both(emit, &pick(handlers, width), function, Some(kind(Class::Sub, width)));
    Some(())
}

unsafe extern "C" fn compare_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = direct!(W, A, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op.
    let new = unsafe { W::truncate(cpu.get::<W>((*op).a)) };
    let expected = W::truncate(cpu.get::<W>(ACCUMULATOR));
    // SAFETY: the TLB has vouched for the pointer, which is direct.
    let found = unsafe { compare_exchange(pointer, expected, new) };
    let (res, src) = compared(cpu, expected, found);
    done!(A, cpu, op, res, src, budget)
}

fn compare_anywhere<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let expected = W::truncate(cpu.get::<W>(ACCUMULATOR));
    let new = W::truncate(cpu.get::<W>(detail.registers[1]));
    let found = cpu.update(detail, true, Update::ReplaceIf { expected, new })?;
    let (res, src) = compared(cpu, expected, W::truncate(found));
    (cpu.frame.res, cpu.frame.src) = (res, src);
    Ok(())
}

/// The accumulator takes what was found if that is something else; gives the words behind the comparison.
#[inline(always)]
fn compared<W: Width>(cpu: &mut Cpu, expected: W, found: W) -> (u64, u64) {
    let (left, right) = (expected.extend(), found.extend());
    if left != right {
        cpu.set::<W>(ACCUMULATOR, right);
    }
    (cut::<W>(left.wrapping_sub(right)), right)
}

/// CMPXCHG8B and CMPXCHG16B; the call-out is `anywhere`.
pub(in crate::execute) fn compare_pair<Half: Width, Whole: Width>(
    emit: &mut Emit,
    anywhere: Function,
) {
    emit.materialize();
    let handlers: &ByForm = const { &by_form!(A => compare_pair_m::<Half, Whole, A>) };
    emit_both(emit, handlers, anywhere, Some(Kind::KNOWN));
}

unsafe extern "C" fn compare_pair_m<Half: Width, Whole: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    if !cpu.mmu.exchanges(Whole::BYTES) {
        next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
    }
    let pointer = direct!(Whole, A, cpu, op, res, src, budget);
    let (expected, new) = pairs::<Half, Whole>(cpu);
    // SAFETY: the TLB has vouched for the pointer, which is direct, and the host has the instruction.
    let found = unsafe { compare_exchange(pointer, expected, new) };
    let equal = compared_pair::<Half, Whole>(cpu, expected, found);
    done!(A, cpu, op, res, src & !ZF | equal, budget)
}

/// What is expected, in (E/R)DX:(E/R)AX, and what is to be there, in (E/R)CX:(E/R)BX.
#[inline(always)]
pub(in crate::execute) fn pairs<Half: Width, Whole: Width>(cpu: &Cpu) -> (Whole, Whole) {
    let half = |register| u128::from(Half::truncate(cpu.state.gpr[register]).extend());
    let pair = |high, low| Whole::narrow(half(high) << Half::BITS | half(low));
    (pair(Register::Rdx, Register::Rax), pair(Register::Rcx, Register::Rbx))
}

/// (E/R)DX:(E/R)AX takes what was found if that is something else; gives ZF.
#[inline(always)]
pub(in crate::execute) fn compared_pair<Half: Width, Whole: Width>(
    cpu: &mut Cpu,
    expected: Whole,
    found: Whole,
) -> u64 {
    if found == expected {
        return ZF;
    }
    let found = found.widen();
    cpu.set::<Half>(Register::Rax as u8 * 8, found as u64);
    cpu.set::<Half>(Register::Rdx as u8 * 8, (found >> Half::BITS) as u64);
    0
}
