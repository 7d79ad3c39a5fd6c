//! Operations: the low halves of XMM0 and XMM1 go to MM0 and MM1, and the result comes back.

use crate::harness::{MEMORY, REGISTERS, compare, compare_with};
use crate::values::Random;

/// movdq2q mm0, xmm0; movdq2q mm1, xmm1
const BEFORE: &[u8] = &[0xf2, 0x0f, 0xd6, 0xc0, 0xf2, 0x0f, 0xd6, 0xc9];
/// movq2dq xmm0, mm0; movq2dq xmm1, mm1; emms
const BEHIND: &[u8] = &[0xf3, 0x0f, 0xd6, 0xc0, 0xf3, 0x0f, 0xd6, 0xc9, 0x0f, 0x77];

fn around(instruction: &[u8]) -> Vec<u8> {
    [BEFORE, instruction, BEHIND].concat()
}

fn check(opcode: &[u8], immediate: &[u8], count: u32) {
    for modrm in [REGISTERS, MEMORY] {
        compare("mmx", &around(&[opcode, &[modrm], immediate].concat()), count);
    }
}

#[test]
fn operations() {
    let opcodes = [
        0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6e, 0x6f, 0x74,
        0x75, 0x76, 0x7e, 0x7f, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd,
        0xde, 0xdf, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee,
        0xef, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe,
    ];
    for opcode in opcodes {
        check(&[0x0f, opcode], &[], 300);
    }
    for opcode in (0x00..=0x0b).chain(0x1c..=0x1e) {
        check(&[0x0f, 0x38, opcode], &[], 300);
    }
}

#[test]
fn immediates() {
    for immediate in 0..=255 {
        check(&[0x0f, 0x70], &[immediate], 8); // pshufw
        check(&[0x0f, 0xc4], &[immediate], 8); // pinsrw
        check(&[0x0f, 0x3a, 0x0f], &[immediate], 8); // palignr
        compare("pextrw", &around(&[0x0f, 0xc5, REGISTERS, immediate]), 8);
    }
    for (opcode, operations) in [(0x71, &[2, 4, 6][..]), (0x72, &[2, 4, 6]), (0x73, &[2, 6])] {
        for count in [0, 1, 7, 15, 16, 31, 32, 63, 64, 255] {
            for operation in operations {
                let shift = [0x0f, opcode, 0xc0 | operation << 3, count];
                compare("shift", &around(&shift), 20);
            }
        }
    }
}

#[test]
fn general_registers() {
    compare("pmovmskb", &around(&[0x0f, 0xd7, REGISTERS]), 300);
    compare("movq mm0, rcx", &around(&[0x48, 0x0f, 0x6e, REGISTERS]), 300);
    compare("movq rcx, mm0", &around(&[0x48, 0x0f, 0x7e, REGISTERS]), 300);
    compare("movntq", &around(&[0x0f, 0xe7, MEMORY]), 300);
}

#[test]
fn conversions() {
    for opcode in [0x2a, 0x2c, 0x2d] {
        for prefix in [&[][..], &[0x66]] {
            for modrm in [REGISTERS, MEMORY] {
                let code = around(&[prefix, &[0x0f, opcode, modrm]].concat());
                compare("conversion", &code, 2000);
            }
        }
    }
}

#[test]
fn conversions_unmasked() {
    // Behind the instruction the host is still in MMX state, where #XM goes on.
    for opcode in [0x2a, 0x2c, 0x2d] {
        for prefix in [&[][..], &[0x66]] {
            let code = [BEFORE, prefix, &[0x0f, opcode, MEMORY]].concat();
            compare_with("conversion", &code, 2000, Random::unmasked_mxcsr);
        }
    }
}
