//! Two instructions that execute as one: products with their sums, and loads with their broadcasts.

use crate::harness::{compare, compare_with};
use crate::values::Random;

/// Single and double, packed and scalar: what the opcode follows.
const KINDS: [&[u8]; 4] = [&[0x0f], &[0x66, 0x0f], &[0xf3, 0x0f], &[0xf2, 0x0f]];
const MUL: u8 = 0x59;
const ADD: u8 = 0x58;
const SUB: u8 = 0x5c;
/// ModRM of XMM0, XMM1.
const FORWARD: u8 = 0xc1;
/// ModRM of XMM1, XMM0.
const BACKWARD: u8 = 0xc8;
/// ModRM of XMM0, XMM0.
const SAME: u8 = 0xc0;
/// ModRM of XMM0, [RSI].
const MEMORY: u8 = 0x06;

/// Calls `check` with each multiplication into XMM0 and what follows it.
fn each_product(mut check: impl FnMut(&[u8])) {
    for kind in KINDS {
        for factor in [FORWARD, SAME, MEMORY] {
            for sum in [ADD, SUB] {
                for terms in [FORWARD, BACKWARD, SAME] {
                    check(&[kind, &[MUL, factor], kind, &[sum, terms]].concat());
                }
            }
        }
    }
}

#[test]
fn a_product_and_its_sum() {
    each_product(|code| compare("product and sum", code, 100));
}

#[test]
fn where_exceptions_are_unmasked() {
    each_product(|code| compare_with("product and sum", code, 30, Random::unmasked_mxcsr));
}

#[test]
fn a_load_and_its_broadcast() {
    let loads: [(&str, &[u8]); 4] = [
        ("movsd", &[0xf2, 0x0f, 0x10, MEMORY]),
        ("movq", &[0xf3, 0x0f, 0x7e, MEMORY]),
        ("movss", &[0xf3, 0x0f, 0x10, MEMORY]),
        ("movd", &[0x66, 0x0f, 0x6e, MEMORY]),
    ];
    let copies: [&[u8]; 8] = [
        &[0x66, 0x0f, 0x14, SAME],       // unpcklpd
        &[0x66, 0x0f, 0x6c, SAME],       // punpcklqdq
        &[0x0f, 0x16, SAME],             // movlhps
        &[0x66, 0x0f, 0xc6, SAME, 0],    // shufpd
        &[0x66, 0x0f, 0xc6, SAME, 2],    // shufpd, which changes nothing
        &[0x0f, 0xc6, SAME, 0],          // shufps
        &[0x66, 0x0f, 0x70, SAME, 0],    // pshufd
        &[0x66, 0x0f, 0x70, SAME, 0x1b], // pshufd, which turns round
    ];
    for (name, load) in loads {
        for copy in copies {
            compare(name, &[load, copy].concat(), 20);
        }
    }
}

#[test]
fn a_load_and_an_operation_on_it() {
    // MOVDQU, MOVUPS, MOVUPD of XMM0
    let loads: [&[u8]; 3] =
        [&[0xf3, 0x0f, 0x6f, MEMORY], &[0x0f, 0x10, MEMORY], &[0x66, 0x0f, 0x10, MEMORY]];
    // PADDB, PADDW, PADDD, PADDQ, PSUBB, PSUBD, PSUBQ, PCMPEQB, PCMPEQD, PMINUB, PAND, POR, PXOR, and
    // PSUBW, which is no pair.
    let integers =
        [0xfc, 0xfd, 0xfe, 0xd4, 0xf8, 0xfa, 0xfb, 0x74, 0x76, 0xda, 0xdb, 0xeb, 0xef, 0xf9];
    let operations = integers.map(|opcode| vec![0x66, 0x0f, opcode]);
    // ANDPS, ORPS, XORPS, ADDPS, MULPS and those on double precision.
    let floats = [0x54, 0x56, 0x57, ADD, MUL].into_iter();
    let floats = floats.flat_map(|opcode| [vec![0x0f, opcode], vec![0x66, 0x0f, opcode]]);
    for operation in operations.into_iter().chain(floats) {
        for terms in [FORWARD, BACKWARD, SAME] {
            for load in loads {
                compare("load and operation", &[load, &operation, &[terms]].concat(), 20);
            }
        }
    }
}
