//! Floating-point instructions: with all exceptions masked, and with some of them unmasked.

use crate::harness::{Both, Row, compare, compare_with, each_form};
use crate::values::Random;

const ADD: u8 = 0x58;
const MUL: u8 = 0x59;
const SUB: u8 = 0x5c;
const MIN: u8 = 0x5d;
const DIV: u8 = 0x5e;
const MAX: u8 = 0x5f;
const SQRT: u8 = 0x51;

const APPROXIMATIONS: &[Row] = &[
    ("rcpps", &[0x0f, 0x53], Both),
    ("rcpss", &[0xf3, 0x0f, 0x53], Both),
    ("rsqrtps", &[0x0f, 0x52], Both),
    ("rsqrtss", &[0xf3, 0x0f, 0x52], Both),
];

const COMPARISONS: &[Row] = &[
    ("ucomiss", &[0x0f, 0x2e], Both),
    ("ucomisd", &[0x66, 0x0f, 0x2e], Both),
    ("comiss", &[0x0f, 0x2f], Both),
    ("comisd", &[0x66, 0x0f, 0x2f], Both),
];

const MASKS: &[Row] = &[
    ("cmpps", &[0x0f, 0xc2], Both),
    ("cmppd", &[0x66, 0x0f, 0xc2], Both),
    ("cmpss", &[0xf3, 0x0f, 0xc2], Both),
    ("cmpsd", &[0xf2, 0x0f, 0xc2], Both),
];

/// Bits above the lowest three are ignored.
const PREDICATES: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 0xf9];

const CONVERSIONS: &[Row] = &[
    ("cvtdq2ps", &[0x0f, 0x5b], Both),
    ("cvtps2dq", &[0x66, 0x0f, 0x5b], Both),
    ("cvttps2dq", &[0xf3, 0x0f, 0x5b], Both),
    ("cvtdq2pd", &[0xf3, 0x0f, 0xe6], Both),
    ("cvtpd2dq", &[0xf2, 0x0f, 0xe6], Both),
    ("cvttpd2dq", &[0x66, 0x0f, 0xe6], Both),
    ("cvtps2pd", &[0x0f, 0x5a], Both),
    ("cvtpd2ps", &[0x66, 0x0f, 0x5a], Both),
    ("cvtss2sd", &[0xf3, 0x0f, 0x5a], Both),
    ("cvtsd2ss", &[0xf2, 0x0f, 0x5a], Both),
    ("cvtsi2ss", &[0xf3, 0x0f, 0x2a], Both),
    ("cvtsi2ss", &[0xf3, 0x48, 0x0f, 0x2a], Both),
    ("cvtsi2sd", &[0xf2, 0x0f, 0x2a], Both),
    ("cvtsi2sd", &[0xf2, 0x48, 0x0f, 0x2a], Both),
    ("cvtss2si", &[0xf3, 0x0f, 0x2d], Both),
    ("cvtss2si", &[0xf3, 0x48, 0x0f, 0x2d], Both),
    ("cvtsd2si", &[0xf2, 0x0f, 0x2d], Both),
    ("cvtsd2si", &[0xf2, 0x48, 0x0f, 0x2d], Both),
    ("cvttss2si", &[0xf3, 0x0f, 0x2c], Both),
    ("cvttss2si", &[0xf3, 0x48, 0x0f, 0x2c], Both),
    ("cvttsd2si", &[0xf2, 0x0f, 0x2c], Both),
    ("cvttsd2si", &[0xf2, 0x48, 0x0f, 0x2c], Both),
];

/// Calls `check` with the bytes of each form of one instruction: packed and scalar, single and
/// double.
fn each_type(opcode: u8, check: impl FnMut(&str, &[u8])) {
    let rows: &[Row] = &[
        ("packed single", &[0x0f, opcode], Both),
        ("packed double", &[0x66, 0x0f, opcode], Both),
        ("scalar single", &[0xf3, 0x0f, opcode], Both),
        ("scalar double", &[0xf2, 0x0f, opcode], Both),
    ];
    each_form(rows, &[], check);
}

fn masked(name: &str, code: &[u8]) {
    compare(name, code, 4000);
}

fn unmasked(name: &str, code: &[u8]) {
    compare_with(name, code, 4000, Random::unmasked_mxcsr);
}

macro_rules! tests {
    ($($(#[$attribute:meta])? $name:ident, $unmasked:ident: |$check:ident| $each:expr;)*) => {
        $(#[test]
        $(#[$attribute])?
        fn $name() {
            let $check = masked;
            $each;
        }
        #[test]
        $(#[$attribute])?
        fn $unmasked() {
            let $check = unmasked;
            $each;
        })*
    };
}

tests! {
    add, add_unmasked: |check| each_type(ADD, check);
    sub, sub_unmasked: |check| each_type(SUB, check);
    mul, mul_unmasked: |check| each_type(MUL, check);
    div, div_unmasked: |check| each_type(DIV, check);
    min, min_unmasked: |check| each_type(MIN, check);
    max, max_unmasked: |check| each_type(MAX, check);
    sqrt, sqrt_unmasked: |check| each_type(SQRT, check);
    #[cfg_attr(miri, ignore = "approximations are the processor's own")]
    approximations, approximations_unmasked: |check| each_form(APPROXIMATIONS, &[], check);
    comparisons, comparisons_unmasked: |check| each_form(COMPARISONS, &[], check);
    masks, masks_unmasked: |check| each_form(MASKS, PREDICATES, check);
    conversions, conversions_unmasked: |check| each_form(CONVERSIONS, &[], check);
}
