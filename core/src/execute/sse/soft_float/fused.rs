//! Fused multiply-add.

use super::{Environment, Format, Kind};
use crate::execute::rounding::{Finite, Rounding, shift_sticky};

/// The place of the highest bit of the larger summand: as high as leaves room for a carry.
const TOP: u32 = 125;

/// `x * y + z` with one rounding; `negated` says whether the product, and whether `z` is.
pub(in crate::execute) fn fused(
    env: &mut Environment,
    format: Format,
    operands: [u64; 3],
    negated: (bool, bool),
) -> u64 {
    let [x, y, mut z] = operands.map(|operand| env.unpack(format, operand));
    let infinite_times_zero =
        matches!((x.kind, y.kind), (Kind::Infinite, Kind::Zero) | (Kind::Zero, Kind::Infinite));
    if let Some(nan) = env.propagate(format, &[x, y, z]) {
        return nan;
    }
    z.negative ^= negated.1;
    let negative = (x.negative != y.negative) != negated.0;
    let product_infinite = x.kind == Kind::Infinite || y.kind == Kind::Infinite;
    let opposite = product_infinite && z.kind == Kind::Infinite && negative != z.negative;
    if infinite_times_zero || opposite {
        return env.invalid(format);
    }
    env.look_for_denormals(&[x, y, z]);
    if product_infinite {
        return format.sign(negative) | format.infinity();
    }
    if z.kind == Kind::Infinite {
        return format.sign(z.negative) | format.infinity();
    }
    let product = Finite {
        negative,
        significand: x.significand * y.significand,
        exponent: x.exponent + y.exponent,
    };
    let zero = x.kind == Kind::Zero || y.kind == Kind::Zero;
    let sum = match (zero, z.kind) {
        (true, Kind::Zero) if negative == z.negative => return format.sign(negative),
        (true, Kind::Zero) => Finite { negative: false, significand: 0, exponent: 0 },
        (true, _) => z.finite(),
        (_, Kind::Zero) => product,
        _ => sum(product, z.finite()),
    };
    match sum.significand {
        // An exact zero is positive, except when rounding down.
        0 => format.sign(env.rounding() == Rounding::Down),
        _ => env.round(format, sum.negative, sum.significand, sum.exponent),
    }
}

/// The sum. The product has up to 106 bits: the larger summand goes up until it has as many as fit, and
/// whatever the smaller one loses below is far below its last bit.
fn sum(left: Finite, right: Finite) -> Finite {
    let place = |number: Finite| number.exponent + number.significand.ilog2() as i32;
    let (high, low) = if place(left) >= place(right) { (left, right) } else { (right, left) };
    let up = TOP - high.significand.ilog2();
    let (large, exponent) = (high.significand << up, high.exponent - up as i32);
    let small = match low.exponent - exponent {
        up @ 0.. => low.significand << up,
        down => shift_sticky(low.significand, down.unsigned_abs()),
    };
    let (negative, significand) = match high.negative == low.negative {
        true => (high.negative, large + small),
        false if large >= small => (high.negative, large - small),
        false => (low.negative, small - large),
    };
    Finite { negative, significand, exponent }
}
