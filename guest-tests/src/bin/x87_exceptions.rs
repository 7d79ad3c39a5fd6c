//! x87 floating-point exceptions: an unmasked one is #MF at the next instruction that waits, with the
//! flag in the status word and the pointers at what caused it; a masked one is a result (SDM, x87 FPU
//! Floating-Point Exception Handling).
//@ qemu: differs: QEMU 7.2's TCG never raises the denormal-operand exception; SDM, Denormal Operand Exception (#D): an arithmetic instruction with a denormal operand sets DE

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::MF;
use guest_tests::{Frame, catch, check_eq};

guest_tests::entry!(main);

/// A number in the 80-bit format.
#[derive(Clone, Copy)]
#[repr(C)]
struct Float {
    significand: u64,
    sign_exponent: u16,
}

const fn float(sign_exponent: u16, significand: u64) -> Float {
    Float { significand, sign_exponent }
}

const ZERO: Float = float(0, 0);
const ONE: Float = float(0x3fff, 1 << 63);
const THREE: Float = float(0x4000, 3 << 62);
const LARGEST: Float = float(0x7ffe, u64::MAX);
const SMALLEST: Float = float(1, 1 << 63);
const TINY: Float = float(0, 1);

/// All exceptions masked, extended precision.
const MASKED: u16 = 0x37f;

/// Name, dividend, divisor, flag, and the masked result.
const CASES: [(&str, Float, Float, u16, Float); 6] = [
    ("invalid", ZERO, ZERO, 1, float(0xffff, 3 << 62)),
    ("denormal", TINY, TINY, 1 << 1, ONE),
    ("divide by zero", ONE, ZERO, 1 << 2, float(0x7fff, 1 << 63)),
    ("overflow", LARGEST, SMALLEST, 1 << 3, float(0x7fff, 1 << 63)),
    ("underflow", SMALLEST, LARGEST, 1 << 4, ZERO),
    ("precision", ONE, THREE, 1 << 5, float(0x3ffd, 0xaaaa_aaaa_aaaa_aaab)),
];

/// What FNSTENV writes.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Environment {
    control: u32,
    status: u32,
    tags: u32,
    instruction: u32,
    code: u32,
    data: [u32; 2],
}

/// What became of a division.
struct Division {
    fault: Option<Frame>,
    environment: Environment,
    /// Addresses of the division and of the FWAIT behind it.
    operation: u64,
    wait: u64,
    result: Float,
}

fn main() {
    for (name, dividend, divisor, flag, expected) in CASES {
        let masked = divide(MASKED, dividend, divisor);
        check_eq!(masked.fault.map(|frame| frame.vector), None, "{name}, masked");
        check_eq!(masked.environment.status as u16 & flag, flag, "{name}: the flag is set");
        check_eq!(masked.environment.status as u16 & 0x8080, 0, "{name}: nothing is pending");
        let result = (masked.result.sign_exponent, masked.result.significand);
        check_eq!(result, (expected.sign_exponent, expected.significand), "{name}: the result");

        let unmasked = divide(MASKED & !flag, dividend, divisor);
        let fault = unmasked.fault.map(|frame| (frame.vector, frame.rip));
        check_eq!(fault, Some((MF.into(), unmasked.wait)), "{name}, unmasked: at the FWAIT");
        let status = unmasked.environment.status as u16;
        check_eq!(status & (0x8080 | flag), 0x8080 | flag, "{name}: the flag and the summary");
        let instruction = unmasked.environment.instruction;
        check_eq!(instruction, unmasked.operation as u32, "{name}: the instruction");
    }
}

/// Divides under a control word.
fn divide(control: u16, dividend: Float, divisor: Float) -> Division {
    let (mut operation, mut wait) = (0_u64, 0_u64);
    // SAFETY: the unit is initialised again below.
    let fault = catch(|| unsafe {
        asm!(
            "fninit",
            "fldcw [{control}]",
            "fld tbyte ptr [{divisor}]",
            "fld tbyte ptr [{dividend}]",
            "lea {address}, [rip + 2f]",
            "mov [{operation}], {address}",
            "lea {address}, [rip + 3f]",
            "mov [{wait}], {address}",
            "2:",
            "fdiv st(0), st(1)",
            "nop",
            "3:",
            "fwait",
            control = in(reg) &raw const control,
            divisor = in(reg) &raw const divisor,
            dividend = in(reg) &raw const dividend,
            operation = in(reg) &raw mut operation,
            wait = in(reg) &raw mut wait,
            address = out(reg) _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        )
    });
    let (mut environment, mut result) = (Environment::default(), ZERO);
    // SAFETY: the handler has left the unit as it was; nothing waits before it is initialised.
    unsafe {
        asm!(
            "fnstenv [{environment}]",
            "fnclex",
            "fstp tbyte ptr [{result}]",
            "fninit",
            environment = in(reg) &raw mut environment,
            result = in(reg) &raw mut result,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    Division { fault, environment, operation, wait, result }
}
