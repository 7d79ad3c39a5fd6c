//! Operations on XMM registers made operations on MMX registers, where the low half of the result is
//! not that of the low halves.

use core::marker::PhantomData;

use crate::execute::host_vector::HostVector;
use crate::execute::sse::Operation;
use crate::execute::sse::ssse3::Pshufb;
use crate::execute::sse::vector::{Lanes, Low64, Vector};

/// One that narrows or combines neighbours of both operands: those of the destination come first, then
/// those of the source, as the low and the high half of one vector.
pub(in crate::execute) struct Joined<O>(PhantomData<O>);

/// One whose result is in the high half, which is that of interleaving the upper elements.
pub(in crate::execute) struct HighHalf<O>(PhantomData<O>);

#[inline(always)]
fn halves(vector: Vector) -> [u64; 2] {
    Lanes::of(vector)
}

impl<O: Operation> Operation for Joined<O> {
    type Source = Low64;
    const FLOATS: bool = O::FLOATS;
    const NEEDS: HostVector = O::NEEDS;

    #[inline(always)]
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        let joined = [halves(destination)[0], halves(source)[0]].vector();
        O::compute(mxcsr, joined, joined, immediate)
    }

    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        let joined = [halves(destination)[0], halves(source)[0]].vector();
        O::apply(mxcsr, joined, joined, immediate)
    }
}

impl<O: Operation> Operation for HighHalf<O> {
    type Source = Low64;
    const FLOATS: bool = O::FLOATS;
    const NEEDS: HostVector = O::NEEDS;

    #[inline(always)]
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        [halves(O::compute(mxcsr, destination, source, immediate))[1], 0].vector()
    }
}

/// PSHUFB, whose indices have three bits.
pub(in crate::execute) struct ShuffleBytes;

impl ShuffleBytes {
    #[inline(always)]
    fn indices(source: Vector) -> Vector {
        halves(source).map(|half| half & 0x8787_8787_8787_8787).vector()
    }
}

impl Operation for ShuffleBytes {
    type Source = Low64;
    const FLOATS: bool = false;
    const NEEDS: HostVector = Pshufb::NEEDS;

    #[inline(always)]
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        Pshufb::compute(mxcsr, destination, Self::indices(source), immediate)
    }

    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        Pshufb::apply(mxcsr, destination, Self::indices(source), immediate)
    }
}

/// PALIGNR: the source with the destination above it, shifted right by bytes.
pub(in crate::execute) struct Window;

impl Operation for Window {
    type Source = Low64;
    const FLOATS: bool = false;

    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        let joined: u128 = u128::of([halves(source)[0], halves(destination)[0]].vector());
        joined.checked_shr(8 * u32::from(immediate)).unwrap_or(0).vector()
    }
}
