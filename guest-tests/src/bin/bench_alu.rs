//! Dependent integer arithmetic: each operation needs the result of the one before it.
//@ stdout: checksum 9b0f96d6e84088d3
//@ bench: rounds=400
//@ bench-target: 0.25

#![no_std]
#![no_main]

use core::hint::black_box;
use guest_tests::bench::{Checksum, argument};

guest_tests::entry!(main);

const STEPS: u64 = 1_000_000;

fn main() {
    let mut checksum = Checksum::default();
    let mut state = black_box(0x9e37_79b9_7f4a_7c15);
    for _ in 0..argument("rounds", 1) {
        state = chain(black_box(state));
        checksum.add(state);
    }
    checksum.print();
}

#[inline(never)]
fn chain(mut x: u64) -> u64 {
    for step in 0..STEPS {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x = x.wrapping_add(step).rotate_left(11);
        x = (x - (x >> 3)).wrapping_mul(5);
    }
    x
}
