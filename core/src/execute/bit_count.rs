//! Counts of bits: POPCNT, LZCNT, TZCNT.
//!
//! LZCNT and TZCNT leave OF, SF, AF and PF undefined; here they are clear.

use iced_x86::Mnemonic;

use super::Cpu;
use super::address::{Address, operand};
use super::dispatch::{Flow, next};
use super::emit::{ByWidth, Emit, by_form_and_width, by_width, pick};
use super::flags::{CF, Kind, ZF};
use super::forward::{Place, by_place};
use super::op::Op;
use super::table::Row;
use crate::memory::Width;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Popcnt, |e| count::<Ones>(e)),
    (Mnemonic::Lzcnt, |e| count::<LeadingZeros>(e)),
    (Mnemonic::Tzcnt, |e| count::<TrailingZeros>(e)),
];

/// What is counted.
trait Count: 'static {
    /// The number, and the flags.
    fn count<W: Width>(value: u64) -> (u64, u64);
}

/// POPCNT.
struct Ones;
/// LZCNT.
struct LeadingZeros;
/// TZCNT.
struct TrailingZeros;

impl Count for Ones {
    #[inline(always)]
    fn count<W: Width>(value: u64) -> (u64, u64) {
        (value.count_ones().into(), if value == 0 { ZF } else { 0 })
    }
}

/// CF says that there was no bit to find, ZF that none comes before it.
#[inline(always)]
fn zeros<W: Width>(count: u32) -> (u64, u64) {
    let carry = if count == W::BITS { CF } else { 0 };
    (count.into(), carry | if count == 0 { ZF } else { 0 })
}

impl Count for LeadingZeros {
    #[inline(always)]
    fn count<W: Width>(value: u64) -> (u64, u64) {
        zeros::<W>(value.leading_zeros() - (64 - W::BITS))
    }
}

impl Count for TrailingZeros {
    #[inline(always)]
    fn count<W: Width>(value: u64) -> (u64, u64) {
        zeros::<W>(value.trailing_zeros().min(W::BITS))
    }
}

unsafe extern "C" fn count_register<C: Count, W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (number, flags) = C::count::<W>(P::get::<W>(cpu, b, res, src));
    cpu.set::<W>(a, number);
    next!(cpu, op.wrapping_add(1), res, flags, budget)
}

unsafe extern "C" fn count_memory<C: Count, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, W::load(pointer).extend()) };
    let (number, flags) = C::count::<W>(value);
    cpu.set::<W>(a, number);
    next!(cpu, op.wrapping_add(A::SLOTS), res, flags, budget)
}

fn count<C: Count>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(1) {
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => count_memory::<C, W, A>);
        emit.memory_op(&pick(&handlers, width), emit.register(0), None);
    } else {
        let handlers: &[ByWidth; 3] =
            const { &by_place!(P => by_width!(W => count_register::<C, W, P>)) };
        let b = emit.register(1);
        let place = emit.carried.place(b, width);
        emit.op(handlers[place][width], emit.register(0), b, 0, 0, 0);
    }
    emit.writes_flags(Kind::KNOWN);
    Some(())
}
