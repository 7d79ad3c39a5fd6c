//! What each instruction of BMI1 and BMI2 with one result computes, and its row.
//!
//! Flags that the manual leaves undefined are as AMD's processors have them: PF follows the result,
//! AF is clear, but set by BEXTR.

use iced_x86::Mnemonic;

use super::{Operands, Operation, emit};
use crate::execute::arithmetic::cut;
use crate::execute::flags::Class;
use crate::execute::shift_rotate::{Ror, Sar, Shift, Shl, Shr};
use crate::execute::table::Row;
use crate::memory::Width;

/// One operand beside the destination.
const UNARY: Operands = Operands { value: 1, other: None };
/// The register-or-memory operand comes first.
const VALUE_FIRST: Operands = Operands { value: 1, other: Some(2) };
/// The register-or-memory operand comes last.
const VALUE_LAST: Operands = Operands { value: 2, other: Some(1) };

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Andn, |e| emit::<Andn>(e, VALUE_LAST)),
    (Mnemonic::Bextr, |e| emit::<Bextr>(e, VALUE_FIRST)),
    (Mnemonic::Blsi, |e| emit::<Blsi>(e, UNARY)),
    (Mnemonic::Blsmsk, |e| emit::<Blsmsk>(e, UNARY)),
    (Mnemonic::Blsr, |e| emit::<Blsr>(e, UNARY)),
    (Mnemonic::Bzhi, |e| emit::<Bzhi>(e, VALUE_FIRST)),
    (Mnemonic::Pdep, |e| emit::<Pdep>(e, VALUE_LAST)),
    (Mnemonic::Pext, |e| emit::<Pext>(e, VALUE_LAST)),
    (Mnemonic::Rorx, |e| emit::<Quiet<Ror>>(e, VALUE_FIRST)),
    (Mnemonic::Sarx, |e| emit::<Quiet<Sar>>(e, VALUE_FIRST)),
    (Mnemonic::Shlx, |e| emit::<Quiet<Shl>>(e, VALUE_FIRST)),
    (Mnemonic::Shrx, |e| emit::<Quiet<Shr>>(e, VALUE_FIRST)),
];

struct Andn;
struct Bextr;
struct Blsi;
struct Blsmsk;
struct Blsr;
struct Bzhi;
struct Pdep;
struct Pext;
/// A shift or rotate that leaves the flags alone.
struct Quiet<S>(S);

/// A source word for [`Class::Carries`] that has CF as given, and OF and AF clear: the carries out of
/// the two highest bits are the same.
#[inline(always)]
fn carry<W: Width>(carry: bool) -> u64 {
    if carry { 3 << (W::BITS - 2) } else { 0 }
}

impl Operation for Andn {
    const FLAGS: Option<Class> = Some(Class::Logic);
    #[inline(always)]
    fn apply<W: Width>(value: u64, other: u64) -> (u64, u64) {
        (value & !other, 0)
    }
}

impl Operation for Bextr {
    /// AF is set, CF and OF are clear.
    const FLAGS: Option<Class> = Some(Class::Given);
    #[inline(always)]
    fn apply<W: Width>(value: u64, other: u64) -> (u64, u64) {
        let (start, length) = (other & 0xff, other >> 8 & 0xff);
        let shifted = value.checked_shr(start as u32).unwrap_or(0);
        (low_bits(shifted, length), 0)
    }
}

impl Operation for Blsi {
    const FLAGS: Option<Class> = Some(Class::Carries);
    #[inline(always)]
    fn apply<W: Width>(value: u64, _: u64) -> (u64, u64) {
        (value & value.wrapping_neg(), carry::<W>(value != 0))
    }
}

impl Operation for Blsmsk {
    const FLAGS: Option<Class> = Some(Class::Carries);
    #[inline(always)]
    fn apply<W: Width>(value: u64, _: u64) -> (u64, u64) {
        (value ^ value.wrapping_sub(1), carry::<W>(value == 0))
    }
}

impl Operation for Blsr {
    const FLAGS: Option<Class> = Some(Class::Carries);
    #[inline(always)]
    fn apply<W: Width>(value: u64, _: u64) -> (u64, u64) {
        (value & value.wrapping_sub(1), carry::<W>(value == 0))
    }
}

impl Operation for Bzhi {
    const FLAGS: Option<Class> = Some(Class::Carries);
    #[inline(always)]
    fn apply<W: Width>(value: u64, other: u64) -> (u64, u64) {
        let index = other & 0xff;
        (low_bits(value, index), carry::<W>(index >= u64::from(W::BITS)))
    }
}

impl Operation for Pdep {
    const FLAGS: Option<Class> = None;
    #[inline(always)]
    fn apply<W: Width>(mut mask: u64, mut bits: u64) -> (u64, u64) {
        let mut result = 0;
        while mask != 0 {
            let lowest = mask & mask.wrapping_neg();
            result |= lowest & (bits & 1).wrapping_neg();
            bits >>= 1;
            mask ^= lowest;
        }
        (result, 0)
    }
}

impl Operation for Pext {
    const FLAGS: Option<Class> = None;
    #[inline(always)]
    fn apply<W: Width>(mut mask: u64, bits: u64) -> (u64, u64) {
        let (mut result, mut place) = (0, 0);
        while mask != 0 {
            let lowest = mask.trailing_zeros();
            result |= (bits >> lowest & 1) << place;
            place += 1;
            mask &= mask - 1;
        }
        (result, 0)
    }
}

impl<S: Shift> Operation for Quiet<S> {
    const FLAGS: Option<Class> = None;
    #[inline(always)]
    fn apply<W: Width>(value: u64, other: u64) -> (u64, u64) {
        let count = other as u32 % W::BITS;
        let shifted = if count == 0 { value } else { S::result::<W>(value, count) };
        (cut::<W>(shifted), 0)
    }
}

/// The `count` lowest bits of `value`.
#[inline(always)]
fn low_bits(value: u64, count: u64) -> u64 {
    if count < 64 { value & ((1 << count) - 1) } else { value }
}
