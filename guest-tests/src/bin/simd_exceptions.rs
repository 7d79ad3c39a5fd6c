//! SIMD floating-point exceptions: unmasked ones raise #XM, with the flag in
//! MXCSR, and #UD when CR4.OSXMMEXCPT is clear (SDM, SIMD Floating-Point Exceptions).
//@ qemu: differs: QEMU 7.2's TCG never raises #XM; SDM, SIMD Floating-Point Exception Conditions: an unmasked exception is #XM if CR4.OSXMMEXCPT is set

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cr4, set_cr4};
use guest_tests::interrupt::vector::{UD, XM};
use guest_tests::register::cr4::OSXMMEXCPT;
use guest_tests::{Frame, catch, check_eq};

guest_tests::entry!(main);

const MASKS: u32 = 0x1f80;

const CASES: [(&str, f64, f64, u32); 5] = [
    ("invalid", 0.0, 0.0, 1),
    ("denormal", f64::from_bits(1), 1.0, 1 << 1),
    ("divide by zero", 1.0, 0.0, 1 << 2),
    ("overflow", f64::MAX, 0.5, 1 << 3),
    ("precision", 1.0, 3.0, 1 << 5),
];

fn main() {
    for (name, a, b, flag) in CASES {
        let (fault, flags) = divide(MASKS & !(flag << 7), a, b);
        check_eq!(fault.map(|frame| frame.vector), Some(u64::from(XM)), "{name}, unmasked");
        check_eq!(flags & flag, flag, "{name}: the flag says which");
    }
    // SAFETY: the bit only chooses the vector.
    unsafe { set_cr4(cr4() & !OSXMMEXCPT) };
    let (fault, _) = divide(MASKS & !(1 << 9), 1.0, 0.0);
    check_eq!(fault.map(|frame| frame.vector), Some(u64::from(UD)), "without OSXMMEXCPT");
}

/// `a / b` with MXCSR as given: the exception, and MXCSR's flags afterwards.
fn divide(mxcsr: u32, a: f64, b: f64) -> (Option<Frame>, u32) {
    let (mut after, default) = (0_u32, MASKS);
    // SAFETY: MXCSR is put back below.
    let fault = catch(|| unsafe {
        asm!(
            "ldmxcsr [{}]",
            "divsd xmm0, xmm1",
            in(reg) &raw const mxcsr,
            inout("xmm0") a => _,
            in("xmm1") b,
        )
    });
    // SAFETY: the handler restored MXCSR as the instruction left it.
    unsafe {
        asm!(
            "stmxcsr [{}]",
            "ldmxcsr [{}]",
            in(reg) &raw mut after,
            in(reg) &raw const default,
        )
    };
    (fault, after & 0x3f)
}
