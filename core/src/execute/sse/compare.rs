//! Floating-point comparisons: CMPcc makes masks, COMIS and UCOMIS set the status flags.

use core::cmp::Ordering;

use super::super::emit::{Emit, EmitFn};
use super::super::flags::{CF, PF, ZF};
use super::handler::{comparison, operation};
use super::soft_float::{DOUBLE, Environment, SINGLE, doubles, order, predicate, singles};
use super::vector::{Aligned, Lanes, Low32, Low64, Vector};
use super::{Compare, Operation, enabled, rows};

rows! {
    Cmpps => |e| by_predicate(e, &predicates!(Cmpps)),
    Cmppd => |e| by_predicate(e, &predicates!(Cmppd)),
    Cmpss => |e| by_predicate(e, &predicates!(Cmpss)),
    Comiss => comparison::<Comiss>,
    Comisd => comparison::<Comisd>,
    Ucomiss => comparison::<Ucomiss>,
    Ucomisd => comparison::<Ucomisd>,
}

/// An operation by predicate: EQ, LT, LE, UNORD, NEQ, NLT, NLE, ORD.
macro_rules! predicates {
    ($name:ident) => {
        [
            operation::<$name<0>> as EmitFn,
            operation::<$name<1>>,
            operation::<$name<2>>,
            operation::<$name<3>>,
            operation::<$name<4>>,
            operation::<$name<5>>,
            operation::<$name<6>>,
            operation::<$name<7>>,
        ]
    };
}
use predicates;

/// The upper bits of the immediate are reserved, and ignored.
fn by_predicate(emit: &mut Emit, emitters: &[EmitFn; 8]) -> Option<()> {
    emitters[emit.immediate(2) as usize & 7](emit)
}

/// CMPSD, whose mnemonic string instructions have, too: the row is theirs.
pub(in crate::execute) fn cmpsd(emit: &mut Emit) -> Option<()> {
    enabled(emit, |emit| by_predicate(emit, &predicates!(Cmpsd)))
}

macro_rules! masks {
    ($($name:ident: $source:ty, $instruction:literal, $lanes:expr;)*) => {
        $(pub(in crate::execute) struct $name<const PREDICATE: u8>;
        impl<const PREDICATE: u8> Operation for $name<PREDICATE> {
            type Source = $source;
            const FLOATS: bool = true;

            fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let computed = $lanes(|env: &mut Environment, format, left, right| {
                    predicate(env, format, left, right, PREDICATE)
                });
                computed(&mut Environment(mxcsr), destination, source)
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let mut result = destination;
                super::instruction!(concat!($instruction, " {0}, {1}, {2}"), inout(xmm_reg) result,
                    in(xmm_reg) source, const PREDICATE);
                result
            }
        })*
    };
}

masks! {
    Cmpps: Aligned, "cmpps", singles::<4>;
    Cmppd: Aligned, "cmppd", doubles::<2>;
    Cmpss: Low32, "cmpss", singles::<1>;
    Cmpsd: Low64, "cmpsd", doubles::<1>;
}

macro_rules! comparisons {
    ($($name:ident: $source:ty, $instruction:literal, $format:expr, $quiet:literal;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Compare for $name {
            type Source = $source;

            fn compute(mxcsr: &mut u32, left: Vector, right: Vector) -> u64 {
                let ([left, _], [right, _]) = (<[u64; 2]>::of(left), <[u64; 2]>::of(right));
                match order(&mut Environment(mxcsr), $format, left, right, $quiet) {
                    None => CF | PF | ZF,
                    Some(Ordering::Less) => CF,
                    Some(Ordering::Equal) => ZF,
                    Some(Ordering::Greater) => 0,
                }
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, left: Vector, right: Vector) -> u64 {
                let flags: u64;
                super::instruction!(concat!($instruction, " {0}, {1}", "\nlahf"), in(xmm_reg) left,
                    in(xmm_reg) right, lateout("rax") flags);
                // OF, SF and AF are cleared.
                flags >> 8 & (CF | PF | ZF)
            }
        })*
    };
}

comparisons! {
    Comiss: Low32, "comiss", SINGLE, false;
    Comisd: Low64, "comisd", DOUBLE, false;
    Ucomiss: Low32, "ucomiss", SINGLE, true;
    Ucomisd: Low64, "ucomisd", DOUBLE, true;
}
