//! Floating point in integers: what the host's own instructions cannot tell, and what they do where
//! the host is no x86-64.
//!
//! With an exception unmasked, flags depend on more than an instruction with all of them masked
//! shows: an unmasked underflow is reported when the result is tiny, not when it is tiny and
//! inexact, and after an unmasked overflow or underflow the precision flag tells about the result
//! with an unbounded exponent (SDM, "Numeric Overflow Exception", "Numeric Underflow Exception").
//! Speed does not matter here.
//!
//! A number is taken apart ([`Number`]), computed with exactly as far as rounding can tell, and
//! [`Environment::round`]ed once.

mod arithmetic;
mod compare;
mod convert;
mod fused;
mod lanes;
#[cfg(test)]
mod tests;

pub(in crate::execute) use arithmetic::{
    add, divide, multiply, reciprocal, reciprocal_root, root, subtract,
};
pub(in crate::execute) use compare::{maximum, minimum, order, predicate};
pub(in crate::execute) use convert::{
    from_half, from_integer, narrow, round_to_integral, to_half, to_integer, widen,
};
pub(in crate::execute) use fused::fused;
pub(in crate::execute) use lanes::{doubled, doubles, halved, singles};

use crate::execute::rounding::{Finite, Rounding};

use super::host_float::{COMPLETED_SHIFT, FLAGS, FLUSH_TO_ZERO, MASK_SHIFT};

/// Invalid operation.
const INVALID: u32 = 1;
/// Denormal operand.
const DENORMAL: u32 = 1 << 1;
const DIVIDE_BY_ZERO: u32 = 1 << 2;
const OVERFLOW: u32 = 1 << 3;
const UNDERFLOW: u32 = 1 << 4;
const PRECISION: u32 = 1 << 5;
const DENORMALS_ARE_ZEROS: u32 = 1 << 6;
const ROUNDING_SHIFT: u32 = 13;

/// A binary interchange format.
#[derive(Clone, Copy)]
pub(in crate::execute) struct Format {
    pub exponent_bits: u32,
    pub fraction_bits: u32,
}

pub(in crate::execute) const SINGLE: Format = Format { exponent_bits: 8, fraction_bits: 23 };
pub(in crate::execute) const DOUBLE: Format = Format { exponent_bits: 11, fraction_bits: 52 };
/// Half precision, which is only converted.
const HALF: Format = Format { exponent_bits: 5, fraction_bits: 10 };

impl Format {
    const fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    /// The exponent of the smallest normal number.
    const fn smallest_exponent(self) -> i32 {
        1 - self.bias()
    }

    const fn sign(self, negative: bool) -> u64 {
        (negative as u64) << (self.exponent_bits + self.fraction_bits)
    }

    const fn infinity(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    const fn quiet(self) -> u64 {
        1 << (self.fraction_bits - 1)
    }

    /// What an invalid operation gives: the QNaN floating-point indefinite.
    const fn indefinite(self) -> u64 {
        self.sign(true) | self.infinity() | self.quiet()
    }
}

/// What an encoding stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Zero,
    Finite,
    Infinite,
    Quiet,
    Signalling,
}

/// A floating-point value, taken apart.
#[derive(Clone, Copy)]
struct Number {
    kind: Kind,
    negative: bool,
    /// A finite value is `significand` times two to this.
    exponent: i32,
    significand: u128,
    denormal: bool,
    /// The encoding.
    bits: u64,
}

impl Number {
    fn is_nan(self) -> bool {
        matches!(self.kind, Kind::Quiet | Kind::Signalling)
    }

    /// A finite value, which is not zero.
    fn finite(self) -> Finite {
        let Self { negative, significand, exponent, .. } = self;
        Finite { negative, significand, exponent }
    }
}

/// MXCSR: how to round, and the flags of what has happened.
pub(in crate::execute) struct Environment<'a>(pub &'a mut u32);

impl Environment<'_> {
    fn raise(&mut self, flags: u32) {
        *self.0 |= flags;
    }

    fn masked(&self, flag: u32) -> bool {
        *self.0 >> MASK_SHIFT & flag != 0
    }

    /// Ends one of several steps; whether an exception that is not masked keeps those that follow from
    /// being taken. The flags of a step that is complete stay, whatever a later one raises.
    pub(super) fn ends_step(&mut self) -> bool {
        let masked = *self.0 >> MASK_SHIFT & FLAGS;
        let raised = *self.0 & FLAGS;
        if raised & !masked != 0 {
            return true;
        }
        if masked != FLAGS {
            *self.0 = *self.0 & !FLAGS | raised << COMPLETED_SHIFT;
        }
        false
    }

    fn rounding(&self) -> Rounding {
        Rounding::from_bits(*self.0 >> ROUNDING_SHIFT)
    }

    fn unpack(&self, format: Format, bits: u64) -> Number {
        let bits = bits & (format.sign(true) | (format.sign(true) - 1));
        let negative = bits & format.sign(true) != 0;
        let fraction = bits & ((1 << format.fraction_bits) - 1);
        let field = (bits & format.infinity()) >> format.fraction_bits;
        let hidden = u64::from(field != 0) << format.fraction_bits;
        let denormal = field == 0 && fraction != 0;
        let kind = match (field << format.fraction_bits == format.infinity(), fraction) {
            (true, 0) => Kind::Infinite,
            (true, _) if fraction & format.quiet() != 0 => Kind::Quiet,
            (true, _) => Kind::Signalling,
            _ if field == 0 && fraction == 0 => Kind::Zero,
            _ if denormal && *self.0 & DENORMALS_ARE_ZEROS != 0 => Kind::Zero,
            _ => Kind::Finite,
        };
        Number {
            kind,
            negative,
            exponent: field.max(1) as i32 - format.bias() - format.fraction_bits as i32,
            significand: u128::from(fraction | hidden),
            denormal: denormal && kind == Kind::Finite,
            bits: if kind == Kind::Zero { format.sign(negative) } else { bits },
        }
    }

    /// The result where an operand is a NaN: the first of them, quiet.
    fn propagate(&mut self, format: Format, operands: &[Number]) -> Option<u64> {
        if operands.iter().any(|operand| operand.kind == Kind::Signalling) {
            self.raise(INVALID);
        }
        operands.iter().find(|operand| operand.is_nan()).map(|nan| nan.bits | format.quiet())
    }

    fn invalid(&mut self, format: Format) -> u64 {
        self.raise(INVALID);
        format.indefinite()
    }

    /// Raises the denormal-operand exception, which comes behind those for NaNs and for invalid
    /// operations.
    fn look_for_denormals(&mut self, operands: &[Number]) {
        if operands.iter().any(|operand| operand.denormal) {
            self.raise(DENORMAL);
        }
    }

    /// The encoding of `significand` times two to `exponent`. If that is not exact, the lowest bit
    /// of a significand of more than twice the format's bits stands for all below it.
    fn round(&mut self, format: Format, negative: bool, significand: u128, exponent: i32) -> u64 {
        if significand == 0 {
            return format.sign(negative);
        }
        let sign = format.sign(negative);
        let precision = format.fraction_bits + 1;
        let cut =
            self.rounding().cut(negative, significand, exponent, |top| top + 1 - precision as i32);
        // Tininess is detected after rounding.
        let (top, inexact) = (cut.top(), cut.inexact);
        if top < format.smallest_exponent() {
            return sign | self.tiny(format, negative, significand, exponent, inexact);
        }
        if top > format.bias() {
            return sign | self.too_large(format, negative, inexact);
        }
        if inexact {
            self.raise(PRECISION);
        }
        let fraction = (cut.kept << (precision - 1) >> cut.kept.ilog2()) as u64;
        let field = (top + format.bias()) as u64;
        sign | field << format.fraction_bits | fraction & ((1 << format.fraction_bits) - 1)
    }

    /// A result below the smallest normal number, without its sign.
    fn tiny(
        &mut self,
        format: Format,
        negative: bool,
        significand: u128,
        exponent: i32,
        inexact: bool,
    ) -> u64 {
        if !self.masked(UNDERFLOW) {
            self.raise(if inexact { UNDERFLOW | PRECISION } else { UNDERFLOW });
            return 0;
        }
        if *self.0 & FLUSH_TO_ZERO != 0 {
            self.raise(UNDERFLOW | PRECISION);
            return 0;
        }
        let lowest = format.smallest_exponent() - format.fraction_bits as i32;
        let cut = self.rounding().cut(negative, significand, exponent, |_| lowest);
        if cut.inexact {
            self.raise(UNDERFLOW | PRECISION);
        }
        // Rounding may have made it the smallest normal number, whose encoding follows.
        (cut.kept << (cut.place - lowest)) as u64
    }

    /// A result beyond the largest number, without its sign.
    fn too_large(&mut self, format: Format, negative: bool, inexact: bool) -> u64 {
        let inexact = inexact || self.masked(OVERFLOW);
        self.raise(if inexact { OVERFLOW | PRECISION } else { OVERFLOW });
        let to_infinity = self.rounding().overflows_to_infinity(negative);
        format.infinity() - u64::from(!to_infinity)
    }
}
