//! INC, DEC and NEG.

use iced_x86::Mnemonic;

use super::{Binary, cut, kind, memory_binary};
use crate::execute::address::{Address, operand};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{ByWidth, Emit, by_form_and_width, by_width, pick};
use crate::execute::flags::Class;
use crate::execute::forward::{Carried, Place, by_place};
use crate::execute::op::Op;
use crate::execute::table::Row;
use crate::execute::{Cpu, locked};
use crate::memory::Width;

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Inc, |e| step::<Inc>(e)),
    (Mnemonic::Dec, |e| step::<Dec>(e)),
    (Mnemonic::Neg, neg),
];

/// INC; bit 0 of the source word stays CF.
pub(in crate::execute) struct Inc;
/// DEC; bit 0 of the source word stays CF.
pub(in crate::execute) struct Dec;

impl Binary for Inc {
    const CLASS: Class = Class::Inc;
    #[inline(always)]
    fn apply<W: Width>(left: u64, _right: u64, _src: u64) -> u64 {
        left.wrapping_add(1)
    }
    #[inline(always)]
    fn addend(_right: u64) -> Option<u64> {
        Some(1)
    }
}

impl Binary for Dec {
    const CLASS: Class = Class::Dec;
    #[inline(always)]
    fn apply<W: Width>(left: u64, _right: u64, _src: u64) -> u64 {
        left.wrapping_sub(1)
    }
    #[inline(always)]
    fn addend(_right: u64) -> Option<u64> {
        Some(1_u64.wrapping_neg())
    }
}

/// INC and DEC leave the source word, whose bit 0 is CF, as it is.
unsafe extern "C" fn step_r<O: Binary, W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    let res = cut::<W>(O::apply::<W>(P::get::<W>(cpu, a, res, src), 0, src));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn step_m<O: Binary, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(MODIFY W, A, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    let (res, _) = unsafe { memory_binary::<O, W>(pointer, 0, src) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn neg_r<W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    let right = P::get::<W>(cpu, a, res, src);
    let res = cut::<W>(right.wrapping_neg());
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, right, budget)
}

unsafe extern "C" fn neg_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(MODIFY W, A, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    let right = unsafe { W::load(pointer).extend() };
    let res = cut::<W>(right.wrapping_neg());
    // SAFETY: as above.
    unsafe { W::store(pointer, W::truncate(res)) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, right, budget)
}

/// INC and DEC.
fn step<O: Binary>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_locked() {
        return locked::binary(emit);
    }
    if emit.is_memory(0) {
        emit.materialize();
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => step_m::<O, W, A>);
        emit.memory_op(&pick(&handlers, width), 0, None);
    } else {
        if !emit.flags_dead {
            emit.carry_to_source();
        }
        let handlers = const { &by_place!(P => by_width!(W => step_r::<O, W, P>)) };
        on_register(emit, handlers, width);
    }
    emit.writes_flags(kind(O::CLASS, width));
    Some(())
}

/// Emits an operation on one register.
fn on_register(emit: &mut Emit, handlers: &[ByWidth; 3], width: usize) {
    let a = emit.register(0);
    let place = emit.carried.place(a, width);
    emit.op(handlers[place][width], a, 0, 0, 0, 0);
    emit.carried = Carried::result(a, width);
}

fn neg(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_locked() {
        return locked::binary(emit);
    }
    if emit.is_memory(0) {
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => neg_m::<W, A>);
        emit.memory_op(&pick(&handlers, width), 0, None);
    } else {
        let handlers = const { &by_place!(P => by_width!(W => neg_r::<W, P>)) };
        on_register(emit, handlers, width);
    }
    emit.writes_flags(kind(Class::Sub, width));
    Some(())
}
