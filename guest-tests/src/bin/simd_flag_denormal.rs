//! A denormal operand sets MXCSR.DE, unless DAZ makes it a zero (SDM, Denormal-Operand Exception).
//@ qemu: differs: QEMU 7.2 sets DE only when DAZ is on; SDM, Denormal-Operand Exception: signalled "if an arithmetic instruction attempts to operate on a denormal operand"

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

const DENORMAL: u32 = 1 << 1;
const MASKED: u32 = 0x1f80;
const DAZ: u32 = 1 << 6;

fn main() {
    let tiny = f64::from_bits(1);
    check_eq!(flags(MASKED, 1.0, 1.0), 0);
    check_eq!(flags(MASKED, tiny, 1.0) & DENORMAL, DENORMAL, "the first operand");
    check_eq!(flags(MASKED, 1.0, tiny) & DENORMAL, DENORMAL, "the second operand");
    check_eq!(flags(MASKED | DAZ, tiny, 1.0), 0, "with DAZ");
}

/// The flags that `a + b` sets while MXCSR is as given.
fn flags(mxcsr: u32, a: f64, b: f64) -> u32 {
    let (mut seen, default) = (0_u32, MASKED);
    // SAFETY: MXCSR is the runtime's again at the end.
    unsafe {
        asm!(
            "ldmxcsr [{}]",
            "addsd xmm0, xmm1",
            "stmxcsr [{}]",
            "ldmxcsr [{}]",
            in(reg) &raw const mxcsr,
            in(reg) &raw mut seen,
            in(reg) &raw const default,
            inout("xmm0") a => _,
            in("xmm1") b,
        )
    };
    seen & 0x3f
}
