//! Fused multiply-add: a product and a sum with one rounding.
//!
//! The digits of a name say which operands are multiplied and which is added, by their positions: 132,
//! 213 or 231. In `x * y + z` a NaN of `x` goes before one of `y`, and that before one of `z`.

use super::super::host_vector::HostVector;
use super::super::sse::ThreeSources;
use super::super::sse::soft_float::{DOUBLE, Environment, SINGLE, fused};
use super::super::sse::vector::{Aligned, Lanes, Low32, Low64, Vector};
use super::handler::{accumulate_lanes, accumulate_low};
use super::rows;

/// Whether the product, and whether the summand of an element is negated.
type Signs = fn(usize) -> (bool, bool);

const ADD: Signs = |_| (false, false);
const SUBTRACT: Signs = |_| (false, true);
const NEGATED_ADD: Signs = |_| (true, false);
const NEGATED_SUBTRACT: Signs = |_| (true, true);
/// Even elements subtract, odd ones add.
const ADD_SUBTRACT: Signs = |index| (false, index % 2 == 0);
const SUBTRACT_ADD: Signs = |index| (false, index % 2 != 0);

/// The two that are multiplied and the one that is added, of operands 1, 2 and 3.
type Order<T> = fn([T; 3]) -> [T; 3];

/// The types and rows of all instructions. Of each kind there are three orders.
macro_rules! instructions {
    ($($kind:ident: $signs:expr, $emit:ident, $source:ty, $element:ty, $count:literal of $whole:literal, $format:expr,
        $($row:ident $name:ident $instruction:literal $order:expr),*;)*) => {
        rows! { $($($row => $emit::<$name>,)*)* }

        $($(struct $name;
        impl ThreeSources for $name {
            type Source = $source;
            const FLOATS: bool = true;
            const NEEDS: HostVector = HostVector::FMA;

            fn compute(mxcsr: &mut u32, first: Vector, third: Vector, second: Vector) -> Vector {
                let sources = [first, second, third].map(<[$element; $whole]>::of);
                let (env, signs): (_, Signs) = (&mut Environment(mxcsr), $signs);
                let order: Order<u64> = $order;
                let mut result = sources[0];
                for index in 0..$count {
                    let operands = order(sources.map(|source| source[index].into()));
                    result[index] = fused(env, $format, operands, signs(index)) as $element;
                }
                result.vector()
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, first: Vector, third: Vector, second: Vector) -> Vector {
                let mut result = first;
                super::super::sse::instruction!(concat!($instruction, " {0}, {1}, {2}"),
                    inout(xmm_reg) result, in(xmm_reg) second, in(xmm_reg) third);
                result
            }
        })*)*
    };
}

instructions! {
    Fmadd: ADD, accumulate_lanes, Aligned, u32, 4 of 4, SINGLE,
        Vfmadd132ps Vfmadd132ps "vfmadd132ps" |[a, b, c]| [a, c, b],
        Vfmadd213ps Vfmadd213ps "vfmadd213ps" |[a, b, c]| [b, a, c],
        Vfmadd231ps Vfmadd231ps "vfmadd231ps" |[a, b, c]| [b, c, a];
    Fmadd: ADD, accumulate_lanes, Aligned, u64, 2 of 2, DOUBLE,
        Vfmadd132pd Vfmadd132pd "vfmadd132pd" |[a, b, c]| [a, c, b],
        Vfmadd213pd Vfmadd213pd "vfmadd213pd" |[a, b, c]| [b, a, c],
        Vfmadd231pd Vfmadd231pd "vfmadd231pd" |[a, b, c]| [b, c, a];
    Fmadd: ADD, accumulate_low, Low32, u32, 1 of 4, SINGLE,
        Vfmadd132ss Vfmadd132ss "vfmadd132ss" |[a, b, c]| [a, c, b],
        Vfmadd213ss Vfmadd213ss "vfmadd213ss" |[a, b, c]| [b, a, c],
        Vfmadd231ss Vfmadd231ss "vfmadd231ss" |[a, b, c]| [b, c, a];
    Fmadd: ADD, accumulate_low, Low64, u64, 1 of 2, DOUBLE,
        Vfmadd132sd Vfmadd132sd "vfmadd132sd" |[a, b, c]| [a, c, b],
        Vfmadd213sd Vfmadd213sd "vfmadd213sd" |[a, b, c]| [b, a, c],
        Vfmadd231sd Vfmadd231sd "vfmadd231sd" |[a, b, c]| [b, c, a];
    Fmsub: SUBTRACT, accumulate_lanes, Aligned, u32, 4 of 4, SINGLE,
        Vfmsub132ps Vfmsub132ps "vfmsub132ps" |[a, b, c]| [a, c, b],
        Vfmsub213ps Vfmsub213ps "vfmsub213ps" |[a, b, c]| [b, a, c],
        Vfmsub231ps Vfmsub231ps "vfmsub231ps" |[a, b, c]| [b, c, a];
    Fmsub: SUBTRACT, accumulate_lanes, Aligned, u64, 2 of 2, DOUBLE,
        Vfmsub132pd Vfmsub132pd "vfmsub132pd" |[a, b, c]| [a, c, b],
        Vfmsub213pd Vfmsub213pd "vfmsub213pd" |[a, b, c]| [b, a, c],
        Vfmsub231pd Vfmsub231pd "vfmsub231pd" |[a, b, c]| [b, c, a];
    Fmsub: SUBTRACT, accumulate_low, Low32, u32, 1 of 4, SINGLE,
        Vfmsub132ss Vfmsub132ss "vfmsub132ss" |[a, b, c]| [a, c, b],
        Vfmsub213ss Vfmsub213ss "vfmsub213ss" |[a, b, c]| [b, a, c],
        Vfmsub231ss Vfmsub231ss "vfmsub231ss" |[a, b, c]| [b, c, a];
    Fmsub: SUBTRACT, accumulate_low, Low64, u64, 1 of 2, DOUBLE,
        Vfmsub132sd Vfmsub132sd "vfmsub132sd" |[a, b, c]| [a, c, b],
        Vfmsub213sd Vfmsub213sd "vfmsub213sd" |[a, b, c]| [b, a, c],
        Vfmsub231sd Vfmsub231sd "vfmsub231sd" |[a, b, c]| [b, c, a];
    Fnmadd: NEGATED_ADD, accumulate_lanes, Aligned, u32, 4 of 4, SINGLE,
        Vfnmadd132ps Vfnmadd132ps "vfnmadd132ps" |[a, b, c]| [a, c, b],
        Vfnmadd213ps Vfnmadd213ps "vfnmadd213ps" |[a, b, c]| [b, a, c],
        Vfnmadd231ps Vfnmadd231ps "vfnmadd231ps" |[a, b, c]| [b, c, a];
    Fnmadd: NEGATED_ADD, accumulate_lanes, Aligned, u64, 2 of 2, DOUBLE,
        Vfnmadd132pd Vfnmadd132pd "vfnmadd132pd" |[a, b, c]| [a, c, b],
        Vfnmadd213pd Vfnmadd213pd "vfnmadd213pd" |[a, b, c]| [b, a, c],
        Vfnmadd231pd Vfnmadd231pd "vfnmadd231pd" |[a, b, c]| [b, c, a];
    Fnmadd: NEGATED_ADD, accumulate_low, Low32, u32, 1 of 4, SINGLE,
        Vfnmadd132ss Vfnmadd132ss "vfnmadd132ss" |[a, b, c]| [a, c, b],
        Vfnmadd213ss Vfnmadd213ss "vfnmadd213ss" |[a, b, c]| [b, a, c],
        Vfnmadd231ss Vfnmadd231ss "vfnmadd231ss" |[a, b, c]| [b, c, a];
    Fnmadd: NEGATED_ADD, accumulate_low, Low64, u64, 1 of 2, DOUBLE,
        Vfnmadd132sd Vfnmadd132sd "vfnmadd132sd" |[a, b, c]| [a, c, b],
        Vfnmadd213sd Vfnmadd213sd "vfnmadd213sd" |[a, b, c]| [b, a, c],
        Vfnmadd231sd Vfnmadd231sd "vfnmadd231sd" |[a, b, c]| [b, c, a];
    Fnmsub: NEGATED_SUBTRACT, accumulate_lanes, Aligned, u32, 4 of 4, SINGLE,
        Vfnmsub132ps Vfnmsub132ps "vfnmsub132ps" |[a, b, c]| [a, c, b],
        Vfnmsub213ps Vfnmsub213ps "vfnmsub213ps" |[a, b, c]| [b, a, c],
        Vfnmsub231ps Vfnmsub231ps "vfnmsub231ps" |[a, b, c]| [b, c, a];
    Fnmsub: NEGATED_SUBTRACT, accumulate_lanes, Aligned, u64, 2 of 2, DOUBLE,
        Vfnmsub132pd Vfnmsub132pd "vfnmsub132pd" |[a, b, c]| [a, c, b],
        Vfnmsub213pd Vfnmsub213pd "vfnmsub213pd" |[a, b, c]| [b, a, c],
        Vfnmsub231pd Vfnmsub231pd "vfnmsub231pd" |[a, b, c]| [b, c, a];
    Fnmsub: NEGATED_SUBTRACT, accumulate_low, Low32, u32, 1 of 4, SINGLE,
        Vfnmsub132ss Vfnmsub132ss "vfnmsub132ss" |[a, b, c]| [a, c, b],
        Vfnmsub213ss Vfnmsub213ss "vfnmsub213ss" |[a, b, c]| [b, a, c],
        Vfnmsub231ss Vfnmsub231ss "vfnmsub231ss" |[a, b, c]| [b, c, a];
    Fnmsub: NEGATED_SUBTRACT, accumulate_low, Low64, u64, 1 of 2, DOUBLE,
        Vfnmsub132sd Vfnmsub132sd "vfnmsub132sd" |[a, b, c]| [a, c, b],
        Vfnmsub213sd Vfnmsub213sd "vfnmsub213sd" |[a, b, c]| [b, a, c],
        Vfnmsub231sd Vfnmsub231sd "vfnmsub231sd" |[a, b, c]| [b, c, a];
    Fmaddsub: ADD_SUBTRACT, accumulate_lanes, Aligned, u32, 4 of 4, SINGLE,
        Vfmaddsub132ps Vfmaddsub132ps "vfmaddsub132ps" |[a, b, c]| [a, c, b],
        Vfmaddsub213ps Vfmaddsub213ps "vfmaddsub213ps" |[a, b, c]| [b, a, c],
        Vfmaddsub231ps Vfmaddsub231ps "vfmaddsub231ps" |[a, b, c]| [b, c, a];
    Fmaddsub: ADD_SUBTRACT, accumulate_lanes, Aligned, u64, 2 of 2, DOUBLE,
        Vfmaddsub132pd Vfmaddsub132pd "vfmaddsub132pd" |[a, b, c]| [a, c, b],
        Vfmaddsub213pd Vfmaddsub213pd "vfmaddsub213pd" |[a, b, c]| [b, a, c],
        Vfmaddsub231pd Vfmaddsub231pd "vfmaddsub231pd" |[a, b, c]| [b, c, a];
    Fmsubadd: SUBTRACT_ADD, accumulate_lanes, Aligned, u32, 4 of 4, SINGLE,
        Vfmsubadd132ps Vfmsubadd132ps "vfmsubadd132ps" |[a, b, c]| [a, c, b],
        Vfmsubadd213ps Vfmsubadd213ps "vfmsubadd213ps" |[a, b, c]| [b, a, c],
        Vfmsubadd231ps Vfmsubadd231ps "vfmsubadd231ps" |[a, b, c]| [b, c, a];
    Fmsubadd: SUBTRACT_ADD, accumulate_lanes, Aligned, u64, 2 of 2, DOUBLE,
        Vfmsubadd132pd Vfmsubadd132pd "vfmsubadd132pd" |[a, b, c]| [a, c, b],
        Vfmsubadd213pd Vfmsubadd213pd "vfmsubadd213pd" |[a, b, c]| [b, a, c],
        Vfmsubadd231pd Vfmsubadd231pd "vfmsubadd231pd" |[a, b, c]| [b, c, a];
}
