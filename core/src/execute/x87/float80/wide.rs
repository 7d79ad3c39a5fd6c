//! Numbers with 128 significant bits, in which the transcendental functions are computed, and power
//! series on fractions of 128 bits. Nothing is rounded here: each step loses less than two of its
//! lowest places.

use super::{Environment, Float80, Number};

/// `significand` times two to `exponent`; the highest bit is set unless the number is zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    pub negative: bool,
    pub significand: u128,
    pub exponent: i32,
}

impl Wide {
    pub const ONE: Self = Self::constant(1 << 127, -127);
    /// π, cut off.
    pub const PI: Self = Self::constant(0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1, -126);
    /// log₂e.
    pub const LOG2_E: Self = Self::constant(0xb8aa_3b29_5c17_f0bb_be87_fed0_691d_3e88, -127);
    /// ln 2.
    pub const LN_2: Self = Self::constant(0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af, -128);
    /// log₂10.
    pub const LOG2_10: Self = Self::constant(0xd49a_784b_cd1b_8afe_492b_f6ff_4daf_db4c, -126);
    /// log₁₀2.
    pub const LOG10_2: Self = Self::constant(0x9a20_9a84_fbcf_f798_8f89_59ac_0b7c_9178, -129);
    /// √2.
    pub const ROOT_2: Self = Self::constant(0xb504_f333_f9de_6484_597d_89b3_754a_be9f, -127);
    /// tan π/8.
    pub const TAN_PI_8: Self = Self::constant(0xd413_cccf_e779_9211_65f6_26cd_d52a_fa7c, -129);

    const fn constant(significand: u128, exponent: i32) -> Self {
        Self { negative: false, significand, exponent }
    }

    /// The number whose lowest place is two to `exponent`.
    pub fn new(negative: bool, significand: u128, exponent: i32) -> Self {
        if significand == 0 {
            return Self { negative, significand, exponent: -128 };
        }
        let up = significand.leading_zeros();
        Self { negative, significand: significand << up, exponent: exponent - up as i32 }
    }

    pub fn is_zero(self) -> bool {
        self.significand == 0
    }

    pub fn magnitude(self) -> Self {
        Self { negative: false, ..self }
    }

    pub fn with_sign(self, negative: bool) -> Self {
        Self { negative, ..self }
    }

    /// Times two to `places`.
    pub fn scaled(self, places: i32) -> Self {
        Self { exponent: self.exponent + places, ..self }
    }

    pub fn times(self, other: Self) -> Self {
        let product = high_product(self.significand, other.significand);
        let negative = self.negative != other.negative;
        Self::new(negative, product, self.exponent + other.exponent + 128)
    }

    /// The quotient; `other` is not zero.
    pub fn over(self, other: Self) -> Self {
        let divisor = other.significand;
        let (mut rest, mut quotient) = (self.significand, 0_u128);
        if rest >= divisor {
            (rest, quotient) = (rest - divisor, 1);
        }
        for _ in 0..127 {
            let carry = rest >> 127 != 0;
            rest <<= 1;
            quotient <<= 1;
            if carry || rest >= divisor {
                rest = rest.wrapping_sub(divisor);
                quotient |= 1;
            }
        }
        let negative = self.negative != other.negative;
        Self::new(negative, quotient, self.exponent - other.exponent - 127)
    }

    pub fn plus(self, other: Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return if self.is_zero() { other } else { self };
        }
        let (high, low) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        // One place of room for the carry.
        let large = high.significand >> 1;
        let distance = (high.exponent - low.exponent) as u32 + 1;
        let small = low.significand.checked_shr(distance).unwrap_or(0);
        let exponent = high.exponent + 1;
        match high.negative == low.negative {
            true => Self::new(high.negative, large + small, exponent),
            false if large >= small => Self::new(high.negative, large - small, exponent),
            false => Self::new(low.negative, small - large, exponent),
        }
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(other.with_sign(!other.negative))
    }

    /// Whether the magnitude is less than another's.
    pub fn is_below(self, other: Self) -> bool {
        let rank = |number: Self| match number.significand {
            0 => (i32::MIN, 0),
            significand => (number.exponent, significand),
        };
        rank(self) < rank(other)
    }

    /// The magnitude, which is less than one, as a fraction: in places of two to -128.
    pub fn fraction(self) -> u128 {
        match u32::try_from(-128 - self.exponent) {
            Ok(down) => self.significand.checked_shr(down).unwrap_or(0),
            Err(_) => u128::MAX,
        }
    }

    /// Rounds a number that is not exact, and a little larger in truth.
    pub fn round(self, env: &mut Environment) -> Float80 {
        env.round_extended(self.negative, self.significand | 1, self.exponent)
    }
}

impl From<Number> for Wide {
    fn from(number: Number) -> Self {
        Self::new(number.negative, number.significand.into(), number.exponent)
    }
}

/// The high half of a product of 256 bits.
fn high_product(left: u128, right: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a, b, c, d) = (left >> 64, left & LOW, right >> 64, right & LOW);
    let middle = a * d;
    let other = b * c;
    let carries = (middle & LOW) + (other & LOW) + ((b * d) >> 64);
    a * c + (middle >> 64) + (other >> 64) + (carries >> 64)
}

/// The terms of a power series: coefficients in places of two to -127.
pub(super) type Coefficients<const N: usize> = [u128; N];

/// 1 / (2k + 1).
pub(super) const ODD: Coefficients<54> = {
    let mut terms = [0; 54];
    let mut term = 0;
    while term < terms.len() {
        terms[term] = (1 << 127) / (2 * term as u128 + 1);
        term += 1;
    }
    terms
};

/// 1 / (`first` + k · `step`)!.
const fn factorials<const N: usize>(first: u128, step: u128) -> Coefficients<N> {
    let mut terms = [0; N];
    let (mut term, mut number, mut factorial) = (0, 1, 1_u128);
    while term < N {
        while number <= first + term as u128 * step {
            factorial *= number;
            number += 1;
        }
        terms[term] = (1 << 127) / factorial;
        term += 1;
    }
    terms
}

/// Of eˣ - 1, divided by x: 1 / (k + 1)!.
pub(super) const EXPONENTIAL: Coefficients<33> = factorials(1, 1);
/// Of sin x, divided by x: 1 / (2k + 1)!.
pub(super) const SINE: Coefficients<17> = factorials(1, 2);
/// Of cos x: 1 / (2k)!.
pub(super) const COSINE: Coefficients<17> = factorials(0, 2);

/// The sum of `terms` times powers of the fraction `at`, whose signs alternate or do not. An
/// alternating sum errs to below.
pub(super) fn series(terms: &[u128], at: u128, alternating: bool) -> Wide {
    let sum = terms.iter().rev().fold(0, |sum, term| match alternating {
        true => term.saturating_sub(high_product(sum, at) + 1),
        false => term + high_product(sum, at),
    });
    Wide::new(false, sum, -127)
}
