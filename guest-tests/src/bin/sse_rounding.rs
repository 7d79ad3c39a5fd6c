//! MXCSR.RC decides how results are rounded, MXCSR.FTZ and DAZ what becomes of denormals (SDM, MXCSR
//! Control and Status Register).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

const DEFAULT: u32 = 0x1f80;
const DAZ: u32 = 1 << 6;
const FTZ: u32 = 1 << 15;
const NEAREST: u32 = 0;
const DOWN: u32 = 1 << 13;
const UP: u32 = 2 << 13;
const TO_ZERO: u32 = 3 << 13;

macro_rules! run {
    ($code:literal, $mxcsr:expr, $a:expr, $b:expr) => {{
        let (mxcsr, mut result): (u32, u64) = (DEFAULT | $mxcsr, f64::to_bits($a));
        let default = DEFAULT;
        // SAFETY: MXCSR is the runtime's again at the end.
        unsafe {
            asm!(
                "ldmxcsr [{mxcsr}]",
                "movq xmm0, {result}",
                "movq xmm1, {b}",
                $code,
                "ldmxcsr [{default}]",
                mxcsr = in(reg) &raw const mxcsr,
                default = in(reg) &raw const default,
                result = inout(reg) result,
                b = in(reg) f64::to_bits($b),
                out("xmm0") _,
                out("xmm1") _,
            )
        };
        result
    }};
}

fn main() {
    let third = 0x3fd5_5555_5555_5555_u64;
    let divide = |mode: u32, a: f64| run!("divsd xmm0, xmm1; movq {result}, xmm0", mode, a, 3.0);
    check_eq!(
        [NEAREST, DOWN, UP, TO_ZERO].map(|mode| divide(mode, 1.0)),
        [third, third, third + 1, third]
    );
    let minus = third | 1 << 63;
    check_eq!(
        [NEAREST, DOWN, UP, TO_ZERO].map(|mode| divide(mode, -1.0)),
        [minus, minus + 1, minus, minus]
    );

    let integer = |mode: u32, a: f64| run!("cvtsd2si {result}, xmm0", mode, a, 0.0) as i64;
    check_eq!([NEAREST, DOWN, UP, TO_ZERO].map(|mode| integer(mode, 2.5)), [2, 2, 3, 2]);
    check_eq!([NEAREST, DOWN, UP, TO_ZERO].map(|mode| integer(mode, -2.5)), [-2, -3, -2, -2]);
    check_eq!([NEAREST, DOWN, UP, TO_ZERO].map(|mode| integer(mode, -3.5)), [-4, -4, -3, -3]);

    let overflow = |mode: u32| run!("mulsd xmm0, xmm1; movq {result}, xmm0", mode, f64::MAX, 2.0);
    let (infinity, max) = (f64::INFINITY.to_bits(), f64::MAX.to_bits());
    check_eq!([NEAREST, DOWN, UP, TO_ZERO].map(overflow), [infinity, max, infinity, max]);
    // x - x is +0, but -0 when rounding down.
    let zero = |mode: u32| run!("subsd xmm0, xmm1; movq {result}, xmm0", mode, 1.0, 1.0);
    check_eq!([NEAREST, DOWN, UP, TO_ZERO].map(zero), [0, 1 << 63, 0, 0]);

    let smallest_normal = f64::from_bits(1 << 52);
    let half =
        |mode: u32| run!("mulsd xmm0, xmm1; movq {result}, xmm0", mode, smallest_normal, 0.5);
    check_eq!([half(0), half(FTZ), half(DAZ)], [1 << 51, 0, 1 << 51], "a denormal result");
    let denormal = f64::from_bits(1 << 51);
    let twice = |mode: u32| run!("addsd xmm0, xmm1; movq {result}, xmm0", mode, denormal, denormal);
    check_eq!([twice(0), twice(FTZ), twice(DAZ)], [1 << 52, 1 << 52, 0], "a denormal operand");
    let moved = run!("movapd xmm1, xmm0; movq {result}, xmm1", DAZ | FTZ, denormal, 0.0);
    check_eq!(moved, 1 << 51, "a move changes nothing");
}
