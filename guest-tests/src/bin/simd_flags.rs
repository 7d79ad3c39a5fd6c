//! Masked SIMD floating-point exceptions set flags in MXCSR that stay until software clears them, and give
//! the masked response (SDM, SIMD Floating-Point Exceptions).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

const INVALID: u32 = 1;
const ZERO_DIVIDE: u32 = 1 << 2;
const OVERFLOW: u32 = 1 << 3;
const UNDERFLOW: u32 = 1 << 4;
const PRECISION: u32 = 1 << 5;

macro_rules! flags {
    ($code:literal, $a:expr, $b:expr) => {{
        let (a, b): (f64, f64) = ($a, $b);
        // SAFETY: only the named registers change.
        unsafe { asm!($code, inout("xmm0") a => _, inout("xmm1") b => _, out("rax") _) };
        take()
    }};
}

fn main() {
    take();
    check_eq!(flags!("addsd xmm0, xmm1", 1.0, 2.0), 0);
    check_eq!(flags!("divsd xmm0, xmm1", 1.0, 3.0), PRECISION);
    check_eq!(flags!("divsd xmm0, xmm1", 1.0, 0.0), ZERO_DIVIDE);
    check_eq!(flags!("divsd xmm0, xmm1", 0.0, 0.0), INVALID);
    check_eq!(flags!("sqrtsd xmm0, xmm1", 0.0, -1.0), INVALID);
    check_eq!(flags!("mulsd xmm0, xmm1", f64::MAX, 2.0), OVERFLOW | PRECISION);
    check_eq!(flags!("mulsd xmm0, xmm1", f64::MIN_POSITIVE, 1e-10), UNDERFLOW | PRECISION);
    check_eq!(flags!("mulsd xmm0, xmm1", f64::MIN_POSITIVE, 0.5), 0, "tiny but exact");
    check_eq!(flags!("addsd xmm0, xmm1", f64::from_bits(0x7ff0_0000_0000_0001), 0.0), INVALID);
    check_eq!(flags!("addsd xmm0, xmm1", f64::NAN, 0.0), 0, "a quiet NaN");
    check_eq!(flags!("ucomisd xmm0, xmm1", f64::NAN, 0.0), 0, "UCOMISD, quiet NaN");
    check_eq!(flags!("comisd xmm0, xmm1", f64::NAN, 0.0), INVALID, "COMISD, quiet NaN");
    check_eq!(flags!("cvttsd2si eax, xmm0", 1e10, 0.0), INVALID);
    check_eq!(flags!("cvttsd2si eax, xmm0", 1.5, 0.0), PRECISION);
    check_eq!(flags!("cvtsd2ss xmm0, xmm0", 1e300, 0.0), OVERFLOW | PRECISION);

    // Sticky: what one instruction sets, the next leaves.
    // SAFETY: only the named registers change.
    unsafe {
        asm!(
            "divsd xmm0, xmm1",
            "addsd xmm2, xmm2",
            inout("xmm0") 1.0 => _,
            in("xmm1") 0.0,
            inout("xmm2") 1.0 => _,
        )
    };
    check_eq!(take(), ZERO_DIVIDE, "after an instruction without exceptions");
}

/// The flags in MXCSR, which this clears.
fn take() -> u32 {
    let (mut seen, default) = (0_u32, 0x1f80_u32);
    // SAFETY: all exceptions stay masked.
    unsafe {
        asm!("stmxcsr [{}]", "ldmxcsr [{}]", in(reg) &raw mut seen, in(reg) &raw const default)
    };
    seen & 0x3f
}
