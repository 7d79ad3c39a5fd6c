//! Copies of memory through vector registers as one op: loads of vectors side by side, and as many stores
//! of what they have loaded, side by side as well. So are the loops of memory copies unrolled, and so do
//! compilers copy what has many bytes.
//!
//! Invariant: behind such an op and its second address stand the plain ops of all its moves, one slot
//! each, from which it takes the registers. Where the TLB does not serve all of both sides, or one is
//! misaligned, it goes on there, and so never faults. All is loaded before anything is stored.

use super::Ahead;
use super::moved::{Legacy, Move, Moved, Xmm, Ymm, emit_plain, one_by_one};
use crate::execute::Cpu;
use crate::execute::address::{Address, Base, Bytes32, Indexed};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::Emit;
use crate::execute::op::{Handler, Op};

/// Vectors of the longest copy: the host holds them all, the halves of YMM registers apart.
const MOST: usize = 4;
/// Slots in front of the plain ops.
const SLOTS: usize = 2;

/// Copies `N` vectors. The second slot has the address of the stores; operand `a` of each slot has the
/// bits that an address must not have set.
#[expect(clippy::needless_range_loop, reason = "an iterator would keep the address of a local")]
unsafe extern "C" fn copy<M: Moved, L: Address, S: Address, const N: usize>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let target = op.wrapping_add(1);
    // SAFETY: the emitter pairs the handler with two slots of these forms.
    let (from, to, from_mask, to_mask) = unsafe {
        let from = L::linear::<Bytes32, false>(cpu, op, res, src);
        let to = S::linear::<Bytes32, true>(cpu, target, res, src);
        (from, to, u64::from((*op).a), u64::from((*target).a))
    };
    let plain = op.wrapping_add(SLOTS);
    let length = N * M::BYTES as usize;
    if from & from_mask | to & to_mask != 0 {
        // SAFETY: the handler's own arguments; the plain ops follow.
        return unsafe { one_by_one(cpu, plain, res, src, budget) };
    }
    let Some(from) = cpu.read_hit_of(from, length) else {
        // SAFETY: as above.
        return unsafe { one_by_one(cpu, plain, res, src, budget) };
    };
    let Some(to) = cpu.write_hit_of(to, length) else {
        // SAFETY: as above.
        return unsafe { one_by_one(cpu, plain, res, src, budget) };
    };
    // SAFETY: the TLB has vouched for all bytes of both sides; the plain ops follow.
    unsafe {
        let mut values = [M::load(from); N];
        for each in 1..N {
            values[each] = M::load(from.add(each * M::BYTES as usize));
        }
        for each in 0..N {
            M::set(cpu, (*plain.add(each)).a, values[each]);
            M::store(to.add(each * M::BYTES as usize), values[each]);
        }
    }
    next!(cpu, plain.wrapping_add(2 * N), res, src, budget)
}

/// Handlers by the number of vectors, by the form of the loads' address, and of the stores'.
type Forms = [[[Handler; 2]; 2]; MOST];

macro_rules! forms {
    ($moved:ty) => {
        [forms!($moved, 1), forms!($moved, 2), forms!($moved, 3), forms!($moved, 4)]
    };
    ($moved:ty, $count:literal) => {
        [
            [copy::<$moved, Base, Base, $count> as Handler, copy::<$moved, Base, Indexed, $count>],
            [copy::<$moved, Indexed, Base, $count>, copy::<$moved, Indexed, Indexed, $count>],
        ]
    };
}

/// By what is moved.
static COPIES: [Forms; 3] = [forms!(Legacy), forms!(Xmm), forms!(Ymm)];

/// Moves side by side: the first of them, whether one must be aligned, and their number.
struct Row {
    first: Move,
    aligned: bool,
    count: usize,
}

impl Row {
    /// From the instruction `distance` ahead on.
    fn of(emit: &Emit, ahead: Ahead, distance: usize) -> Option<Self> {
        let at = |distance| ahead.get(distance).and_then(|one| Move::of(one, emit.mode));
        let first = at(distance)?;
        let (mut aligned, mut count) = (first.aligned, 1);
        while count < MOST
            && let Some(next) = at(distance + count)
            && next.is_like(&first)
            && next.distance_from(&first) == count as i64 * first.bytes()
        {
            aligned |= next.aligned;
            count += 1;
        }
        Some(Self { first, aligned, count })
    }

    /// The bits that the first address must not have set: where one is aligned, all are.
    fn mask(&self) -> u8 {
        if self.aligned { self.first.bytes() as u8 - 1 } else { 0 }
    }
}

/// Emits the loads at hand and the stores behind them as one op, if they are a copy.
pub(super) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let loads = Row::of(emit, ahead, 0).filter(|row| !row.first.store)?;
    let count = loads.count;
    let stores = Row::of(emit, ahead, count).filter(|row| row.first.store)?;
    let register = |distance| Some(Move::of(ahead.get(distance)?, emit.mode)?.register);
    let is_stored = |each| register(each) == register(count + each);
    let is_last = |each| (each + 1..count).all(|later| register(each) != register(later));
    if stores.count < count
        || stores.first.moved != loads.first.moved
        || !(0..count).all(|each| is_stored(each) && is_last(each))
    {
        return None;
    }
    let from = emit.packed_address();
    let to = emit.about(ahead.get(count)?, |emit| emit.packed_address());
    let handlers = &COPIES[loads.first.moved][count - 1];
    let handler = *handlers.get(from.form)?.get(to.form)?;
    emit.packed_op(&[handler; 3], loads.mask(), &from, Some(to.payload(stores.mask())));
    emit_plain(emit)?;
    for each in 1..2 * count {
        emit.go_on(ahead.get(each)?);
        emit_plain(emit)?;
    }
    Some(())
}

const _: () = assert!(<Base>::SLOTS == 1 && <Indexed>::SLOTS == 1, "plain ops follow one another");
