//! Of a signalling and a quiet NaN, SSE gives the first operand, quieted (SDM, Operating on SNaNs and
//! QNaNs: Rules for Handling NaNs).
//@ qemu: differs: QEMU 7.2 follows the x87's rule and gives the quiet one; SDM, Rules for Handling NaNs: "SSE/SSE2 ... First source operand (if this operand is an SNaN, it is converted to a QNaN)"

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

macro_rules! double {
    ($code:literal, $a:expr, $b:expr) => {{
        let (a, b): (u64, u64) = ($a, $b);
        let result: u64;
        // SAFETY: only the named registers change.
        unsafe {
            asm!(
                "movq xmm0, {a}",
                "movq xmm1, {b}",
                concat!($code, " xmm0, xmm1"),
                "movq {r}, xmm0",
                a = in(reg) a,
                b = in(reg) b,
                r = out(reg) result,
                out("xmm0") _,
                out("xmm1") _,
            )
        };
        result
    }};
}

const QNAN: u64 = 0x7ff8_0000_0000_1234;
const SNAN: u64 = 0x7ff0_0000_0000_5678;
const QUIETED: u64 = SNAN | 1 << 51;

fn main() {
    check_eq!(double!("addsd", SNAN, QNAN), QUIETED);
    check_eq!(double!("mulsd", SNAN, QNAN), QUIETED);
    check_eq!(double!("divsd", SNAN, QNAN), QUIETED);
    check_eq!(double!("addsd", QNAN, SNAN), QNAN);
}
