//! The flags of ADD, ADC, SUB, SBB, CMP, NEG, INC and DEC against their definitions, at every width, for
//! all pairs of values at the edges (SDM, Status Flags). Definitions, not tables: sums of the operands'
//! true values.

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::register::rflags::{AF, CF, OF, PF, SF, STATUS, ZF};

guest_tests::entry!(main);

/// Runs `$code` on `$a` and `$b` with CF as given: the result and the status flags.
macro_rules! run {
    ($code:expr, $class:ident, $type:ty, $a:expr, $b:expr, $carry:expr) => {{
        let mut a: $type = $a;
        let mut flags = 0_u64;
        // SAFETY: only registers change; the red zone is skipped.
        unsafe {
            asm!(
                "sub rsp, 128",
                "bt {carry:e}, 0",
                $code,
                "pushfq",
                "pop {flags}",
                "lea rsp, [rsp + 128]",
                a = inout($class) a,
                b = in($class) $b,
                carry = in(reg) u64::from($carry),
                flags = inout(reg) flags,
            )
        };
        (a as u64, flags & STATUS)
    }};
}

/// What the manual says of a sum `a + b + carry` or difference `a - b - carry` of `bits` bits.
fn expected(a: u64, b: u64, carry: bool, bits: u32, is_sum: bool) -> (u64, u64) {
    let mask = u64::MAX >> (64 - bits);
    let signed = |value: u64| i128::from((value << (64 - bits)) as i64 >> (64 - bits));
    let sign = if is_sum { 1 } else { -1 };
    let combine = |a: i128, b: i128| a + sign * b + sign * i128::from(carry);
    let (a, b) = (a & mask, b & mask);
    let unsigned = combine(a.into(), b.into());
    let result = unsigned as u64 & mask;
    let low = combine((a & 0xf).into(), (b & 0xf).into());
    let mut flags = 0;
    for (flag, is_set) in [
        (CF, unsigned < 0 || unsigned > i128::from(mask)),
        (PF, (result as u8).count_ones().is_multiple_of(2)),
        (AF, !(0..16).contains(&low)),
        (ZF, result == 0),
        (SF, result >> (bits - 1) & 1 == 1),
        (OF, signed(result) != combine(signed(a), signed(b))),
    ] {
        flags |= if is_set { flag } else { 0 };
    }
    (result, flags)
}

macro_rules! check_width {
    ($type:ident, $class:ident, $modifier:literal, $values:expr) => {
        for a in $values {
            for b in $values {
                for carry in [false, true] {
                    check_pair!($type, $class, $modifier, a, b, carry);
                }
            }
        }
    };
}

macro_rules! check_pair {
    ($type:ident, $class:ident, $modifier:literal, $a:expr, $b:expr, $carry:expr) => {{
        let (a, b, carry) = ($a as $type, $b as $type, $carry);
        let bits = $type::BITS;
        let kept = |(result, flags): (u64, u64)| (result, flags & !CF | u64::from(carry));
        macro_rules! binary {
            ($name:literal) => {
                run!(
                    concat!($name, " {a", $modifier, "}, {b", $modifier, "}"),
                    $class,
                    $type,
                    a,
                    b,
                    carry
                )
            };
        }
        macro_rules! unary {
            ($name:literal) => {
                run!(
                    concat!($name, " {a", $modifier, "} # {b", $modifier, "}"),
                    $class,
                    $type,
                    a,
                    b,
                    carry
                )
            };
        }
        let (x, y) = (a as u64, b as u64);
        let difference = expected(x, y, false, bits, false);
        check_eq!(binary!("add"), expected(x, y, false, bits, true), "ADD {a:#x}, {b:#x}");
        check_eq!(binary!("adc"), expected(x, y, carry, bits, true), "ADC {a:#x}, {b:#x}, {carry}");
        check_eq!(binary!("sub"), difference, "SUB {a:#x}, {b:#x}");
        check_eq!(
            binary!("sbb"),
            expected(x, y, carry, bits, false),
            "SBB {a:#x}, {b:#x}, {carry}"
        );
        check_eq!(binary!("cmp"), (x, difference.1), "CMP {a:#x}, {b:#x}");
        check_eq!(unary!("neg"), expected(0, x, false, bits, false), "NEG {a:#x}");
        check_eq!(unary!("inc"), kept(expected(x, 1, false, bits, true)), "INC {a:#x}, CF {carry}");
        check_eq!(
            unary!("dec"),
            kept(expected(x, 1, false, bits, false)),
            "DEC {a:#x}, CF {carry}"
        );
    }};
}

const EDGES: [u64; 17] = [
    0,
    1,
    2,
    0xf,
    0x10,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

fn main() {
    check_width!(u8, reg_byte, "", (0..=255).step_by(3));
    check_width!(u16, reg, ":x", EDGES);
    check_width!(u32, reg, ":e", EDGES);
    check_width!(u64, reg, ":r", EDGES);
}
