//! Floating-point comparisons: CMPcc makes masks, COMIS and UCOMIS set the status flags.

use super::super::emit::{Emit, EmitFn};
use super::super::flags::{CF, PF, ZF};
use super::handler::{comparison, operation};
use super::vector::{Aligned, Low32, Low64, Vector};
use super::{Compare, Operation, enabled, instruction, rows};

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
    ($($name:ident: $source:ty, $instruction:literal;)*) => {
        $(struct $name<const PREDICATE: u8>;
        impl<const PREDICATE: u8> Operation for $name<PREDICATE> {
            type Source = $source;
            const FLOATS: bool = true;
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let mut result = destination;
                instruction!(concat!($instruction, " {0}, {1}, {2}"), inout(xmm_reg) result,
                    in(xmm_reg) source, const PREDICATE);
                result
            }
        })*
    };
}

masks! {
    Cmpps: Aligned, "cmpps";
    Cmppd: Aligned, "cmppd";
    Cmpss: Low32, "cmpss";
    Cmpsd: Low64, "cmpsd";
}

macro_rules! comparisons {
    ($($name:ident: $source:ty, $instruction:literal;)*) => {
        $(struct $name;
        impl Compare for $name {
            type Source = $source;
            #[inline(always)]
            fn apply(_: &mut u32, left: Vector, right: Vector) -> u64 {
                let flags: u64;
                instruction!(concat!($instruction, " {0}, {1}", "\nlahf"), in(xmm_reg) left,
                    in(xmm_reg) right, lateout("rax") flags);
                // OF, SF and AF are cleared.
                flags >> 8 & (CF | PF | ZF)
            }
        })*
    };
}

comparisons! {
    Comiss: Low32, "comiss";
    Comisd: Low64, "comisd";
    Ucomiss: Low32, "ucomiss";
    Ucomisd: Low64, "ucomisd";
}
