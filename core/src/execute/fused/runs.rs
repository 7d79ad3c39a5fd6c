//! Runs of vector moves as one op: loads, or stores, of vectors near one another, which is how programs
//! and compilers copy and fill memory. One computation of an address and one look into the TLB serve all
//! of them.
//!
//! Invariant: behind such an op stand the plain ops of all its moves, one slot each, from which it takes
//! their registers and displacements. Where the TLB does not serve the whole span, or where it is
//! misaligned, it goes on there, and so never faults.

use super::Ahead;
use super::moved::{Legacy, Move, Moved, Xmm, Ymm, emit_plain, one_by_one};
use crate::execute::Cpu;
use crate::execute::address::{Address, Base, Bytes32, Indexed};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::Emit;
use crate::execute::op::{Handler, Op};

/// Moves of the longest run. A longer one is several.
const MOST: usize = 4;
/// Bytes from the first to the last that a run may access.
const MOST_BYTES: i64 = 256;

/// Loads `N` registers. The displacement is the lowest one, and operand `a` the distance from there to
/// the last byte.
unsafe extern "C" fn load<M: Moved, A: Address, const N: usize, const ALIGNED: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the emitter pairs the handler with an op of this form.
    let linear = unsafe { A::linear::<Bytes32, false>(cpu, op, res, src) };
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let plain = op.wrapping_add(1);
    if ALIGNED && !linear.is_multiple_of(M::BYTES) {
        // SAFETY: the handler's own arguments; the plain ops follow.
        return unsafe { one_by_one(cpu, plain, res, src, budget) };
    }
    let Some(pointer) = cpu.read_hit_of(linear, usize::from(a) + 1) else {
        // SAFETY: as above.
        return unsafe { one_by_one(cpu, plain, res, src, budget) };
    };
    let origin = pointer.wrapping_offset(-(imm as isize));
    for each in 0..N {
        // SAFETY: the plain ops follow; the TLB has vouched for the span, which all of them are in.
        unsafe {
            let Op { a, imm, .. } = *plain.add(each);
            M::set(cpu, a, M::load(origin.wrapping_offset(imm as isize)));
        }
    }
    next!(cpu, plain.wrapping_add(N), res, src, budget)
}

/// Stores `N` registers; its operands are those of [`load`].
unsafe extern "C" fn store<M: Moved, A: Address, const N: usize, const ALIGNED: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the emitter pairs the handler with an op of this form.
    let linear = unsafe { A::linear::<Bytes32, true>(cpu, op, res, src) };
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let plain = op.wrapping_add(1);
    if ALIGNED && !linear.is_multiple_of(M::BYTES) {
        // SAFETY: the handler's own arguments; the plain ops follow.
        return unsafe { one_by_one(cpu, plain, res, src, budget) };
    }
    let Some(pointer) = cpu.write_hit_of(linear, usize::from(a) + 1) else {
        // SAFETY: as above.
        return unsafe { one_by_one(cpu, plain, res, src, budget) };
    };
    let origin = pointer.wrapping_offset(-(imm as isize));
    for each in 0..N {
        // SAFETY: the plain ops follow; the TLB has vouched for the span, which all of them are in.
        unsafe {
            let Op { a, imm, .. } = *plain.add(each);
            M::store(origin.wrapping_offset(imm as isize), M::get(cpu, a));
        }
    }
    next!(cpu, plain.wrapping_add(N), res, src, budget)
}

/// Handlers by whether addresses must be aligned, by the number of moves from two on, and by the two
/// forms of address that take one slot.
type Forms = [[[Handler; 2]; MOST - 1]; 2];

macro_rules! forms {
    ($handler:ident, $moved:ty) => {
        [forms!($handler, $moved, false), forms!($handler, $moved, true)]
    };
    ($handler:ident, $moved:ty, $aligned:literal) => {
        [
            forms!($handler, $moved, $aligned, 2),
            forms!($handler, $moved, $aligned, 3),
            forms!($handler, $moved, $aligned, 4),
        ]
    };
    ($handler:ident, $moved:ty, $aligned:literal, $count:literal) => {
        [
            $handler::<$moved, Base, $count, $aligned> as Handler,
            $handler::<$moved, Indexed, $count, $aligned>,
        ]
    };
}

/// By what is moved.
static LOADS: [Forms; 3] = [forms!(load, Legacy), forms!(load, Xmm), forms!(load, Ymm)];
/// As [`LOADS`]; what is stored does not depend on the encoding.
static STORES: [Forms; 3] = [forms!(store, Legacy), forms!(store, Legacy), forms!(store, Ymm)];

/// What a run of moves accesses: all between two displacements.
#[derive(Clone, Copy)]
struct Span {
    lowest: i64,
    end: i64,
    aligned: bool,
}

impl Span {
    fn of(one: &Move) -> Self {
        let lowest = i64::from(one.displacement);
        Self { lowest, end: lowest + one.bytes(), aligned: one.aligned }
    }

    /// With one more move, if that makes a run: where one is aligned, all are, or one of them faults.
    fn with(self, next: &Move) -> Option<Self> {
        let other = Self::of(next);
        let (lowest, end) = (self.lowest.min(other.lowest), self.end.max(other.end));
        let aligned = self.aligned || other.aligned;
        let alike = !aligned || (self.lowest - other.lowest) % next.bytes() == 0;
        (alike && end - lowest <= MOST_BYTES).then_some(Self { lowest, end, aligned })
    }
}

/// Emits the vector move at hand and those ahead as one op, if they are a run.
pub(super) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let first = Move::of(&emit.instruction, emit.mode)?;
    let mut span = Span::of(&first);
    let mut count = 1;
    while count < MOST
        && let Some(next) = ahead.get(count).and_then(|next| Move::of(next, emit.mode))
        && next.is_like(&first)
        && let Some(longer) = span.with(&next)
    {
        span = longer;
        count += 1;
    }
    let handlers = if first.store { &STORES } else { &LOADS };
    let counts = &handlers[first.moved][usize::from(span.aligned)];
    let packed = emit.packed_address();
    let handler = *counts.get(count.checked_sub(2)?)?.get(packed.form)?;
    let packed = packed.with_displacement(span.lowest as i32);
    emit.packed_op(&[handler; 3], (span.end - span.lowest - 1) as u8, &packed, None);
    emit_plain(emit)?;
    for each in 1..count {
        emit.go_on(ahead.get(each)?);
        emit_plain(emit)?;
    }
    Some(())
}

const _: () = assert!(<Base>::SLOTS == 1 && <Indexed>::SLOTS == 1, "plain ops follow one another");
