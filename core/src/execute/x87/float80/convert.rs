//! Conversion from and to integers, single and double precision.

use super::round::Rounded;
use super::{Environment, Float80, Format, INTEGER, INVALID, Kind, Number, QUIET};

/// A binary interchange format without integer bit.
#[derive(Clone, Copy)]
struct Interchange {
    fraction_bits: u32,
    exponent_bits: u32,
}

const SINGLE: Interchange = Interchange { fraction_bits: 23, exponent_bits: 8 };
const DOUBLE: Interchange = Interchange { fraction_bits: 52, exponent_bits: 11 };

impl Interchange {
    fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    fn largest_field(self) -> u64 {
        (1 << self.exponent_bits) - 1
    }

    fn unpack(self, bits: u64) -> Number {
        let fraction = bits & ((1 << self.fraction_bits) - 1);
        let field = bits >> self.fraction_bits & self.largest_field();
        let negative = bits >> (self.fraction_bits + self.exponent_bits) & 1 != 0;
        let aligned = fraction << (63 - self.fraction_bits);
        let kind = match field {
            0 if fraction == 0 => Kind::Zero,
            _ if field != self.largest_field() => Kind::Finite,
            _ if fraction == 0 => Kind::Infinite,
            _ if aligned & QUIET != 0 => Kind::Quiet,
            _ => Kind::Signalling,
        };
        let hidden = if field == 0 { 0 } else { INTEGER };
        let up = if kind == Kind::Finite { (hidden | aligned).leading_zeros() } else { 0 };
        Number {
            kind,
            negative,
            exponent: field.max(1) as i32 - self.bias() - 63 - up as i32,
            significand: (hidden | aligned) << up,
            denormal: field == 0 && fraction != 0,
        }
    }

    fn pack(self, negative: bool, field: u64, significand: u64) -> u64 {
        let fraction = significand >> (63 - self.fraction_bits) & ((1 << self.fraction_bits) - 1);
        let sign = u64::from(negative) << (self.fraction_bits + self.exponent_bits);
        sign | field << self.fraction_bits | fraction
    }

    fn narrow(self, env: &mut Environment, format: Format, source: Number) -> u64 {
        let Number { negative, significand, exponent, .. } = source;
        match source.kind {
            Kind::Unsupported => {
                env.raise(INVALID);
                return self.pack(true, self.largest_field(), QUIET);
            }
            Kind::Signalling => env.raise(INVALID),
            _ => {}
        }
        match source.kind {
            Kind::Zero => self.pack(negative, 0, 0),
            Kind::Infinite => self.pack(negative, self.largest_field(), 0),
            Kind::Finite => {
                match env.round_to(format, false, negative, significand.into(), exponent) {
                    Rounded::Infinite => self.pack(negative, self.largest_field(), 0),
                    Rounded::Finite { significand, .. } if significand & INTEGER == 0 => {
                        self.pack(negative, 0, significand)
                    }
                    Rounded::Finite { significand, exponent } => {
                        self.pack(negative, (exponent + self.bias()) as u64, significand)
                    }
                }
            }
            _ => self.pack(negative, self.largest_field(), significand | QUIET),
        }
    }
}

pub(in super::super) fn widen_single(bits: u64) -> Number {
    SINGLE.unpack(bits)
}

pub(in super::super) fn widen_double(bits: u64) -> Number {
    DOUBLE.unpack(bits)
}

pub(in super::super) fn narrow_single(env: &mut Environment, source: Number) -> u64 {
    SINGLE.narrow(env, Format::SINGLE, source)
}

pub(in super::super) fn narrow_double(env: &mut Environment, source: Number) -> u64 {
    DOUBLE.narrow(env, Format::DOUBLE, source)
}

/// Every integer of 64 bits is exact.
pub(in super::super) fn from_integer(integer: i64) -> Number {
    let magnitude = integer.unsigned_abs();
    let up = if magnitude == 0 { 0 } else { magnitude.leading_zeros() };
    Number {
        kind: if magnitude == 0 { Kind::Zero } else { Kind::Finite },
        negative: integer < 0,
        exponent: -(up as i32),
        significand: magnitude << up,
        denormal: false,
    }
}

/// An integer of `bits` bits, or the integer indefinite.
pub(in super::super) fn to_integer(env: &mut Environment, source: Number, bits: u32) -> i64 {
    let indefinite = i64::MIN >> (64 - bits);
    let magnitude = match source.kind {
        Kind::Zero => return 0,
        Kind::Finite => {
            env.round_integer(source.negative, source.significand.into(), source.exponent)
        }
        _ => {
            env.raise(INVALID);
            return indefinite;
        }
    };
    let limit = 1_u128 << (bits - 1);
    if magnitude >= limit + u128::from(source.negative) {
        // Nothing is told about a result that does not exist.
        (env.raised, env.rounded_up) = (INVALID, false);
        return indefinite;
    }
    match source.negative {
        true => (magnitude as i64).wrapping_neg(),
        false => magnitude as i64,
    }
}

impl Number {
    /// The value as a register holds it; a signalling NaN is invalid then.
    pub(in super::super) fn load(self, env: &mut Environment) -> Float80 {
        match self.kind {
            Kind::Signalling => env.raise(INVALID),
            _ => env.look_for_denormals(&[self]),
        }
        self.pack()
    }
}
