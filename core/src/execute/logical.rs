//! AND, OR, XOR, TEST, NOT.

use iced_x86::Mnemonic;

use super::address::{Address, operand};
use super::arithmetic::{Binary, binary};
use super::dispatch::{Flow, next};
use super::emit::{ByWidth, Emit, by_form_and_width, by_width, pick};
use super::flags::Class;
use super::op::Op;
use super::table::Row;
use super::{Cpu, locked};
use crate::memory::Width;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::And, |e| binary::<And>(e)),
    (Mnemonic::Or, |e| binary::<Or>(e)),
    (Mnemonic::Xor, |e| binary::<Xor>(e)),
    (Mnemonic::Test, |e| binary::<Test>(e)),
    (Mnemonic::Not, not),
];

/// AND.
pub(super) struct And;
/// OR.
pub(super) struct Or;
/// XOR.
pub(super) struct Xor;
/// TEST.
pub(super) struct Test;

impl Binary for And {
    const CLASS: Class = Class::Logic;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left & right
    }
}

impl Binary for Or {
    const CLASS: Class = Class::Logic;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left | right
    }
}

impl Binary for Xor {
    const CLASS: Class = Class::Logic;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left ^ right
    }
}

impl Binary for Test {
    const CLASS: Class = Class::Logic;
    const WRITES: bool = false;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left & right
    }
}

unsafe extern "C" fn not_r<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    cpu.set::<W>(a, !cpu.get::<W>(a));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn not_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(MODIFY W, A, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(!W::load(pointer).extend())) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

fn not(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_locked() {
        return locked::not(emit);
    }
    if emit.is_memory(0) {
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => not_m::<W, A>);
        emit.memory_op(&pick(&handlers, width), 0, None);
    } else {
        let handlers: ByWidth = by_width!(W => not_r::<W>);
        emit.op_beside(handlers[width], emit.register(0), 0, 0, 0, 0);
    }
    Some(())
}
