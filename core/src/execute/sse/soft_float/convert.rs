//! Conversions among formats and integers.

use super::super::host_float::FLAGS;
use super::{
    DENORMALS_ARE_ZEROS, DOUBLE, Environment, FLUSH_TO_ZERO, Format, HALF, INVALID, Kind,
    PRECISION, ROUNDING_SHIFT, SINGLE,
};
use crate::execute::rounding::Rounding;

/// A signed integer of `bits` bits; what does not fit gives the integer indefinite.
pub(in crate::execute) fn to_integer(
    env: &mut Environment,
    format: Format,
    source: u64,
    bits: u32,
    truncate: bool,
) -> u64 {
    let number = env.unpack(format, source);
    let rounding = if truncate { Rounding::TowardZero } else { env.rounding() };
    let indefinite = 1_u64 << (bits - 1);
    let (magnitude, inexact) = match number.kind {
        Kind::Zero => return 0,
        Kind::Finite if number.exponent + (number.significand.ilog2() as i32) < 64 => {
            let negative = number.negative;
            let cut = rounding.cut(negative, number.significand, number.exponent, |_| 0);
            (cut.kept << cut.place, cut.inexact)
        }
        _ => (u128::MAX, false),
    };
    let limit = u128::from(indefinite) - u128::from(!number.negative);
    if magnitude > limit {
        env.raise(INVALID);
        return indefinite;
    }
    if inexact {
        env.raise(PRECISION);
    }
    let magnitude = magnitude as u64;
    if number.negative { magnitude.wrapping_neg() } else { magnitude }
}

/// The number nearest to a signed integer.
pub(in crate::execute) fn from_integer(env: &mut Environment, format: Format, source: i64) -> u64 {
    env.round(format, source < 0, source.unsigned_abs().into(), 0)
}

/// Single to double.
pub(in crate::execute) fn widen(env: &mut Environment, source: u64) -> u64 {
    reformat(env, SINGLE, DOUBLE, source)
}

/// Double to single.
pub(in crate::execute) fn narrow(env: &mut Environment, source: u64) -> u64 {
    reformat(env, DOUBLE, SINGLE, source)
}

/// Half to single. A denormal half is neither reported nor taken for zero.
pub(in crate::execute) fn from_half(env: &mut Environment, source: u64) -> u64 {
    let mut mxcsr = *env.0 & !(DENORMALS_ARE_ZEROS | super::DENORMAL);
    let result = reformat(&mut Environment(&mut mxcsr), HALF, SINGLE, source);
    env.raise(mxcsr & INVALID);
    result
}

/// Single to half, in rounding mode `mode` or as MXCSR says. A tiny result is never flushed to zero.
pub(in crate::execute) fn to_half(env: &mut Environment, source: u64, mode: Option<u8>) -> u64 {
    let mut mxcsr = *env.0 & !FLUSH_TO_ZERO;
    if let Some(mode) = mode {
        mxcsr = mxcsr & !(3 << ROUNDING_SHIFT) | u32::from(mode) << ROUNDING_SHIFT;
    }
    let result = reformat(&mut Environment(&mut mxcsr), SINGLE, HALF, source);
    env.raise(mxcsr & FLAGS);
    result
}

fn reformat(env: &mut Environment, from: Format, to: Format, source: u64) -> u64 {
    let number = env.unpack(from, source);
    let sign = to.sign(number.negative);
    if let Some(nan) = env.propagate(from, &[number]) {
        let payload = nan & ((1 << from.fraction_bits) - 1);
        let payload = match to.fraction_bits.checked_sub(from.fraction_bits) {
            Some(up) => payload << up,
            None => payload >> (from.fraction_bits - to.fraction_bits),
        };
        return sign | to.infinity() | payload;
    }
    env.look_for_denormals(&[number]);
    match number.kind {
        Kind::Zero => sign,
        Kind::Finite => env.round(to, number.negative, number.significand, number.exponent),
        _ => sign | to.infinity(),
    }
}

/// ROUNDSS and its like: an integral value in the same format. Bits 0 and 1 of `control` are the
/// rounding mode, unless bit 2 says that MXCSR has it; bit 3 keeps the precision exception away. That
/// of denormal operands is never raised.
pub(in crate::execute) fn round_to_integral(
    env: &mut Environment,
    format: Format,
    source: u64,
    control: u8,
) -> u64 {
    let number = env.unpack(format, source);
    if let Some(nan) = env.propagate(format, &[number]) {
        return nan;
    }
    if number.kind != Kind::Finite || number.exponent >= 0 {
        return number.bits;
    }
    let rounding = match control & 4 {
        0 => Rounding::from_bits(control.into()),
        _ => env.rounding(),
    };
    let cut = rounding.cut(number.negative, number.significand, number.exponent, |_| 0);
    if cut.inexact && control & 8 == 0 {
        env.raise(PRECISION);
    }
    env.round(format, number.negative, cut.kept, cut.place)
}
