//! The copy of a register and an operation on it, which execute as one.

use crate::common::guest::Guest;
use crate::common::numbers::Numbers;
use crate::harness::{compare, compare_with};
use crate::values::Random;

/// MOVDQA, MOVDQU, MOVAPS, MOVAPD, MOVUPS, MOVUPD.
const COPIES: [&[u8]; 6] = [
    &[0x66, 0x0f, 0x6f],
    &[0xf3, 0x0f, 0x6f],
    &[0x0f, 0x28],
    &[0x66, 0x0f, 0x28],
    &[0x0f, 0x10],
    &[0x66, 0x0f, 0x10],
];
/// ModRM of XMM0, XMM1; XMM1, XMM0; XMM0, XMM0; XMM0, [RSI].
const SOURCES: [u8; 4] = [0xc1, 0xc8, 0xc0, 0x06];

/// What follows a copy in a pair, and some that do not.
fn operations() -> Vec<Vec<u8>> {
    // PADDB, PADDW, PADDD, PADDQ, PSUBB, PSUBW, PSUBD, PSUBQ, PMULUDQ, PMINUB, PMAXUB, PCMPEQB, PCMPEQW,
    // PCMPEQD, PCMPGTB, PCMPGTW, PCMPGTD, PAND, PANDN, POR, PXOR, PUNPCKLBW to PUNPCKLDQ, PUNPCKHBW to
    // PUNPCKHDQ, PUNPCKLQDQ, PUNPCKHQDQ.
    let integers = [
        0xfc, 0xfd, 0xfe, 0xd4, 0xf8, 0xf9, 0xfa, 0xfb, 0xf4, 0xda, 0xde, 0x74, 0x75, 0x76, 0x64,
        0x65, 0x66, 0xdb, 0xdf, 0xeb, 0xef, 0x60, 0x61, 0x62, 0x68, 0x69, 0x6a, 0x6c, 0x6d,
    ];
    let integers = integers.into_iter().map(|opcode| vec![0x66, 0x0f, opcode]);
    // ANDPS, ANDNPS, ORPS, XORPS, UNPCKLPS, UNPCKHPS and those on double precision.
    let logic = [0x54, 0x55, 0x56, 0x57, 0x14, 0x15].into_iter();
    let logic = logic.flat_map(|opcode| [vec![0x0f, opcode], vec![0x66, 0x0f, opcode]]);
    integers.chain(logic).chain(floats()).collect()
}

/// ADD, MUL, SUB, MIN and DIV of all kinds.
fn floats() -> impl Iterator<Item = Vec<u8>> {
    [0x58, 0x59, 0x5c, 0x5d, 0x5e].into_iter().flat_map(|opcode| {
        [
            vec![0x0f, opcode],
            vec![0x66, 0x0f, opcode],
            vec![0xf3, 0x0f, opcode],
            vec![0xf2, 0x0f, opcode],
        ]
    })
}

#[test]
fn a_copy_and_an_operation_on_it() {
    for (number, operation) in operations().into_iter().enumerate() {
        for source in SOURCES {
            let copy = COPIES[number % COPIES.len()];
            compare("copy and operation", &[copy, &[0xc1], &operation, &[source]].concat(), 10);
        }
    }
    for copy in COPIES {
        compare("copy and sum", &[copy, &[0xc1, 0x66, 0x0f, 0xd4, 0xc1]].concat(), 10);
    }
}

#[test]
fn a_copy_and_its_shift() {
    // The opcode, and what ModRM has in place of a register.
    let shifts = [(0x71, [2, 4, 6]), (0x72, [2, 4, 6]), (0x73, [2, 6, 6]), (0x73, [3, 7, 7])];
    for (opcode, operations) in shifts {
        for operation in operations {
            for count in [0, 1, 7, 8, 15, 16, 31, 32, 64, 255] {
                // The shift is of the copy, and of the register that was copied.
                for target in [0, 1] {
                    let shift = [0x66, 0x0f, opcode, 0xc0 | operation << 3 | target, count];
                    compare("copy and shift", &[&[0x66, 0x0f, 0x6f, 0xc1], &shift[..]].concat(), 5);
                }
            }
        }
    }
}

#[test]
fn where_exceptions_are_unmasked() {
    for operation in floats() {
        for source in SOURCES {
            let code = [&[0x0f, 0x28, 0xc1], &operation[..], &[source]].concat();
            compare_with("copy and operation", &code, 20, Random::unmasked_mxcsr);
        }
    }
}

#[test]
fn of_three_registers() {
    let (mut blocks, mut steps) = (Guest::long_mode(), Guest::long_mode());
    let fresh = blocks.state.clone();
    let mut numbers = Numbers(3);
    for operation in operations() {
        for copied in [0xe2, 0xd4] {
            // Of XMM4 and XMM9, behind the copy of XMM2 to XMM4, or of that to XMM2.
            let (operation, rest) = operation.split_at(operation.len() - 2);
            let code = [&[0x66, 0x0f, 0x6f, copied], operation, &[0x41], rest, &[0xe1]].concat();
            for vector in &mut blocks.state.fpu.xmm {
                *vector = u128::from(numbers.next()) << 64 | u128::from(numbers.next());
            }
            steps.state = blocks.state.clone();
            blocks.run(&code);
            steps.step_through(&code);
            assert_eq!(blocks.state, steps.state, "{code:02x?}");
            (blocks.state.rip, blocks.state.rflags) = (fresh.rip, fresh.rflags);
        }
    }
}
