//! Packed binary-coded decimals: eighteen digits, two in a byte, and a sign in the tenth byte.

use super::{Environment, INVALID, Kind, Number, from_integer};

const DIGITS: u32 = 18;
const SIGN: u128 = 0x80 << 72;
/// The packed decimal indefinite.
const INDEFINITE: u128 = 0xffff_c000 << 48;

/// The value of a packed decimal. Digits above nine count as they stand; the other bits of the
/// sign's byte do not matter.
pub(in super::super) fn from_decimal(bits: u128) -> Number {
    let digit = |place: u32| (bits >> (4 * place)) as i64 & 0xf;
    let integer = (0..DIGITS).rev().fold(0, |value, place| value * 10 + digit(place));
    Number { negative: bits & SIGN != 0, ..from_integer(integer) }
}

/// The packed decimal of a value that is rounded to an integer.
pub(in super::super) fn to_decimal(env: &mut Environment, source: Number) -> u128 {
    let sign = if source.negative { SIGN } else { 0 };
    let magnitude = match source.kind {
        Kind::Zero => return sign,
        Kind::Finite => {
            env.round_integer(source.negative, source.significand.into(), source.exponent)
        }
        _ => u128::MAX,
    };
    if magnitude >= 10_u128.pow(DIGITS) {
        (env.raised, env.rounded_up) = (INVALID, false);
        return INDEFINITE;
    }
    let mut rest = magnitude as u64;
    let mut bits = sign;
    for place in 0..DIGITS {
        bits |= u128::from(rest % 10) << (4 * place);
        rest /= 10;
    }
    bits
}
