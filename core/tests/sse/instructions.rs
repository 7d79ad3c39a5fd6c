//! Moves, integer arithmetic, shifts and shuffles.

use crate::harness::{Both, OnlyMemory, OnlyRegister, compare, compare_all, compare_immediates};

#[test]
fn moves() {
    compare_all(
        &[
            ("movaps", &[0x0f, 0x28], Both),
            ("movaps", &[0x0f, 0x29], Both),
            ("movapd", &[0x66, 0x0f, 0x28], Both),
            ("movapd", &[0x66, 0x0f, 0x29], Both),
            ("movups", &[0x0f, 0x10], Both),
            ("movups", &[0x0f, 0x11], Both),
            ("movupd", &[0x66, 0x0f, 0x10], Both),
            ("movupd", &[0x66, 0x0f, 0x11], Both),
            ("movss", &[0xf3, 0x0f, 0x10], Both),
            ("movss", &[0xf3, 0x0f, 0x11], Both),
            ("movsd", &[0xf2, 0x0f, 0x10], Both),
            ("movsd", &[0xf2, 0x0f, 0x11], Both),
            ("movdqa", &[0x66, 0x0f, 0x6f], Both),
            ("movdqa", &[0x66, 0x0f, 0x7f], Both),
            ("movdqu", &[0xf3, 0x0f, 0x6f], Both),
            ("movdqu", &[0xf3, 0x0f, 0x7f], Both),
            ("movd", &[0x66, 0x0f, 0x6e], Both),
            ("movd", &[0x66, 0x0f, 0x7e], Both),
            ("movq", &[0x66, 0x48, 0x0f, 0x6e], Both),
            ("movq", &[0x66, 0x48, 0x0f, 0x7e], Both),
            ("movq", &[0xf3, 0x0f, 0x7e], Both),
            ("movq", &[0x66, 0x0f, 0xd6], Both),
            ("movlps, movhlps", &[0x0f, 0x12], Both),
            ("movlps", &[0x0f, 0x13], OnlyMemory),
            ("movlpd", &[0x66, 0x0f, 0x12], OnlyMemory),
            ("movlpd", &[0x66, 0x0f, 0x13], OnlyMemory),
            ("movhps, movlhps", &[0x0f, 0x16], Both),
            ("movhps", &[0x0f, 0x17], OnlyMemory),
            ("movhpd", &[0x66, 0x0f, 0x16], OnlyMemory),
            ("movhpd", &[0x66, 0x0f, 0x17], OnlyMemory),
            ("movntps", &[0x0f, 0x2b], OnlyMemory),
            ("movntpd", &[0x66, 0x0f, 0x2b], OnlyMemory),
            ("movntdq", &[0x66, 0x0f, 0xe7], OnlyMemory),
            ("movnti", &[0x0f, 0xc3], OnlyMemory),
            ("movnti", &[0x48, 0x0f, 0xc3], OnlyMemory),
            ("movmskps", &[0x0f, 0x50], OnlyRegister),
            ("movmskpd", &[0x66, 0x0f, 0x50], OnlyRegister),
            ("movmskps", &[0x48, 0x0f, 0x50], OnlyRegister),
            ("pmovmskb", &[0x66, 0x0f, 0xd7], OnlyRegister),
            ("pmovmskb", &[0x66, 0x48, 0x0f, 0xd7], OnlyRegister),
        ],
        300,
    );
}

#[test]
fn integers() {
    let opcodes = [
        ("punpcklbw", 0x60),
        ("punpcklwd", 0x61),
        ("punpckldq", 0x62),
        ("packsswb", 0x63),
        ("pcmpgtb", 0x64),
        ("pcmpgtw", 0x65),
        ("pcmpgtd", 0x66),
        ("packuswb", 0x67),
        ("punpckhbw", 0x68),
        ("punpckhwd", 0x69),
        ("punpckhdq", 0x6a),
        ("packssdw", 0x6b),
        ("punpcklqdq", 0x6c),
        ("punpckhqdq", 0x6d),
        ("pcmpeqb", 0x74),
        ("pcmpeqw", 0x75),
        ("pcmpeqd", 0x76),
        ("psrlw", 0xd1),
        ("psrld", 0xd2),
        ("psrlq", 0xd3),
        ("paddq", 0xd4),
        ("pmullw", 0xd5),
        ("psubusb", 0xd8),
        ("psubusw", 0xd9),
        ("pminub", 0xda),
        ("pand", 0xdb),
        ("paddusb", 0xdc),
        ("paddusw", 0xdd),
        ("pmaxub", 0xde),
        ("pandn", 0xdf),
        ("pavgb", 0xe0),
        ("psraw", 0xe1),
        ("psrad", 0xe2),
        ("pavgw", 0xe3),
        ("pmulhuw", 0xe4),
        ("pmulhw", 0xe5),
        ("psubsb", 0xe8),
        ("psubsw", 0xe9),
        ("pminsw", 0xea),
        ("por", 0xeb),
        ("paddsb", 0xec),
        ("paddsw", 0xed),
        ("pmaxsw", 0xee),
        ("pxor", 0xef),
        ("psllw", 0xf1),
        ("pslld", 0xf2),
        ("psllq", 0xf3),
        ("pmuludq", 0xf4),
        ("pmaddwd", 0xf5),
        ("psadbw", 0xf6),
        ("psubb", 0xf8),
        ("psubw", 0xf9),
        ("psubd", 0xfa),
        ("psubq", 0xfb),
        ("paddb", 0xfc),
        ("paddw", 0xfd),
        ("paddd", 0xfe),
    ];
    for (name, opcode) in opcodes {
        compare_all(&[(name, &[0x66, 0x0f, opcode], Both)], 1000);
    }
    for (name, opcode) in [
        ("and", 0x54),
        ("andn", 0x55),
        ("or", 0x56),
        ("xor", 0x57),
        ("unpckl", 0x14),
        ("unpckh", 0x15),
    ] {
        compare_all(&[(name, &[0x0f, opcode], Both), (name, &[0x66, 0x0f, opcode], Both)], 300);
    }
}

#[test]
fn shifts() {
    // Opcode 66 0F 71/72/73, operation in ModRM's middle, register XMM1.
    let operations = [
        ("psrlw", 0x71, 2),
        ("psraw", 0x71, 4),
        ("psllw", 0x71, 6),
        ("psrld", 0x72, 2),
        ("psrad", 0x72, 4),
        ("pslld", 0x72, 6),
        ("psrlq", 0x73, 2),
        ("psrldq", 0x73, 3),
        ("psllq", 0x73, 6),
        ("pslldq", 0x73, 7),
    ];
    for (name, opcode, operation) in operations {
        for count in [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 255] {
            compare(name, &[0x66, 0x0f, opcode, 0xc1 | operation << 3, count], 50);
        }
    }
    // Counts in a register or memory that are small enough to matter.
    for opcode in [0xd1, 0xd2, 0xd3, 0xe1, 0xe2, 0xf1, 0xf2, 0xf3] {
        for count in [0, 1, 15, 16, 31, 32, 63, 64] {
            // psllq xmm1, 58; psrlq xmm1, 58 leaves 6 bits; then the shift by what is left of count
            let code = [
                0x66,
                0x0f,
                0x73,
                0xf1,
                58,
                0x66,
                0x0f,
                0x73,
                0xd1,
                58 + (count & 3),
                0x66,
                0x0f,
                opcode,
                0xc1,
            ];
            compare("shift", &code, 100);
        }
    }
}

#[test]
fn shuffles() {
    let immediates: Vec<u8> = (0..=255).collect();
    compare_immediates(
        &[
            ("pshufd", &[0x66, 0x0f, 0x70], Both),
            ("pshuflw", &[0xf2, 0x0f, 0x70], Both),
            ("pshufhw", &[0xf3, 0x0f, 0x70], Both),
            ("shufps", &[0x0f, 0xc6], Both),
            ("shufpd", &[0x66, 0x0f, 0xc6], Both),
        ],
        &immediates,
        4,
    );
}
