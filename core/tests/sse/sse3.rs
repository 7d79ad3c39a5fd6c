//! SSE3.

use crate::harness::{Both, OnlyMemory, Row, compare, compare_all, compare_with, each_form};
use crate::values::Random;

const SUMS: &[Row] = &[
    ("addsubps", &[0xf2, 0x0f, 0xd0], Both),
    ("addsubpd", &[0x66, 0x0f, 0xd0], Both),
    ("haddps", &[0xf2, 0x0f, 0x7c], Both),
    ("haddpd", &[0x66, 0x0f, 0x7c], Both),
    ("hsubps", &[0xf2, 0x0f, 0x7d], Both),
    ("hsubpd", &[0x66, 0x0f, 0x7d], Both),
];

#[test]
fn sums() {
    each_form(SUMS, &[], |name, code| compare(name, code, 4000));
}

#[test]
fn sums_unmasked() {
    each_form(SUMS, &[], |name, code| compare_with(name, code, 4000, Random::unmasked_mxcsr));
}

#[test]
fn moves() {
    compare_all(
        &[
            ("lddqu", &[0xf2, 0x0f, 0xf0], OnlyMemory),
            ("movddup", &[0xf2, 0x0f, 0x12], Both),
            ("movsldup", &[0xf3, 0x0f, 0x12], Both),
            ("movshdup", &[0xf3, 0x0f, 0x16], Both),
        ],
        300,
    );
}
