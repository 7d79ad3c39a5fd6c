//! Sum, difference, product, quotient, square root, and the approximations.

use super::{DIVIDE_BY_ZERO, Environment, Format, Kind, Rounding};
use crate::execute::rounding::{Finite, exact_sum};

pub(in crate::execute) fn add(env: &mut Environment, format: Format, left: u64, right: u64) -> u64 {
    sum(env, format, left, right, false)
}

pub(in crate::execute) fn subtract(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
) -> u64 {
    sum(env, format, left, right, true)
}

fn sum(env: &mut Environment, format: Format, left: u64, right: u64, subtract: bool) -> u64 {
    let (left, mut right) = (env.unpack(format, left), env.unpack(format, right));
    if let Some(nan) = env.propagate(format, &[left, right]) {
        return nan;
    }
    right.negative ^= subtract;
    right.bits ^= format.sign(subtract);
    match (left.kind, right.kind) {
        (Kind::Infinite, Kind::Infinite) if left.negative != right.negative => {
            return env.invalid(format);
        }
        (Kind::Infinite, _) => {
            env.look_for_denormals(&[right]);
            return left.bits;
        }
        (_, Kind::Infinite) => {
            env.look_for_denormals(&[left]);
            return right.bits;
        }
        _ => env.look_for_denormals(&[left, right]),
    }
    let sum = match (left.kind, right.kind) {
        (Kind::Zero, Kind::Zero) if left.negative == right.negative => return left.bits,
        (Kind::Zero, Kind::Zero) => Finite { negative: false, significand: 0, exponent: 0 },
        (_, Kind::Zero) => left.finite(),
        (Kind::Zero, _) => right.finite(),
        _ => exact_sum(left.finite(), right.finite()),
    };
    match sum.significand {
        // An exact zero is positive, except when rounding down.
        0 => format.sign(env.rounding() == Rounding::Down),
        _ => env.round(format, sum.negative, sum.significand, sum.exponent),
    }
}

pub(in crate::execute) fn multiply(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
) -> u64 {
    let (left, right) = (env.unpack(format, left), env.unpack(format, right));
    if let Some(nan) = env.propagate(format, &[left, right]) {
        return nan;
    }
    let sign = format.sign(left.negative != right.negative);
    match (left.kind, right.kind) {
        (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite) => return env.invalid(format),
        _ => env.look_for_denormals(&[left, right]),
    }
    match (left.kind, right.kind) {
        (Kind::Infinite, _) | (_, Kind::Infinite) => sign | format.infinity(),
        (Kind::Zero, _) | (_, Kind::Zero) => sign,
        _ => {
            let product = left.significand * right.significand;
            env.round(format, sign != 0, product, left.exponent + right.exponent)
        }
    }
}

pub(in crate::execute) fn divide(
    env: &mut Environment,
    format: Format,
    left: u64,
    right: u64,
) -> u64 {
    let (left, right) = (env.unpack(format, left), env.unpack(format, right));
    if let Some(nan) = env.propagate(format, &[left, right]) {
        return nan;
    }
    let sign = format.sign(left.negative != right.negative);
    match (left.kind, right.kind) {
        (Kind::Infinite, Kind::Infinite) | (Kind::Zero, Kind::Zero) => {
            return env.invalid(format);
        }
        (Kind::Finite, Kind::Zero) => {
            env.raise(DIVIDE_BY_ZERO);
            return sign | format.infinity();
        }
        _ => env.look_for_denormals(&[left, right]),
    }
    match (left.kind, right.kind) {
        (Kind::Infinite, _) => sign | format.infinity(),
        (Kind::Zero, _) | (_, Kind::Infinite) => sign,
        _ => {
            // The quotient gets more than twice the bits that rounding looks at.
            let up = left.significand.leading_zeros();
            let dividend = left.significand << up;
            let quotient = dividend / right.significand;
            let inexact = !dividend.is_multiple_of(right.significand);
            let exponent = left.exponent - right.exponent - up as i32;
            env.round(format, sign != 0, quotient | u128::from(inexact), exponent)
        }
    }
}

pub(in crate::execute) fn root(env: &mut Environment, format: Format, _: u64, source: u64) -> u64 {
    let source = env.unpack(format, source);
    if let Some(nan) = env.propagate(format, &[source]) {
        return nan;
    }
    match source.kind {
        Kind::Zero => return source.bits,
        _ if source.negative => return env.invalid(format),
        Kind::Infinite => return source.bits,
        _ => env.look_for_denormals(&[source]),
    }
    // The exponent must be even, and the root have more bits than rounding looks at.
    let mut up = source.significand.leading_zeros();
    if (source.exponent - up as i32) % 2 != 0 {
        up -= 1;
    }
    let square = source.significand << up;
    let root = square.isqrt();
    let inexact = root * root != square;
    // One bit more for what is lost: a root of 53 bits alone would be rounded as exact.
    let significand = root << 1 | u128::from(inexact);
    env.round(format, false, significand, (source.exponent - up as i32) / 2 - 1)
}

/// RCPSS: an approximation, here the rounded result itself. Raises nothing; denormals are zeros, as
/// operands and as results.
pub(in crate::execute) fn reciprocal(
    _: &mut Environment,
    format: Format,
    _: u64,
    source: u64,
) -> u64 {
    let mut mxcsr = APPROXIMATING;
    let env = &mut Environment(&mut mxcsr);
    let one = (format.bias() as u64) << format.fraction_bits;
    divide(env, format, one, source)
}

/// RSQRTSS, likewise.
pub(in crate::execute) fn reciprocal_root(
    _: &mut Environment,
    format: Format,
    _: u64,
    source: u64,
) -> u64 {
    let mut mxcsr = APPROXIMATING;
    let env = &mut Environment(&mut mxcsr);
    let root = root(env, format, 0, source);
    let one = (format.bias() as u64) << format.fraction_bits;
    divide(env, format, one, root)
}

/// Everything masked, round to nearest, denormals as zeros, results flushed to zero.
const APPROXIMATING: u32 = 0x1f80 | super::DENORMALS_ARE_ZEROS | super::FLUSH_TO_ZERO;
