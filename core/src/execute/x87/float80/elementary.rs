//! The transcendental functions and the constants: computed with some 120 bits, so that a result is
//! the correctly rounded one but for one operand in 2⁵⁰ or so. The manual grants an error of one
//! unit in the last place.

use super::wide::{COSINE, EXPONENTIAL, ODD, SINE, Wide, series};
use super::{Environment, Float80, INTEGER, Kind, Number, PRECISION, UNDERFLOW, ZERO_DIVIDE};

/// The constants that there are instructions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Constant {
    Pi,
    Log2E,
    Ln2,
    Log2Ten,
    Log10Two,
}

impl Constant {
    /// The constant, rounded; loading it raises nothing.
    pub fn value(self, env: Environment) -> Float80 {
        let constant = match self {
            Self::Pi => Wide::PI,
            Self::Log2E => Wide::LOG2_E,
            Self::Ln2 => Wide::LN_2,
            Self::Log2Ten => Wide::LOG2_10,
            Self::Log10Two => Wide::LOG10_2,
        };
        constant.round(&mut { env })
    }
}

/// F2XM1 for operands from -1 to 1; beyond them the operand itself.
pub(in super::super) fn power_minus_one(env: &mut Environment, source: Number) -> Float80 {
    if let Some(nan) = env.propagate(&[source]) {
        return nan;
    }
    env.look_for_denormals(&[source]);
    let wide = Wide::from(source);
    match source.kind {
        Kind::Infinite if source.negative => return Float80::ONE.with_sign(true),
        Kind::Finite if wide.is_below(Wide::ONE) => {}
        Kind::Finite if source.negative && !Wide::ONE.is_below(wide) => {
            // Exact, which the processor does not know.
            env.raise(PRECISION);
            return env.round_extended(true, 1, -1);
        }
        Kind::Finite => {
            env.raise(PRECISION);
            return source.pack();
        }
        _ => return source.pack(),
    }
    let power = wide.times(Wide::LN_2);
    let sum = series(&EXPONENTIAL, power.fraction(), source.negative);
    power.times(sum).round(env)
}

/// log₂ of a positive number.
fn base_two(number: Wide) -> Wide {
    // The number is two to `places` times something between √½ and √2.
    let mut places = number.exponent + 127;
    let mut rest = number.scaled(-places);
    if Wide::ROOT_2.is_below(rest) {
        places += 1;
        rest = rest.scaled(-1);
    }
    let quotient = rest.minus(Wide::ONE).over(rest.plus(Wide::ONE));
    let whole = Wide::new(places < 0, places.unsigned_abs().into(), 0);
    whole.plus(from_quotient(quotient))
}

/// log₂((1 + q) / (1 - q)).
fn from_quotient(quotient: Wide) -> Wide {
    let sum = series(&ODD[..27], quotient.times(quotient).fraction(), false);
    quotient.times(sum).times(Wide::LOG2_E).scaled(1)
}

/// FYL2X: `factor` times log₂ of `source`.
pub(in super::super) fn logarithm(
    env: &mut Environment,
    source: Number,
    factor: Number,
) -> Float80 {
    if let Some(nan) = env.propagate(&[source, factor]) {
        return nan;
    }
    if source.negative && source.kind != Kind::Zero {
        return env.invalid();
    }
    let one =
        source.kind == Kind::Finite && source.significand == INTEGER && source.exponent == -63;
    let below_one =
        source.kind == Kind::Zero || source.kind == Kind::Finite && source.exponent < -63;
    let negative = factor.negative != below_one;
    match (source.kind, factor.kind) {
        (Kind::Zero | Kind::Infinite, Kind::Zero) => return env.invalid(),
        (Kind::Finite, Kind::Infinite) if one => return env.invalid(),
        (Kind::Zero, Kind::Finite) => {
            env.raise(ZERO_DIVIDE);
            return Float80::infinity(negative);
        }
        _ => env.look_for_denormals(&[source, factor]),
    }
    match (source.kind, factor.kind) {
        (Kind::Infinite | Kind::Zero, _) | (_, Kind::Infinite) => Float80::infinity(negative),
        (_, Kind::Zero) => Float80::zero(negative),
        _ => {
            let (significand, exponent) = source.normalized();
            if significand == INTEGER {
                // A power of two has an exact logarithm; the processor takes none but zero for it.
                let power = exponent + 63;
                env.raise(if power == 0 { 0 } else { PRECISION });
                let product = u128::from(factor.significand) * u128::from(power.unsigned_abs());
                let result = env.round_extended(negative, product, factor.exponent);
                let tiny = power != 0 && result.significand & INTEGER == 0;
                env.raise(if tiny { UNDERFLOW } else { 0 });
                return result;
            }
            base_two(source.into()).times(factor.into()).round(env)
        }
    }
}

/// FYL2XP1: `factor` times log₂ of one plus `source`, which is the result itself where that has no
/// logarithm.
pub(in super::super) fn logarithm_of_one_plus(
    env: &mut Environment,
    source: Number,
    factor: Number,
) -> Float80 {
    if let Some(nan) = env.propagate(&[source, factor]) {
        return nan;
    }
    let wide = Wide::from(source);
    let negative = factor.negative != source.negative;
    match (source.kind, factor.kind) {
        (Kind::Zero, Kind::Infinite) | (Kind::Infinite, Kind::Zero) => return env.invalid(),
        (Kind::Infinite, _) if source.negative => return env.invalid(),
        _ => env.look_for_denormals(&[source, factor]),
    }
    match (source.kind, factor.kind) {
        (Kind::Infinite, _) | (_, Kind::Infinite) => Float80::infinity(negative),
        (Kind::Zero, _) | (_, Kind::Zero) => Float80::zero(negative),
        _ if source.negative && !wide.is_below(Wide::ONE) => {
            env.raise(PRECISION);
            source.pack()
        }
        _ => {
            let result = match wide.is_below(Wide::ONE.scaled(-2)) {
                true => from_quotient(wide.over(wide.plus(Wide::ONE.scaled(1)))),
                false => base_two(wide.plus(Wide::ONE)),
            };
            result.times(factor.into()).round(env)
        }
    }
}

/// Whether the trigonometric functions take the operand: less than 2⁶³.
pub(in super::super) fn reducible(source: Number) -> bool {
    source.kind != Kind::Finite || source.exponent < 0
}

/// π/2 as the processor has it, with 66 bits (SDM, "Approximation of Pi"), in places of two to -65.
const HALF_PI: u128 = 0x3_243f_6a88_85a3_08d3;
const HALF_PI_PLACE: i32 = -65;

/// Sine and cosine of a finite operand other than zero.
fn sine_and_cosine(source: Number) -> (Wide, Wide) {
    let magnitude = Wide::from(source).magnitude();
    let (rest, quadrant) = match source.exponent - HALF_PI_PLACE {
        places @ 0.. => {
            let value = u128::from(source.significand) << places;
            let (quadrant, rest) = (value / HALF_PI, value % HALF_PI);
            match 2 * rest > HALF_PI {
                true => (Wide::new(true, HALF_PI - rest, HALF_PI_PLACE), quadrant + 1),
                false => (Wide::new(false, rest, HALF_PI_PLACE), quadrant),
            }
        }
        _ => (magnitude, 0),
    };
    let square = rest.times(rest).fraction();
    let sine = rest.times(series(&SINE, square, true));
    let cosine = series(&COSINE, square, true);
    let (sine, cosine) = match quadrant & 3 {
        0 => (sine, cosine),
        1 => (cosine, negated(sine)),
        2 => (negated(sine), negated(cosine)),
        _ => (negated(cosine), sine),
    };
    (if source.negative { negated(sine) } else { sine }, cosine)
}

fn negated(number: Wide) -> Wide {
    number.with_sign(!number.negative)
}

/// The result where an operand is not finite or zero; `at_zero` is that of zero.
fn trigonometric(
    env: &mut Environment,
    source: Number,
    at_zero: Float80,
    function: impl Fn(Wide, Wide) -> Wide,
) -> Float80 {
    if let Some(nan) = env.propagate(&[source]) {
        return nan;
    }
    match source.kind {
        Kind::Infinite => env.invalid(),
        Kind::Zero => at_zero,
        _ => {
            env.look_for_denormals(&[source]);
            let (sine, cosine) = sine_and_cosine(source);
            function(sine, cosine).round(env)
        }
    }
}

pub(in super::super) fn sine(env: &mut Environment, source: Number) -> Float80 {
    trigonometric(env, source, Float80::zero(source.negative), |sine, _| sine)
}

pub(in super::super) fn cosine(env: &mut Environment, source: Number) -> Float80 {
    trigonometric(env, source, Float80::ONE, |_, cosine| cosine)
}

pub(in super::super) fn tangent(env: &mut Environment, source: Number) -> Float80 {
    trigonometric(env, source, Float80::zero(source.negative), Wide::over)
}

/// FPATAN: the angle of the point (`x`, `y`).
pub(in super::super) fn arctangent(env: &mut Environment, x: Number, y: Number) -> Float80 {
    if let Some(nan) = env.propagate(&[x, y]) {
        return nan;
    }
    env.look_for_denormals(&[x, y]);
    let angle = match (x.kind, y.kind) {
        (Kind::Infinite, Kind::Infinite) if x.negative => {
            Wide::PI.plus(Wide::PI.scaled(1)).scaled(-2)
        }
        (Kind::Infinite, Kind::Infinite) => Wide::PI.scaled(-2),
        (_, Kind::Infinite) => Wide::PI.scaled(-1),
        (Kind::Infinite, _) | (_, Kind::Zero) if x.negative => Wide::PI,
        (Kind::Infinite, _) | (_, Kind::Zero) => return Float80::zero(y.negative),
        (Kind::Zero, _) => Wide::PI.scaled(-1),
        _ => {
            let (across, up) = (Wide::from(x).magnitude(), Wide::from(y).magnitude());
            let angle = match across.is_below(up) {
                true => Wide::PI.scaled(-1).minus(below_one(across.over(up))),
                false => below_one(up.over(across)),
            };
            if x.negative { Wide::PI.minus(angle) } else { angle }
        }
    };
    angle.with_sign(y.negative).round(env)
}

/// The arctangent of a number up to one.
fn below_one(tangent: Wide) -> Wide {
    if !Wide::TAN_PI_8.is_below(tangent) {
        let sum = series(&ODD, tangent.times(tangent).fraction(), true);
        return tangent.times(sum);
    }
    let other = Wide::ONE.minus(tangent).over(Wide::ONE.plus(tangent));
    let sum = series(&ODD, other.times(other).fraction(), true);
    Wide::PI.scaled(-2).minus(other.times(sum))
}
