//! Instructions of `sse` whose immediate the host's instruction has in its code: rounding, dot products
//! and carry-less products. Here one op serves all immediates.

use super::super::host_vector::HostVector;
use super::super::sse::Operation;
use super::super::sse::carry_less::{HostPclmulqdq, Pclmulqdq};
use super::super::sse::soft_float::Environment;
use super::super::sse::sse4_1::float::*;
use super::super::sse::vector::{Aligned, Vector};
use super::handler::{lanes, lifted, low, whole};
use super::{Each, Length, Lift, Wide, is_wide, rows, zero};

rows! {
    Vroundps => lanes::<Coded<Roundps>>, Vroundpd => lanes::<Coded<Roundpd>>,
    Vroundss => low::<Coded<Roundss>>, Vroundsd => low::<Coded<Roundsd>>,
    Vdpps => |e| lifted::<DotProducts>(e, const { &whole::<Aligned>() }), Vdppd => low::<Coded<Dppd>>,
    // 256 bits are of another feature.
    Vpclmulqdq => |e| if is_wide(e) { None } else { low::<Coded<Pclmulqdq>>(e) },
}

/// VDPPS, both halves of which take each of its steps together.
struct DotProducts;

impl Lift for DotProducts {
    const FLOATS: bool = Coded::<Dpps>::FLOATS;
    const NEEDS: HostVector = Coded::<Dpps>::NEEDS;

    fn compute<N: Length>(mxcsr: &mut u32, left: Wide, right: Wide, immediate: [u8; 2]) -> Wide {
        let (env, [immediate, _]) = (&mut Environment(mxcsr), immediate);
        match N::WIDE {
            true => dot_products_of_singles(env, left, right, immediate),
            false => {
                let [low] = dot_products_of_singles(env, [left[0]], [right[0]], immediate);
                [low, zero()]
            }
        }
    }

    #[inline(always)]
    fn apply<N: Length>(mxcsr: &mut u32, left: Wide, right: Wide, immediate: [u8; 2]) -> Wide {
        Each::<Coded<Dpps>>::apply::<N>(mxcsr, left, right, immediate)
    }
}

/// An operation that chooses the host's instruction by its immediate.
struct Coded<O>(core::marker::PhantomData<O>);

macro_rules! coded {
    ($($name:ident: $host:ident, |$immediate:ident| $code:expr, [$($bits:literal)*] $last:literal;)*) => {
        $(impl Operation for Coded<$name> {
            type Source = <$name as Operation>::Source;
            const FLOATS: bool = $name::FLOATS;
            const NEEDS: HostVector = $name::NEEDS;

            #[inline(always)]
            fn compute(mxcsr: &mut u32, left: Vector, right: Vector, immediate: u8) -> Vector {
                $name::compute(mxcsr, left, right, immediate)
            }

            #[inline(always)]
            fn apply(mxcsr: &mut u32, left: Vector, right: Vector, $immediate: u8) -> Vector {
                match $code {
                    $($bits => $host::<$bits>::apply(mxcsr, left, right, $immediate),)*
                    _ => $host::<$last>::apply(mxcsr, left, right, $immediate),
                }
            }
        })*
    };
}

coded! {
    Roundps: HostRoundps, |immediate| immediate & 15, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14] 15;
    Roundpd: HostRoundpd, |immediate| immediate & 15, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14] 15;
    Roundss: HostRoundss, |immediate| immediate & 15, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14] 15;
    Roundsd: HostRoundsd, |immediate| immediate & 15, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14] 15;
    Dpps: HostDpps, |immediate| immediate >> 4, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14] 15;
    Dppd: HostDppd, |immediate| immediate >> 4, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14] 15;
    Pclmulqdq: HostPclmulqdq, |immediate| immediate & 0x11, [0x00 0x01 0x10] 0x11;
}
