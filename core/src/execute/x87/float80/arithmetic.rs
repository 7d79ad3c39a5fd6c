//! Sum, difference, product, quotient, square root; scaling, splitting, rounding to an integer.

use super::{Environment, Float80, Kind, Number, Rounding, ZERO_DIVIDE};
use crate::execute::rounding::exact_sum;

pub(in super::super) fn add(env: &mut Environment, left: Number, right: Number) -> Float80 {
    sum(env, left, right, false)
}

pub(in super::super) fn subtract(env: &mut Environment, left: Number, right: Number) -> Float80 {
    sum(env, left, right, true)
}

fn sum(env: &mut Environment, left: Number, mut right: Number, subtract: bool) -> Float80 {
    if let Some(nan) = env.propagate(&[left, right]) {
        return nan;
    }
    right.negative ^= subtract;
    match (left.kind, right.kind) {
        (Kind::Infinite, Kind::Infinite) if left.negative != right.negative => {
            return env.invalid();
        }
        _ => env.look_for_denormals(&[left, right]),
    }
    let sum = match (left.kind, right.kind) {
        (Kind::Infinite, _) => return Float80::infinity(left.negative),
        (_, Kind::Infinite) => return Float80::infinity(right.negative),
        (Kind::Zero, Kind::Zero) if left.negative == right.negative => {
            return Float80::zero(left.negative);
        }
        (_, Kind::Zero) => left.finite(),
        (Kind::Zero, _) => right.finite(),
        _ => exact_sum(left.finite(), right.finite()),
    };
    match sum.significand {
        // An exact zero is positive, except when rounding down.
        0 => Float80::zero(env.rounding() == Rounding::Down),
        _ => env.round(sum.negative, sum.significand, sum.exponent),
    }
}

pub(in super::super) fn multiply(env: &mut Environment, left: Number, right: Number) -> Float80 {
    if let Some(nan) = env.propagate(&[left, right]) {
        return nan;
    }
    let negative = left.negative != right.negative;
    match (left.kind, right.kind) {
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) => return env.invalid(),
        _ => env.look_for_denormals(&[left, right]),
    }
    match (left.kind, right.kind) {
        (Kind::Infinite, _) | (_, Kind::Infinite) => Float80::infinity(negative),
        (Kind::Zero, _) | (_, Kind::Zero) => Float80::zero(negative),
        _ => {
            let product = u128::from(left.significand) * u128::from(right.significand);
            env.round(negative, product, left.exponent + right.exponent)
        }
    }
}

pub(in super::super) fn divide(env: &mut Environment, left: Number, right: Number) -> Float80 {
    if let Some(nan) = env.propagate(&[left, right]) {
        return nan;
    }
    let negative = left.negative != right.negative;
    match (left.kind, right.kind) {
        (Kind::Infinite, Kind::Infinite) | (Kind::Zero, Kind::Zero) => return env.invalid(),
        (Kind::Finite, Kind::Zero) => {
            env.raise(ZERO_DIVIDE);
            return Float80::infinity(negative);
        }
        _ => env.look_for_denormals(&[left, right]),
    }
    match (left.kind, right.kind) {
        (Kind::Infinite, _) => Float80::infinity(negative),
        (Kind::Zero, _) | (_, Kind::Infinite) => Float80::zero(negative),
        _ => {
            let (dividend, high) = left.normalized();
            let (divisor, low) = right.normalized();
            let divisor = u128::from(divisor);
            let dividend = u128::from(dividend) << 63;
            // 63 or 64 bits, then 32 more.
            let rest = (dividend % divisor) << 32;
            let quotient = ((dividend / divisor) << 32) | (rest / divisor);
            let sticky = u128::from(!rest.is_multiple_of(divisor));
            env.round(negative, quotient << 1 | sticky, high - low - 63 - 33)
        }
    }
}

pub(in super::super) fn root(env: &mut Environment, source: Number) -> Float80 {
    if let Some(nan) = env.propagate(&[source]) {
        return nan;
    }
    match source.kind {
        Kind::Zero => return Float80::zero(source.negative),
        _ if source.negative => return env.invalid(),
        Kind::Infinite => return Float80::infinity(false),
        _ => env.look_for_denormals(&[source]),
    }
    let (significand, exponent) = source.normalized();
    // The exponent must be even.
    let up = if exponent % 2 == 0 { 64 } else { 63 };
    let square = u128::from(significand) << up;
    let root = square.isqrt();
    let rest = square - root * root;
    // Above or below half a place, exact or not: a root never lies at the half itself.
    let cut = u128::from(rest > root) << 1 | u128::from(rest != 0);
    env.round(false, root << 2 | cut, (exponent - up) / 2 - 2)
}

/// FSCALE: `source` times two to the integral part of `by`.
pub(in super::super) fn scale(env: &mut Environment, source: Number, by: Number) -> Float80 {
    if let Some(nan) = env.propagate(&[source, by]) {
        return nan;
    }
    match (source.kind, by.kind, by.negative) {
        (Kind::Zero, Kind::Infinite, false) | (Kind::Infinite, Kind::Infinite, true) => {
            return env.invalid();
        }
        _ => env.look_for_denormals(&[source, by]),
    }
    match (source.kind, by.kind, by.negative) {
        (Kind::Zero, ..) | (_, Kind::Infinite, true) => Float80::zero(source.negative),
        (Kind::Infinite, ..) | (_, Kind::Infinite, false) => Float80::infinity(source.negative),
        _ => {
            let places = integral_part(by).min(MOST_PLACES) as i32;
            let places = if by.negative { -places } else { places };
            let significand = u128::from(source.significand);
            env.round_extended(source.negative, significand, source.exponent + places)
        }
    }
}

/// More places than there are between any two numbers, adjusted or not.
const MOST_PLACES: u64 = 1 << 17;

/// The magnitude's integral part, as far as it matters.
fn integral_part(number: Number) -> u64 {
    match number.exponent {
        _ if number.kind == Kind::Zero => 0,
        -63..=0 => number.significand >> -number.exponent,
        1.. => u64::MAX,
        _ => 0,
    }
}

/// FXTRACT: exponent and significand.
pub(in super::super) fn split(env: &mut Environment, source: Number) -> (Float80, Float80) {
    if let Some(nan) = env.propagate(&[source]) {
        return (nan, nan);
    }
    match source.kind {
        Kind::Zero => {
            env.raise(ZERO_DIVIDE);
            (Float80::infinity(true), Float80::zero(source.negative))
        }
        Kind::Infinite => (Float80::infinity(false), Float80::infinity(source.negative)),
        _ => {
            env.look_for_denormals(&[source]);
            let (significand, exponent) = source.normalized();
            let power = exponent + 63;
            let magnitude = u128::from(power.unsigned_abs());
            (
                env.round_extended(power < 0, magnitude, 0),
                Float80 { significand, ..Float80::ONE.with_sign(source.negative) },
            )
        }
    }
}

/// FRNDINT.
pub(in super::super) fn to_integral(env: &mut Environment, source: Number) -> Float80 {
    if let Some(nan) = env.propagate(&[source]) {
        return nan;
    }
    env.look_for_denormals(&[source]);
    match source.kind {
        Kind::Finite if source.exponent < 0 => {
            let significand = u128::from(source.significand);
            let integer = env.round_integer(source.negative, significand, source.exponent);
            env.round_extended(source.negative, integer, 0)
        }
        _ => source.pack(),
    }
}
