//! Conversions between integers and floating point, and between single and double.

use super::handler::{frequent, into_general, operation, out_of_general};
use super::soft_float::{
    DOUBLE, Environment, Format, SINGLE, doubled, doubles, from_integer, halved, narrow, singles,
    to_integer, widen,
};
use super::vector::{Aligned, Lanes, Low32, Low64, Vector};
use super::{FromGeneral, ToGeneral, native, rows};
use crate::execute::emit::Emit;
use crate::execute::host_vector::HostVector;

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
    FLOATS = true, NEEDS = HostVector::empty();
    Cvtdq2ps: Aligned, "cvtdq2ps", singles::<4>(|env, format, _, source| {
        from_integer(env, format, (source as i32).into())
    });
    Cvtps2dq: Aligned, "cvtps2dq", singles::<4>(|env, format, _, source| {
        to_integer(env, format, source, 32, false)
    });
    Cvttps2dq: Aligned, "cvttps2dq", singles::<4>(|env, format, _, source| {
        to_integer(env, format, source, 32, true)
    });
    Cvtdq2pd: Low64, "cvtdq2pd", doubled(|env, source| {
        from_integer(env, DOUBLE, (source as i32).into())
    });
    Cvtpd2dq: Aligned, "cvtpd2dq", halved(|env, source| {
        to_integer(env, DOUBLE, source, 32, false)
    });
    Cvttpd2dq: Aligned, "cvttpd2dq", halved(|env, source| {
        to_integer(env, DOUBLE, source, 32, true)
    });
    Cvtps2pd: Low64, "cvtps2pd", doubled(|env, source| widen(env, source.into()));
    Cvtpd2ps: Aligned, "cvtpd2ps", halved(narrow);
    Cvtss2sd: Low32, "cvtss2sd", doubles::<1>(|env, _, _, source| widen(env, source));
    Cvtsd2ss: Low64, "cvtsd2ss", |env: &mut Environment, destination, source| {
        let ([_, b, c, d], [source, _]) = (<[u32; 4]>::of(destination), <[u64; 2]>::of(source));
        [narrow(env, source) as u32, b, c, d].vector()
    };
}

macro_rules! from_general {
    ($($name:ident: $width:ty, $signed:ty, $source:ty, $instruction:literal, $convert:expr;)*) => {
        $(pub(in crate::execute) struct $name;
        impl FromGeneral for $name {
            type Source = $source;
            type Width = $width;
            const FLOATS: bool = true;

            fn compute(mxcsr: &mut u32, destination: Vector, source: u64, _: u8) -> Vector {
                let convert = $convert(|env: &mut Environment, format, _, source| {
                    from_integer(env, format, source as $signed as i64)
                });
                let source = [source, 0].vector();
                convert(&mut Environment(mxcsr), destination, source)
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: u64, _: u8) -> Vector {
                let mut result = destination;
                super::instruction!($instruction, inout(xmm_reg) result, in(reg) source);
                result
            }
        })*
    };
}

from_general! {
    Cvtsi2ss32: u32, i32, Low32, "cvtsi2ss {0}, {1:e}", low_single;
    Cvtsi2ss64: u64, i64, Low64, "cvtsi2ss {0}, {1:r}", low_single;
    Cvtsi2sd32: u32, i32, Low32, "cvtsi2sd {0}, {1:e}", doubles::<1>;
    Cvtsi2sd64: u64, i64, Low64, "cvtsi2sd {0}, {1:r}", doubles::<1>;
}

/// An operation that makes the low single of the low 64 bits of the source.
fn low_single(
    operation: impl Fn(&mut Environment, Format, u64, u64) -> u64,
) -> impl Fn(&mut Environment, Vector, Vector) -> Vector {
    move |env, destination, source| {
        let ([a, b, c, d], [source, _]) = (<[u32; 4]>::of(destination), <[u64; 2]>::of(source));
        [operation(env, SINGLE, a.into(), source) as u32, b, c, d].vector()
    }
}

macro_rules! to_general {
    ($($name:ident: $width:ty, $source:ty, $format:expr, $truncate:literal, $instruction:literal;)*) => {
        $(pub(in crate::execute) struct $name;
        impl ToGeneral for $name {
            type Source = $source;
            type Width = $width;
            const FLOATS: bool = true;

            fn compute(mxcsr: &mut u32, source: Vector, _: u8) -> u64 {
                let [source, _] = <[u64; 2]>::of(source);
                to_integer(&mut Environment(mxcsr), $format, source, <$width>::BITS, $truncate)
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, source: Vector, _: u8) -> u64 {
                let result: u64;
                super::instruction!($instruction, lateout(reg) result, in(xmm_reg) source);
                result
            }
        })*
    };
}

to_general! {
    Cvtss2si32: u32, Low32, SINGLE, false, "cvtss2si {0:e}, {1}";
    Cvtss2si64: u64, Low32, SINGLE, false, "cvtss2si {0:r}, {1}";
    Cvtsd2si32: u32, Low64, DOUBLE, false, "cvtsd2si {0:e}, {1}";
    Cvtsd2si64: u64, Low64, DOUBLE, false, "cvtsd2si {0:r}, {1}";
    Cvttss2si32: u32, Low32, SINGLE, true, "cvttss2si {0:e}, {1}";
    Cvttss2si64: u64, Low32, SINGLE, true, "cvttss2si {0:r}, {1}";
    Cvttsd2si32: u32, Low64, DOUBLE, true, "cvttsd2si {0:e}, {1}";
    Cvttsd2si64: u64, Low64, DOUBLE, true, "cvttsd2si {0:r}, {1}";
}
