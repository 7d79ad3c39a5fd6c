//! SSE4.1.

use crate::harness::{
    Both, OnlyMemory, Row, compare, compare_all, compare_immediates, compare_with, each_form,
};
use crate::values::Random;

#[test]
fn integers() {
    let opcodes = [
        ("pmovsxbw", 0x20),
        ("pmovsxbd", 0x21),
        ("pmovsxbq", 0x22),
        ("pmovsxwd", 0x23),
        ("pmovsxwq", 0x24),
        ("pmovsxdq", 0x25),
        ("pmuldq", 0x28),
        ("pcmpeqq", 0x29),
        ("packusdw", 0x2b),
        ("pmovzxbw", 0x30),
        ("pmovzxbd", 0x31),
        ("pmovzxbq", 0x32),
        ("pmovzxwd", 0x33),
        ("pmovzxwq", 0x34),
        ("pmovzxdq", 0x35),
        ("pminsb", 0x38),
        ("pminsd", 0x39),
        ("pminuw", 0x3a),
        ("pminud", 0x3b),
        ("pmaxsb", 0x3c),
        ("pmaxsd", 0x3d),
        ("pmaxuw", 0x3e),
        ("pmaxud", 0x3f),
        ("pmulld", 0x40),
        ("phminposuw", 0x41),
        ("ptest", 0x17),
    ];
    for (name, opcode) in opcodes {
        compare_all(&[(name, &[0x66, 0x0f, 0x38, opcode], Both)], 1000);
    }
    compare_all(&[("movntdqa", &[0x66, 0x0f, 0x38, 0x2a], OnlyMemory)], 100);
}

#[test]
fn blends() {
    compare_all(
        &[
            ("pblendvb", &[0x66, 0x0f, 0x38, 0x10], Both),
            ("blendvps", &[0x66, 0x0f, 0x38, 0x14], Both),
            ("blendvpd", &[0x66, 0x0f, 0x38, 0x15], Both),
        ],
        1000,
    );
    let immediates: Vec<u8> = (0..=255).collect();
    compare_immediates(
        &[
            ("blendps", &[0x66, 0x0f, 0x3a, 0x0c], Both),
            ("blendpd", &[0x66, 0x0f, 0x3a, 0x0d], Both),
            ("pblendw", &[0x66, 0x0f, 0x3a, 0x0e], Both),
            ("mpsadbw", &[0x66, 0x0f, 0x3a, 0x42], Both),
        ],
        &immediates,
        4,
    );
}

const ROUNDS: &[Row] = &[
    ("roundps", &[0x66, 0x0f, 0x3a, 0x08], Both),
    ("roundpd", &[0x66, 0x0f, 0x3a, 0x09], Both),
    ("roundss", &[0x66, 0x0f, 0x3a, 0x0a], Both),
    ("roundsd", &[0x66, 0x0f, 0x3a, 0x0b], Both),
];

const PRODUCTS: &[Row] =
    &[("dpps", &[0x66, 0x0f, 0x3a, 0x40], Both), ("dppd", &[0x66, 0x0f, 0x3a, 0x41], Both)];

#[test]
fn rounding() {
    let immediates: Vec<u8> = (0..16).chain([0xf3]).collect();
    each_form(ROUNDS, &immediates, |name, code| {
        compare(name, code, 500);
        compare_with(name, code, 500, Random::unmasked_mxcsr);
    });
}

#[test]
fn dot_products() {
    let immediates: Vec<u8> = (0..=255).collect();
    each_form(PRODUCTS, &immediates, |name, code| {
        compare(name, code, 100);
        compare_with(name, code, 100, Random::unmasked_mxcsr);
    });
}
