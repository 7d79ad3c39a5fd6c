//! ADDSD, SUBSD, MULSD, DIVSD, SQRTSD, MINSD, MAXSD and their single-precision forms: bits as IEEE 754 and
//! the manual's NaN rules say, denormals, infinities and signed zeros included (SDM, Operating on SNaNs
//! and QNaNs).

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::sse::{QNAN, QUIETED, SNAN, scalar};

guest_tests::entry!(main);

const ONE: u64 = 1_f64.to_bits();
const TWO: u64 = 2_f64.to_bits();
const MINUS_ZERO: u64 = 1 << 63;
const INFINITY: u64 = f64::INFINITY.to_bits();
const MINUS_INFINITY: u64 = f64::NEG_INFINITY.to_bits();
const MAX: u64 = f64::MAX.to_bits();
const TINY: u64 = 1;
const SMALLEST_NORMAL: u64 = 1 << 52;
/// What an invalid operation gives: the real indefinite.
const INDEFINITE: u64 = 0xfff8_0000_0000_0000;

fn main() {
    check_eq!(scalar!("addsd", ONE, TWO), 3_f64.to_bits());
    check_eq!(scalar!("addsd", 0.1_f64.to_bits(), 0.2_f64.to_bits()), 0x3fd3_3333_3333_3334);
    check_eq!(scalar!("addsd", MAX, MAX), INFINITY);
    check_eq!(scalar!("addsd", TINY, TINY), 2);
    check_eq!(scalar!("addsd", MINUS_ZERO, 0), 0);
    check_eq!(scalar!("addsd", MINUS_ZERO, MINUS_ZERO), MINUS_ZERO);
    check_eq!(scalar!("addsd", INFINITY, MINUS_INFINITY), INDEFINITE);
    check_eq!(scalar!("subsd", ONE, ONE), 0);
    check_eq!(scalar!("subsd", SMALLEST_NORMAL, TINY), SMALLEST_NORMAL - 1);
    check_eq!(scalar!("subsd", INFINITY, INFINITY), INDEFINITE);
    check_eq!(scalar!("mulsd", SMALLEST_NORMAL, 0.5_f64.to_bits()), 1 << 51);
    check_eq!(scalar!("mulsd", TINY, 0.5_f64.to_bits()), 0, "half of the smallest rounds to even");
    check_eq!(scalar!("mulsd", 0, INFINITY), INDEFINITE);
    check_eq!(scalar!("mulsd", MINUS_ZERO, TWO), MINUS_ZERO);
    check_eq!(scalar!("divsd", ONE, 3_f64.to_bits()), 0x3fd5_5555_5555_5555);
    check_eq!(scalar!("divsd", ONE, 0), INFINITY);
    check_eq!(scalar!("divsd", ONE, MINUS_ZERO), MINUS_INFINITY);
    check_eq!(scalar!("divsd", 0, 0), INDEFINITE);
    check_eq!(scalar!("sqrtsd", 0, TWO), 0x3ff6_a09e_667f_3bcd);
    check_eq!(scalar!("sqrtsd", 0, MINUS_ZERO), MINUS_ZERO);
    check_eq!(scalar!("sqrtsd", 0, (-1_f64).to_bits()), INDEFINITE);

    // The first operand's NaN wins, quieted; else the second's.
    check_eq!(scalar!("addsd", QNAN, ONE), QNAN);
    check_eq!(scalar!("addsd", ONE, SNAN), QUIETED);
    check_eq!(scalar!("mulsd", QNAN, SNAN), QNAN);
    // MIN and MAX give the second operand when either is a NaN or both are zeros, as it is.
    check_eq!(scalar!("minsd", QNAN, ONE), ONE);
    check_eq!(scalar!("minsd", ONE, SNAN), SNAN);
    check_eq!(scalar!("maxsd", 0, MINUS_ZERO), MINUS_ZERO);
    check_eq!(scalar!("minsd", MINUS_ZERO, 0), 0);
    check_eq!(scalar!("maxsd", ONE, TWO), TWO);

    // Single precision, which leaves the upper part of the destination.
    let upper = 0xdead_beef_u64 << 32;
    let single = |value: f32| u64::from(value.to_bits());
    check_eq!(scalar!("addss", upper | single(1.0), single(2.0)), upper | single(3.0));
    check_eq!(scalar!("divss", upper | single(1.0), single(3.0)), upper | 0x3eaa_aaab);
    check_eq!(scalar!("mulss", upper | 1, single(0.5)), upper);
    check_eq!(scalar!("sqrtss", upper, single(2.0)), upper | 0x3fb5_04f3);
    // Packed: both halves at once.
    check_eq!(
        scalar!("mulps", single(3.0) << 32 | single(2.0), single(-1.0) << 32 | single(0.5)),
        single(-3.0) << 32 | single(1.0)
    );
}
