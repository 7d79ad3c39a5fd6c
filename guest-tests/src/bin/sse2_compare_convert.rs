//! COMISD and UCOMISD flags, CMPSD predicates, and conversions, where what does not fit becomes the integer
//! indefinite (SDM, COMISD; CMPSD; CVTSD2SI; CVTTSD2SI).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::register::rflags::{CF, PF, STATUS, ZF};

guest_tests::entry!(main);

macro_rules! run {
    ($code:expr, $a:expr, $b:expr) => {{
        let (mut rax, mut flags): (u64, u64) = (u64::MAX, 0);
        // SAFETY: only registers change; the red zone is skipped.
        unsafe {
            asm!(
                "sub rsp, 128",
                "movq xmm0, {a}",
                "movq xmm1, {b}",
                $code,
                "pushfq",
                "pop {flags}",
                "lea rsp, [rsp + 128]",
                a = in(reg) f64::to_bits($a),
                b = in(reg) f64::to_bits($b),
                flags = inout(reg) flags,
                inout("rax") rax,
                out("xmm0") _,
                out("xmm1") _,
            )
        };
        (rax, flags & STATUS)
    }};
}

fn main() {
    for (a, b, flags) in [
        (2.0, 1.0, 0),
        (1.0, 2.0, CF),
        (1.0, 1.0, ZF),
        (-0.0, 0.0, ZF),
        (f64::NAN, 1.0, ZF | PF | CF),
        (f64::NEG_INFINITY, f64::INFINITY, CF),
    ] {
        check_eq!(run!("ucomisd xmm0, xmm1", a, b).1, flags, "UCOMISD {a} {b}");
        check_eq!(run!("comisd xmm0, xmm1", a, b).1, flags, "COMISD {a} {b}");
        let [less, equal, unordered] = [flags == CF, flags == ZF, flags & PF != 0];
        let mask = |holds: bool| if holds { u64::MAX } else { 0 };
        macro_rules! predicate {
            ($number:literal) => {
                run!(concat!("cmpsd xmm0, xmm1, ", $number, "; movq rax, xmm0"), a, b).0
            };
        }
        check_eq!(predicate!(0), mask(equal), "EQ {a} {b}");
        check_eq!(predicate!(1), mask(less), "LT {a} {b}");
        check_eq!(predicate!(2), mask(less || equal), "LE {a} {b}");
        check_eq!(predicate!(3), mask(unordered), "UNORD {a} {b}");
        check_eq!(predicate!(4), mask(!equal), "NEQ {a} {b}");
        check_eq!(predicate!(5), mask(!less), "NLT {a} {b}");
        check_eq!(predicate!(6), mask(!(less || equal)), "NLE {a} {b}");
        check_eq!(predicate!(7), mask(!unordered), "ORD {a} {b}");
    }

    const INDEFINITE_32: u64 = 1 << 31;
    const INDEFINITE_64: u64 = 1 << 63;
    let to_32 = |value: f64| run!("cvttsd2si eax, xmm0", value, 0.0).0;
    check_eq!(to_32(1.9), 1);
    check_eq!(to_32(-1.9), 0xffff_ffff);
    check_eq!(to_32(2_147_483_647.9), 0x7fff_ffff);
    check_eq!(to_32(2_147_483_648.0), INDEFINITE_32);
    check_eq!(to_32(-2_147_483_648.9), INDEFINITE_32);
    check_eq!(to_32(f64::NAN), INDEFINITE_32);
    let to_64 = |value: f64| run!("cvttsd2si rax, xmm0", value, 0.0).0;
    check_eq!(to_64(-1e18), (-1_000_000_000_000_000_000_i64) as u64);
    check_eq!(to_64(9.3e18), INDEFINITE_64);
    check_eq!(to_64(f64::NEG_INFINITY), INDEFINITE_64);
    // Rounding to nearest, ties to even.
    let rounded = |value: f64| run!("cvtsd2si rax, xmm0", value, 0.0).0 as i64;
    check_eq!([0.5, 1.5, 2.5, -0.5, -1.5].map(rounded), [0, 2, 2, 0, -2]);

    let narrowed = |value: f64| run!("cvtsd2ss xmm0, xmm0; movd eax, xmm0", value, 0.0).0 as u32;
    check_eq!(narrowed(0.1), 0.1_f32.to_bits());
    check_eq!(narrowed(1e300), f32::INFINITY.to_bits());
    check_eq!(narrowed(1e-45), 1);
    let widened = run!("cvtss2sd xmm0, xmm0; movq rax, xmm0", f64::from_bits(0x7fa0_0001), 0.0).0;
    check_eq!(widened, 0x7ffc_0000_2000_0000, "a signalling NaN, quieted and widened");
    let from_integer = run!("mov eax, -3; cvtsi2sd xmm0, rax; movq rax, xmm0", 0.0, 0.0).0;
    check_eq!(from_integer, 4_294_967_293_f64.to_bits(), "CVTSI2SD of 64 bits");
    let from_32 = run!("mov eax, -3; cvtsi2sd xmm0, eax; movq rax, xmm0", 0.0, 0.0).0;
    check_eq!(from_32, (-3_f64).to_bits(), "CVTSI2SD of 32 bits");
}
