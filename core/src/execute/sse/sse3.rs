//! SSE3 on XMM registers: sums of neighbours, alternating sums, and moves that duplicate.

use super::super::host_vector::HostVector;
use super::handler::{load_register, operation};
use super::soft_float::{DOUBLE, Environment, SINGLE, add, subtract};
use super::ssse3::neighbours;
use super::vector::{Aligned, Lanes, Low64, Unaligned, Vector};
use super::{Operation, native, rows};

rows! {
    Addsubps => operation::<Addsubps>, Addsubpd => operation::<Addsubpd>,
    Haddps => operation::<Haddps>, Haddpd => operation::<Haddpd>,
    Hsubps => operation::<Hsubps>, Hsubpd => operation::<Hsubpd>,
    Lddqu => load_register::<Unaligned>,
    Movddup => operation::<Movddup>,
    Movshdup => operation::<Movshdup>,
    Movsldup => operation::<Movsldup>,
}

/// An arithmetic operation of `soft_float`.
type Arithmetic = fn(&mut Environment, super::soft_float::Format, u64, u64) -> u64;

/// Operations on singles and doubles that combine neighbours.
fn horizontal_singles(
    operation: Arithmetic,
) -> impl Fn(&mut Environment, Vector, Vector) -> Vector {
    move |env, left, right| {
        let combine = |a: u32, b: u32| operation(env, SINGLE, a.into(), b.into()) as u32;
        neighbours(<[u32; 4]>::of(left), <[u32; 4]>::of(right), combine).vector()
    }
}

fn horizontal_doubles(
    operation: Arithmetic,
) -> impl Fn(&mut Environment, Vector, Vector) -> Vector {
    move |env, left, right| {
        let combine = |a, b| operation(env, DOUBLE, a, b);
        neighbours(<[u64; 2]>::of(left), <[u64; 2]>::of(right), combine).vector()
    }
}

/// Subtracts at even places, adds at odd ones.
const ALTERNATING: [Arithmetic; 2] = [subtract, add];

fn alternating_singles(env: &mut Environment, left: Vector, right: Vector) -> Vector {
    let (left, right) = (<[u32; 4]>::of(left), <[u32; 4]>::of(right));
    let singles: [u32; 4] = core::array::from_fn(|place| {
        ALTERNATING[place % 2](env, SINGLE, left[place].into(), right[place].into()) as u32
    });
    singles.vector()
}

fn alternating_doubles(env: &mut Environment, left: Vector, right: Vector) -> Vector {
    let (left, right) = (<[u64; 2]>::of(left), <[u64; 2]>::of(right));
    let doubles: [u64; 2] =
        core::array::from_fn(|place| ALTERNATING[place](env, DOUBLE, left[place], right[place]));
    doubles.vector()
}

native! {
    FLOATS = true, NEEDS = HostVector::SSE3;
    Addsubps: Aligned, "addsubps", alternating_singles;
    Addsubpd: Aligned, "addsubpd", alternating_doubles;
    Haddps: Aligned, "haddps", horizontal_singles(add);
    Haddpd: Aligned, "haddpd", horizontal_doubles(add);
    Hsubps: Aligned, "hsubps", horizontal_singles(subtract);
    Hsubpd: Aligned, "hsubpd", horizontal_doubles(subtract);
}

macro_rules! duplicates {
    ($($name:ident: $source:ty, [$element:ty; $count:literal], $places:expr;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = $source;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, _: Vector, source: Vector, _: u8) -> Vector {
                let elements = <[$element; $count]>::of(source);
                $places.map(|place: usize| elements[place]).vector()
            }
        })*
    };
}

duplicates! {
    Movddup: Low64, [u64; 2], [0, 0];
    Movshdup: Aligned, [u32; 4], [1, 1, 3, 3];
    Movsldup: Aligned, [u32; 4], [0, 0, 2, 2];
}
