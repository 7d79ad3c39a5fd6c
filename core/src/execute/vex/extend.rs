//! VPMOVSX and VPMOVZX: elements made wider, of which 256 bits take more of the source.

use core::marker::PhantomData;

use super::super::host_vector::HostVector;
use super::super::sse::Operation;
use super::super::sse::sse4_1::*;
use super::super::sse::vector::{Lanes, Low16, Low32, Low64, Unaligned, Vector};
use super::handler::{lifted, parts};
use super::{Length, Lift, Wide, rows, zero};

rows! {
    Vpmovsxbw => |e| lifted::<Widen<Pmovsxbw, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vpmovsxbd => |e| lifted::<Widen<Pmovsxbd, 32>>(e, const { &parts::<Low32, Low64>() }),
    Vpmovsxbq => |e| lifted::<Widen<Pmovsxbq, 16>>(e, const { &parts::<Low16, Low32>() }),
    Vpmovsxwd => |e| lifted::<Widen<Pmovsxwd, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vpmovsxwq => |e| lifted::<Widen<Pmovsxwq, 32>>(e, const { &parts::<Low32, Low64>() }),
    Vpmovsxdq => |e| lifted::<Widen<Pmovsxdq, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vpmovzxbw => |e| lifted::<Widen<Pmovzxbw, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vpmovzxbd => |e| lifted::<Widen<Pmovzxbd, 32>>(e, const { &parts::<Low32, Low64>() }),
    Vpmovzxbq => |e| lifted::<Widen<Pmovzxbq, 16>>(e, const { &parts::<Low16, Low32>() }),
    Vpmovzxwd => |e| lifted::<Widen<Pmovzxwd, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vpmovzxwq => |e| lifted::<Widen<Pmovzxwq, 32>>(e, const { &parts::<Low32, Low64>() }),
    Vpmovzxdq => |e| lifted::<Widen<Pmovzxdq, 64>>(e, const { &parts::<Low64, Unaligned>() }),
}

/// An operation that makes a vector of the lowest `BITS` of one: each half of the result is made of as
/// many, one behind the other.
pub(super) struct Widen<O, const BITS: u32>(PhantomData<O>);

/// `vector` without its lowest `BITS`, of which the upper ones do not matter.
#[inline(always)]
fn rest<const BITS: u32>(vector: Vector) -> Vector {
    let [low, high] = <[u64; 2]>::of(vector);
    [if BITS == 64 { high } else { low >> (BITS % 64) }, 0].vector()
}

impl<O: Operation, const BITS: u32> Lift for Widen<O, BITS> {
    const FLOATS: bool = O::FLOATS;
    const NEEDS: HostVector = O::NEEDS;

    #[inline(always)]
    fn compute<N: Length>(mxcsr: &mut u32, _: Wide, [source, _]: Wide, _: [u8; 2]) -> Wide {
        let low = O::compute(mxcsr, zero(), source, 0);
        let mut high = || O::compute(mxcsr, zero(), rest::<BITS>(source), 0);
        [low, if N::WIDE { high() } else { zero() }]
    }

    #[inline(always)]
    fn apply<N: Length>(mxcsr: &mut u32, _: Wide, [source, _]: Wide, _: [u8; 2]) -> Wide {
        let low = O::apply(mxcsr, zero(), source, 0);
        let mut high = || O::apply(mxcsr, zero(), rest::<BITS>(source), 0);
        [low, if N::WIDE { high() } else { zero() }]
    }
}
