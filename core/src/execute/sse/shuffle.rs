//! Shuffles by an immediate: PSHUFD, PSHUFLW, PSHUFHW, SHUFPS, SHUFPD.

use super::handler::{ByImmediate, on_host, operation, operation_by_immediate};
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, rows};

rows! {
    Pshufd => |e| operation_by_immediate::<Aligned>(e, &PSHUFD),
    Pshuflw => operation::<Pshuflw>,
    Pshufhw => operation::<Pshufhw>,
    Shufps => |e| operation_by_immediate::<Aligned>(e, &SHUFPS),
    Shufpd => operation::<Shufpd>,
}

/// The element that two bits of the immediate name for each place.
#[inline(always)]
fn select<T: Copy>(elements: [T; 4], immediate: u8) -> [T; 4] {
    core::array::from_fn(|place| elements[usize::from(immediate >> (2 * place) & 3)])
}

macro_rules! shuffles {
    ($($name:ident: [$element:ty; $count:literal], |$left:ident, $right:ident, $immediate:ident| $result:expr;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, $immediate: u8) -> Vector {
                let $left = <[$element; $count]>::of(destination);
                let $right = <[$element; $count]>::of(source);
                let elements: [$element; $count] = $result;
                elements.vector()
            }
        })*
    };
}

shuffles! {
    Pshuflw: [u16; 8], |_left, right, immediate| {
        let [a, b, c, d, high @ ..] = right;
        let [a, b, c, d] = select([a, b, c, d], immediate);
        let [e, f, g, h] = high;
        [a, b, c, d, e, f, g, h]
    };
    Pshufhw: [u16; 8], |_left, right, immediate| {
        let [a, b, c, d, high @ ..] = right;
        let [e, f, g, h] = select(high, immediate);
        [a, b, c, d, e, f, g, h]
    };
    Shufpd: [u64; 2], |left, right, immediate| {
        [left[usize::from(immediate & 1)], right[usize::from(immediate >> 1 & 1)]]
    };
}

/// PSHUFD by one immediate.
pub(in crate::execute) struct Pshufd<const IMMEDIATE: u8>;
/// SHUFPS by one immediate.
pub(in crate::execute) struct Shufps<const IMMEDIATE: u8>;

impl<const IMMEDIATE: u8> Operation for Pshufd<IMMEDIATE> {
    type Source = Aligned;
    const FLOATS: bool = false;

    #[inline(always)]
    fn compute(_: &mut u32, _: Vector, source: Vector, _: u8) -> Vector {
        select(<[u32; 4]>::of(source), IMMEDIATE).vector()
    }
}

impl<const IMMEDIATE: u8> Operation for Shufps<IMMEDIATE> {
    type Source = Aligned;
    const FLOATS: bool = false;

    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        let [a, b, ..] = select(<[u32; 4]>::of(destination), IMMEDIATE);
        let [_, _, c, d] = select(<[u32; 4]>::of(source), IMMEDIATE);
        [a, b, c, d].vector()
    }
}

/// The handlers of `$name` for each immediate.
macro_rules! by_immediate {
    ($name:ident) => {
        by_immediate!(@upper $name, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@upper $name:ident, $($upper:literal)*) => {
        [$(by_immediate!(@lower $name, $upper, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)),*]
    };
    (@lower $name:ident, $upper:literal, $($lower:literal)*) => {
        [$(on_host::<$name<{ $upper << 4 | $lower }>>()),*]
    };
}

static PSHUFD: ByImmediate = by_immediate!(Pshufd);
static SHUFPS: ByImmediate = by_immediate!(Shufps);
