//! Rounding: an exact value, or one with a sticky lowest bit, to a precision and a range; overflow
//! and underflow with their masked and unmasked responses.

use super::{BIAS, Environment, Float80, INTEGER, OVERFLOW, PRECISION, UNDERFLOW, sign};
use crate::execute::rounding::Cut;

/// Precision in bits, and the exponents of the smallest and the largest normal number.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Format {
    pub precision: u32,
    pub smallest: i32,
    pub largest: i32,
}

impl Format {
    pub const EXTENDED: Self = Self { precision: 64, smallest: 1 - BIAS, largest: BIAS };
    pub const DOUBLE: Self = Self { precision: 53, smallest: -1022, largest: 1023 };
    pub const SINGLE: Self = Self { precision: 24, smallest: -126, largest: 127 };
}

/// What an unmasked overflow or underflow subtracts from or adds to the exponent of a result in a
/// register.
const ADJUSTMENT: i32 = 24576;

/// A rounded magnitude: `significand` times two to `exponent` - 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounded {
    Infinite,
    /// With bit 63 set unless it is denormal or zero; `exponent` is that bit's.
    Finite {
        significand: u64,
        exponent: i32,
    },
}

/// The number with its highest bit in bit 63.
fn rounded(cut: &Cut, adjustment: i32) -> Rounded {
    let length = cut.kept.ilog2();
    let significand = if length > 63 { cut.kept >> (length - 63) } else { cut.kept };
    Rounded::Finite {
        significand: (significand << (63_u32.saturating_sub(length))) as u64,
        exponent: cut.top() + adjustment,
    }
}

impl Environment {
    /// `significand` times two to `exponent`, in the precision of the control word.
    pub(super) fn round(&mut self, negative: bool, significand: u128, exponent: i32) -> Float80 {
        let format = Format { precision: self.precision(), ..Format::EXTENDED };
        self.round_in(format, negative, significand, exponent)
    }

    /// As [`round`](Self::round), in all 64 bits.
    pub(super) fn round_extended(
        &mut self,
        negative: bool,
        significand: u128,
        exponent: i32,
    ) -> Float80 {
        self.round_in(Format::EXTENDED, negative, significand, exponent)
    }

    fn round_in(
        &mut self,
        format: Format,
        negative: bool,
        significand: u128,
        exponent: i32,
    ) -> Float80 {
        match self.round_to(format, true, negative, significand, exponent) {
            Rounded::Infinite => Float80::infinity(negative),
            Rounded::Finite { significand, exponent } => {
                let field = if significand & INTEGER == 0 { 0 } else { (exponent + BIAS) as u16 };
                Float80 { sign_exponent: sign(negative) | field, significand }
            }
        }
    }

    /// Rounds to `format`. In a register the response to an unmasked overflow or underflow is an
    /// adjusted exponent; memory is not written then, and the result means nothing.
    pub(super) fn round_to(
        &mut self,
        format: Format,
        register: bool,
        negative: bool,
        significand: u128,
        exponent: i32,
    ) -> Rounded {
        if significand == 0 {
            return Rounded::Finite { significand: 0, exponent: format.smallest };
        }
        let precision = format.precision as i32;
        let cut = self.rounding().cut(negative, significand, exponent, |top| top + 1 - precision);
        // Tininess is detected after rounding.
        if cut.top() < format.smallest {
            if self.masked(UNDERFLOW) {
                return self.denormal(format, negative, significand, exponent);
            }
            self.raise(UNDERFLOW);
            // FSCALE alone gets so far that no adjustment helps.
            if register && cut.top() + ADJUSTMENT < format.smallest {
                self.inexact(true, false);
                return Rounded::Finite { significand: 0, exponent: format.smallest };
            }
            self.inexact(register && cut.inexact, cut.up);
            return rounded(&cut, ADJUSTMENT);
        }
        if cut.top() > format.largest {
            self.raise(OVERFLOW);
            if self.masked(OVERFLOW) {
                return self.largest(format, negative);
            }
            if register && cut.top() - ADJUSTMENT > format.largest {
                self.inexact(true, true);
                return Rounded::Infinite;
            }
            self.inexact(register && cut.inexact, cut.up);
            return rounded(&cut, -ADJUSTMENT);
        }
        self.inexact(cut.inexact, cut.up);
        rounded(&cut, 0)
    }

    fn inexact(&mut self, inexact: bool, up: bool) {
        if inexact {
            self.raise(PRECISION);
            self.rounded_up = up;
        }
    }

    /// Rounds to an integer.
    pub(super) fn round_integer(
        &mut self,
        negative: bool,
        significand: u128,
        exponent: i32,
    ) -> u128 {
        match exponent {
            0..64 => return significand << exponent,
            // Beyond every integer format, which the caller sees by its size.
            64.. => return u128::MAX,
            _ => {}
        }
        let cut = self.rounding().cut(negative, significand, exponent, |_| 0);
        self.inexact(cut.inexact, cut.up);
        cut.kept
    }

    /// The masked response to underflow.
    fn denormal(
        &mut self,
        format: Format,
        negative: bool,
        significand: u128,
        exponent: i32,
    ) -> Rounded {
        let lowest = format.smallest + 1 - format.precision as i32;
        let cut = self.rounding().cut(negative, significand, exponent, |_| lowest);
        if cut.inexact {
            self.raise(UNDERFLOW);
        }
        self.inexact(cut.inexact, cut.up);
        Rounded::Finite {
            significand: (cut.kept << (63 - format.smallest + cut.place)) as u64,
            exponent: format.smallest,
        }
    }

    /// The masked response to overflow.
    fn largest(&mut self, format: Format, negative: bool) -> Rounded {
        let to_infinity = self.rounding().overflows_to_infinity(negative);
        self.inexact(true, to_infinity);
        match to_infinity {
            true => Rounded::Infinite,
            false => Rounded::Finite {
                significand: u64::MAX << (64 - format.precision),
                exponent: format.largest,
            },
        }
    }
}
