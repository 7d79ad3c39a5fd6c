//! The partial remainders, FPREM and FPREM1.

use super::{Environment, Float80, Kind, Number};

/// What is known of the quotient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Quotient {
    /// Its lowest three bits.
    Complete(u8),
    /// The dividend has become smaller, and is to be divided again.
    Partial,
    /// There is none.
    None,
}

/// How far one step reduces the difference of exponents where it is more than can be done at once.
const STEP: i32 = 64;

/// The remainder for a quotient that is truncated, or rounded to `nearest`.
pub(in super::super) fn remainder(
    env: &mut Environment,
    dividend: Number,
    divisor: Number,
    nearest: bool,
) -> (Float80, Quotient) {
    let operands = [dividend, divisor];
    if let Some(nan) = env.propagate(&operands) {
        return (nan, Quotient::None);
    }
    if dividend.kind == Kind::Infinite || divisor.kind == Kind::Zero {
        return (env.invalid(), Quotient::None);
    }
    env.look_for_denormals(&operands);
    if dividend.kind == Kind::Zero {
        return (Float80::zero(dividend.negative), Quotient::Complete(0));
    }
    let (significand, high) = dividend.normalized();
    let (divisor_bits, low) = divisor.normalized();
    let distance = high - low;
    let negative = dividend.negative;
    if divisor.kind == Kind::Infinite || distance < -1 {
        let unchanged = env.round_extended(negative, significand.into(), high);
        return (unchanged, Quotient::Complete(0));
    }
    if distance >= STEP {
        // A multiple of the divisor that leaves the lower places: between 32 and 63 of them go.
        let places = distance % 32 + 32;
        let rest = (u128::from(significand) << places) % u128::from(divisor_bits);
        let rest = env.round_extended(negative, rest, high - places);
        return (rest, Quotient::Partial);
    }
    // In halves of the divisor's lowest place.
    let (dividend_bits, divisor_bits) = match distance {
        -1 => (u128::from(significand), u128::from(divisor_bits) << 1),
        _ => (u128::from(significand) << distance, u128::from(divisor_bits)),
    };
    let exponent = high.min(low);
    let quotient = (dividend_bits / divisor_bits) as u64;
    let rest = dividend_bits % divisor_bits;
    let up = nearest && (2 * rest > divisor_bits || 2 * rest == divisor_bits && quotient & 1 != 0);
    let (magnitude, negative) = match up {
        true => (divisor_bits - rest, !negative),
        false => (rest, negative),
    };
    let result = match magnitude {
        0 => Float80::zero(dividend.negative),
        _ => env.round_extended(negative, magnitude, exponent),
    };
    (result, Quotient::Complete((quotient + u64::from(up)) as u8 & 7))
}
