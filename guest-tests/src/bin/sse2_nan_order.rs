//! Of a signalling and a quiet NaN, SSE gives the first operand, quieted (SDM, Operating on SNaNs and
//! QNaNs: Rules for Handling NaNs).
//@ qemu: differs: QEMU 7.2 follows the x87's rule and gives the quiet one; SDM, Rules for Handling NaNs: "SSE/SSE2 ... First source operand (if this operand is an SNaN, it is converted to a QNaN)"

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::sse::{QNAN, QUIETED, SNAN, scalar};

guest_tests::entry!(main);

fn main() {
    check_eq!(scalar!("addsd", SNAN, QNAN), QUIETED);
    check_eq!(scalar!("mulsd", SNAN, QNAN), QUIETED);
    check_eq!(scalar!("divsd", SNAN, QNAN), QUIETED);
    check_eq!(scalar!("addsd", QNAN, SNAN), QNAN);
}
