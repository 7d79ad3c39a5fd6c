//! Arithmetic on the 80-bit format in integers: what is computed, rounded once, and which exceptions
//! that raises. It knows neither the register stack nor what the system does about an exception.
//!
//! A value is taken apart ([`Number`]), computed with exactly as far as rounding can tell, and
//! rounded once by an [`Environment`], which collects the exceptions. Sixteen more bits than the
//! format has are never lost: what is cut off leaves a sticky lowest bit.

mod arithmetic;
mod compare;
mod convert;
mod decimal;
mod elementary;
mod remainder;
mod round;
mod wide;

pub(super) use arithmetic::{add, divide, multiply, root, scale, split, subtract, to_integral};
pub(super) use compare::{Order, order};
pub(super) use convert::{
    from_integer, narrow_double, narrow_single, to_integer, widen_double, widen_single,
};
pub(super) use decimal::{from_decimal, to_decimal};
pub(super) use elementary::{
    Constant, arctangent, cosine, logarithm, logarithm_of_one_plus, power_minus_one, reducible,
    sine, tangent,
};
pub(super) use remainder::{Quotient, remainder};
pub(super) use round::Format;

use crate::execute::rounding::{Finite, Rounding};

/// Exceptions, as status and control word place them.
pub(super) const INVALID: u16 = 1;
/// Denormal operand.
pub(super) const DENORMAL: u16 = 1 << 1;
pub(super) const ZERO_DIVIDE: u16 = 1 << 2;
pub(super) const OVERFLOW: u16 = 1 << 3;
pub(super) const UNDERFLOW: u16 = 1 << 4;
pub(super) const PRECISION: u16 = 1 << 5;

const BIAS: i32 = 16383;
/// The integer bit, which this format writes out.
const INTEGER: u64 = 1 << 63;
/// What tells a quiet NaN from a signalling one.
const QUIET: u64 = 1 << 62;
const SIGN: u16 = 0x8000;
const LARGEST_FIELD: u16 = 0x7fff;

/// The double extended-precision format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Float80 {
    /// Sign in bit 15, then the biased exponent.
    pub sign_exponent: u16,
    /// With the integer bit.
    pub significand: u64,
}

impl Float80 {
    pub const ONE: Self = Self { sign_exponent: BIAS as u16, significand: INTEGER };
    pub const ZERO: Self = Self { sign_exponent: 0, significand: 0 };
    /// What an invalid operation gives: the QNaN floating-point indefinite.
    pub const INDEFINITE: Self =
        Self { sign_exponent: SIGN | LARGEST_FIELD, significand: INTEGER | QUIET };

    pub fn from_bits(bits: u128) -> Self {
        Self { sign_exponent: (bits >> 64) as u16, significand: bits as u64 }
    }

    pub fn bits(self) -> u128 {
        u128::from(self.sign_exponent) << 64 | u128::from(self.significand)
    }

    pub fn is_negative(self) -> bool {
        self.sign_exponent & SIGN != 0
    }

    pub fn zero(negative: bool) -> Self {
        Self { sign_exponent: sign(negative), significand: 0 }
    }

    pub fn infinity(negative: bool) -> Self {
        Self { sign_exponent: sign(negative) | LARGEST_FIELD, significand: INTEGER }
    }

    /// The value with its sign changed or removed.
    pub fn with_sign(self, negative: bool) -> Self {
        Self { sign_exponent: self.sign_exponent & LARGEST_FIELD | sign(negative), ..self }
    }

    /// What the encoding stands for (SDM, "Unsupported Double Extended-Precision Floating-Point
    /// Encodings and Pseudo-Denormals").
    pub fn unpack(self) -> Number {
        let field = self.sign_exponent & LARGEST_FIELD;
        let whole = self.significand & INTEGER != 0;
        let kind = match field {
            0 if self.significand == 0 => Kind::Zero,
            0 => Kind::Finite,
            _ if !whole => Kind::Unsupported,
            LARGEST_FIELD if self.significand == INTEGER => Kind::Infinite,
            LARGEST_FIELD if self.significand & QUIET != 0 => Kind::Quiet,
            LARGEST_FIELD => Kind::Signalling,
            _ => Kind::Finite,
        };
        Number {
            kind,
            negative: self.is_negative(),
            exponent: i32::from(field.max(1)) - BIAS - 63,
            significand: self.significand,
            denormal: field == 0 && self.significand != 0,
        }
    }
}

const fn sign(negative: bool) -> u16 {
    if negative { SIGN } else { 0 }
}

/// What an encoding stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zero,
    Finite,
    Infinite,
    Quiet,
    Signalling,
    /// An encoding that the processor no longer takes: every operation on it is invalid.
    Unsupported,
}

/// A value, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub kind: Kind,
    pub negative: bool,
    /// A finite value is `significand` times two to this.
    pub exponent: i32,
    /// Of a finite value with the integer bit set, unless it is a denormal of the 80-bit format; of
    /// a NaN as this format has it.
    pub significand: u64,
    /// The operand was a denormal of its own format.
    pub denormal: bool,
}

impl Number {
    pub fn is_nan(self) -> bool {
        matches!(self.kind, Kind::Quiet | Kind::Signalling)
    }

    /// The value again, whose range and precision suffice for every operand; a NaN is quiet.
    pub fn pack(self) -> Float80 {
        match self.kind {
            Kind::Zero => Float80::zero(self.negative),
            Kind::Infinite => Float80::infinity(self.negative),
            Kind::Quiet | Kind::Signalling => Float80 {
                sign_exponent: sign(self.negative) | LARGEST_FIELD,
                significand: self.significand | QUIET,
            },
            Kind::Unsupported => Float80::INDEFINITE,
            Kind::Finite => {
                let whole = self.significand & INTEGER != 0;
                let field = if whole { (self.exponent + BIAS + 63) as u16 } else { 0 };
                let sign_exponent = sign(self.negative) | field;
                Float80 { sign_exponent, significand: self.significand }
            }
        }
    }

    /// A finite value or zero.
    fn finite(self) -> Finite {
        let Self { negative, exponent, .. } = self;
        Finite { negative, significand: self.significand.into(), exponent }
    }

    /// Significand with its integer bit set, and the exponent that goes with it.
    fn normalized(self) -> (u64, i32) {
        let up = self.significand.leading_zeros();
        (self.significand << up, self.exponent - up as i32)
    }
}

/// The control word, and what an operation has raised under it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Environment {
    control: u16,
    /// Exceptions, masked or not.
    pub raised: u16,
    /// The magnitude of an inexact result was rounded up: C1.
    pub rounded_up: bool,
}

impl Environment {
    pub fn new(control: u16) -> Self {
        Self { control, raised: 0, rounded_up: false }
    }

    /// The same with another rounding mode.
    pub fn toward_zero(self) -> Self {
        Self { control: self.control | 0xc00, ..self }
    }

    pub fn raise(&mut self, exceptions: u16) {
        self.raised |= exceptions;
    }

    /// Those of `exceptions` that have been raised and are not masked.
    pub fn unmasked(&self, exceptions: u16) -> u16 {
        self.raised & exceptions & !self.control
    }

    fn masked(&self, exception: u16) -> bool {
        self.control & exception != 0
    }

    pub fn rounding(&self) -> Rounding {
        Rounding::from_bits(u32::from(self.control) >> 10)
    }

    /// The precision that sums, products, quotients and roots are rounded to.
    fn precision(&self) -> u32 {
        match self.control >> 8 & 3 {
            0 => 24,
            2 => 53,
            _ => 64,
        }
    }

    pub fn invalid(&mut self) -> Float80 {
        self.raise(INVALID);
        Float80::INDEFINITE
    }

    /// Raises the denormal-operand exception, which comes behind those for NaNs and for invalid
    /// operations.
    fn look_for_denormals(&mut self, operands: &[Number]) {
        if operands.iter().any(|operand| operand.denormal) {
            self.raise(DENORMAL);
        }
    }

    /// The result where an operand is no number (SDM, "Rules for Handling NaNs").
    pub fn propagate(&mut self, operands: &[Number]) -> Option<Float80> {
        if operands.iter().any(|operand| operand.kind == Kind::Unsupported) {
            return Some(self.invalid());
        }
        if operands.iter().any(|operand| operand.kind == Kind::Signalling) {
            self.raise(INVALID);
        }
        let quiet = operands.iter().any(|operand| operand.kind == Kind::Quiet);
        let nans = operands.iter().filter(|operand| {
            // A quiet NaN goes before a signalling one.
            operand.kind == Kind::Quiet || operand.kind == Kind::Signalling && !quiet
        });
        // The larger significand, then the positive sign.
        nans.max_by_key(|nan| (nan.significand, !nan.negative)).map(|nan| nan.pack())
    }
}
