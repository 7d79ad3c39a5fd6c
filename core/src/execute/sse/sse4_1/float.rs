//! SSE4.1 in floating point: ROUND to integral values, and dot products.

use crate::execute::host_vector::HostVector;
use crate::execute::sse::handler::{emit_by_immediate, on_host};
use crate::execute::sse::soft_float::{
    DOUBLE, Environment, SINGLE, add, doubles, multiply, round_to_integral, singles,
};
use crate::execute::sse::vector::{Aligned, Lanes, Low32, Low64, Vector};
use crate::execute::sse::{Operation, rows};

rows! {
    Roundps => |e| emit_by_immediate::<Roundps>(e, each!(HostRoundps), |immediate| immediate & 15),
    Roundpd => |e| emit_by_immediate::<Roundpd>(e, each!(HostRoundpd), |immediate| immediate & 15),
    Roundss => |e| emit_by_immediate::<Roundss>(e, each!(HostRoundss), |immediate| immediate & 15),
    Roundsd => |e| emit_by_immediate::<Roundsd>(e, each!(HostRoundsd), |immediate| immediate & 15),
    Dpps => |e| emit_by_immediate::<Dpps>(e, each!(HostDpps), |immediate| immediate >> 4),
    Dppd => |e| emit_by_immediate::<Dppd>(e, each!(HostDppd), |immediate| immediate >> 4),
}

/// The handlers of the host's instruction by four bits of its immediate.
macro_rules! each {
    ($name:ident) => { each!(@ $name, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15) };
    (@ $name:ident, $($bits:literal)*) => { const { &[$(on_host::<$name<$bits>>()),*] } };
}
use each;

/// An operation, and the same with four `BITS` of its immediate in the code of the host's instruction. A
/// dot product goes to all places there, of which the rest of the immediate keeps some.
macro_rules! operations {
    ($($name:ident, $host:ident: $source:ty, $instruction:literal, $code:expr, |$immediate:ident| $compute:expr, |$result:ident, $rest:ident| $finish:expr;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = $source;
            const FLOATS: bool = true;
            const NEEDS: HostVector = HostVector::SSE4_1;

            fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, $immediate: u8) -> Vector {
                let compute = $compute;
                compute(&mut Environment(mxcsr), destination, source)
            }
        }

        pub(in crate::execute) struct $host<const BITS: u8>;
        impl<const BITS: u8> Operation for $host<BITS> {
            type Source = $source;
            const FLOATS: bool = true;
            const NEEDS: HostVector = HostVector::SSE4_1;

            fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
                $name::compute(mxcsr, destination, source, immediate)
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: Vector, $rest: u8) -> Vector {
                let mut $result = destination;
                crate::execute::sse::instruction!(concat!($instruction, " {0}, {1}, {2}"),
                    inout(xmm_reg) $result, in(xmm_reg) source, const $code);
                $finish
            }
        })*
    };
}

/// The places that the immediate's low bits name; the others are zero.
#[inline(always)]
fn singles_at(vector: Vector, immediate: u8) -> Vector {
    let singles = <[u32; 4]>::of(vector);
    let kept: [u32; 4] =
        core::array::from_fn(|place| singles[place] & wanted(immediate, place) as u32);
    kept.vector()
}

#[inline(always)]
fn doubles_at(vector: Vector, immediate: u8) -> Vector {
    let doubles = <[u64; 2]>::of(vector);
    let kept: [u64; 2] = core::array::from_fn(|place| doubles[place] & wanted(immediate, place));
    kept.vector()
}

/// All ones if the bit is set.
#[inline(always)]
fn wanted(immediate: u8, bit: usize) -> u64 {
    u64::from(immediate >> bit & 1).wrapping_neg()
}

operations! {
    Roundps, HostRoundps: Aligned, "roundps", BITS, |immediate| {
        singles::<4>(|env, format, _, source| round_to_integral(env, format, source, immediate))
    }, |result, _immediate| result;
    Roundpd, HostRoundpd: Aligned, "roundpd", BITS, |immediate| {
        doubles::<2>(|env, format, _, source| round_to_integral(env, format, source, immediate))
    }, |result, _immediate| result;
    Roundss, HostRoundss: Low32, "roundss", BITS, |immediate| {
        singles::<1>(|env, format, _, source| round_to_integral(env, format, source, immediate))
    }, |result, _immediate| result;
    Roundsd, HostRoundsd: Low64, "roundsd", BITS, |immediate| {
        doubles::<1>(|env, format, _, source| round_to_integral(env, format, source, immediate))
    }, |result, _immediate| result;
    Dpps, HostDpps: Aligned, "dpps", BITS << 4 | 15, |immediate| {
        |env: &mut Environment, left, right| {
            let [result] = dot_products_of_singles(env, [left], [right], immediate);
            result
        }
    }, |result, immediate| singles_at(result, immediate);
    Dppd, HostDppd: Aligned, "dppd", BITS << 4 | 15, |immediate| {
        |env: &mut Environment, left, right| {
            let (left, right) = (<[u64; 2]>::of(left), <[u64; 2]>::of(right));
            let [a, b] = core::array::from_fn(|place| match wanted(immediate, 4 + place) {
                0 => 0,
                _ => multiply(env, DOUBLE, left[place], right[place]),
            });
            if env.ends_step() {
                return 0_u128.vector();
            }
            doubles_at([add(env, DOUBLE, a, b); 2].vector(), immediate)
        }
    }, |result, immediate| doubles_at(result, immediate);
}

/// DPPS in as many vectors as the instruction has halves. An unmasked exception in one of them keeps
/// the steps that follow from being taken in all; then the result does not matter.
pub(in crate::execute) fn dot_products_of_singles<const HALVES: usize>(
    env: &mut Environment,
    left: [Vector; HALVES],
    right: [Vector; HALVES],
    immediate: u8,
) -> [Vector; HALVES] {
    let products: [[u64; 4]; HALVES] = core::array::from_fn(|half| {
        let (left, right) = (<[u32; 4]>::of(left[half]), <[u32; 4]>::of(right[half]));
        core::array::from_fn(|place| match wanted(immediate, 4 + place) {
            0 => 0,
            _ => multiply(env, SINGLE, left[place].into(), right[place].into()),
        })
    });
    if env.ends_step() {
        return left;
    }
    let sums = products.map(|[a, b, c, d]| [add(env, SINGLE, a, b), add(env, SINGLE, c, d)]);
    if env.ends_step() {
        return left;
    }
    sums.map(|[low, high]| singles_at([add(env, SINGLE, low, high) as u32; 4].vector(), immediate))
}
