//! Conversions between integers and floating point, and between single and double.

use super::handler::{frequent, into_general, operation, out_of_general};
use super::vector::{Aligned, Low32, Low64, Vector};
use super::{FromGeneral, Operation, ToGeneral, instruction, native, rows};
use crate::execute::emit::Emit;

rows! {
    Cvtdq2ps => operation::<Cvtdq2ps>,
    Cvtdq2pd => operation::<Cvtdq2pd>,
    Cvtps2dq => operation::<Cvtps2dq>,
    Cvttps2dq => operation::<Cvttps2dq>,
    Cvtpd2dq => operation::<Cvtpd2dq>,
    Cvttpd2dq => operation::<Cvttpd2dq>,
    Cvtps2pd => operation::<Cvtps2pd>,
    Cvtpd2ps => operation::<Cvtpd2ps>,
    Cvtss2sd => frequent::<Cvtss2sd>,
    Cvtsd2ss => frequent::<Cvtsd2ss>,
    Cvtsi2ss => |e| by_width(e, 1, out_of_general::<Cvtsi2ss32>, out_of_general::<Cvtsi2ss64>),
    Cvtsi2sd => |e| by_width(e, 1, out_of_general::<Cvtsi2sd32>, out_of_general::<Cvtsi2sd64>),
    Cvtss2si => |e| by_width(e, 0, into_general::<Cvtss2si32>, into_general::<Cvtss2si64>),
    Cvtsd2si => |e| by_width(e, 0, into_general::<Cvtsd2si32>, into_general::<Cvtsd2si64>),
    Cvttss2si => |e| by_width(e, 0, into_general::<Cvttss2si32>, into_general::<Cvttss2si64>),
    Cvttsd2si => |e| by_width(e, 0, into_general::<Cvttsd2si32>, into_general::<Cvttsd2si64>),
}

/// Emits the form for the width of the general operand, which is at `position`.
fn by_width(
    emit: &mut Emit,
    position: u32,
    narrow: fn(&mut Emit) -> Option<()>,
    wide: fn(&mut Emit) -> Option<()>,
) -> Option<()> {
    if emit.width(position) == 3 { wide(emit) } else { narrow(emit) }
}

native! {
    Cvtdq2ps: Aligned, "cvtdq2ps";
    Cvtdq2pd: Low64, "cvtdq2pd";
    Cvtps2dq: Aligned, "cvtps2dq";
    Cvttps2dq: Aligned, "cvttps2dq";
    Cvtpd2dq: Aligned, "cvtpd2dq";
    Cvttpd2dq: Aligned, "cvttpd2dq";
    Cvtps2pd: Low64, "cvtps2pd";
    Cvtpd2ps: Aligned, "cvtpd2ps";
    Cvtss2sd: Low32, "cvtss2sd";
    Cvtsd2ss: Low64, "cvtsd2ss";
}

macro_rules! from_general {
    ($($name:ident: $width:ty, $source:ty, $instruction:literal;)*) => {
        $(struct $name;
        impl FromGeneral for $name {
            type Source = $source;
            type Width = $width;
            const FLOATS: bool = true;
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: u64) -> Vector {
                let mut result = destination;
                instruction!($instruction, inout(xmm_reg) result, in(reg) source);
                result
            }
        })*
    };
}

from_general! {
    Cvtsi2ss32: u32, Low32, "cvtsi2ss {0}, {1:e}";
    Cvtsi2ss64: u64, Low64, "cvtsi2ss {0}, {1:r}";
    Cvtsi2sd32: u32, Low32, "cvtsi2sd {0}, {1:e}";
    Cvtsi2sd64: u64, Low64, "cvtsi2sd {0}, {1:r}";
}

macro_rules! to_general {
    ($($name:ident: $width:ty, $source:ty, $instruction:literal;)*) => {
        $(struct $name;
        impl ToGeneral for $name {
            type Source = $source;
            type Width = $width;
            const FLOATS: bool = true;
            #[inline(always)]
            fn apply(_: &mut u32, source: Vector) -> u64 {
                let result: u64;
                instruction!($instruction, lateout(reg) result, in(xmm_reg) source);
                result
            }
        })*
    };
}

to_general! {
    Cvtss2si32: u32, Low32, "cvtss2si {0:e}, {1}";
    Cvtss2si64: u64, Low32, "cvtss2si {0:r}, {1}";
    Cvtsd2si32: u32, Low64, "cvtsd2si {0:e}, {1}";
    Cvtsd2si64: u64, Low64, "cvtsd2si {0:r}, {1}";
    Cvttss2si32: u32, Low32, "cvttss2si {0:e}, {1}";
    Cvttss2si64: u64, Low32, "cvttss2si {0:r}, {1}";
    Cvttsd2si32: u32, Low64, "cvttsd2si {0:e}, {1}";
    Cvttsd2si64: u64, Low64, "cvttsd2si {0:r}, {1}";
}
