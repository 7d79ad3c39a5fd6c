//! Recursive calls: Fibonacci numbers by their definition, little but calls, returns and the stack.
//@ stdout: checksum 32ff7cf38f5f3ce5
//@ bench: rounds=400
//@ bench-target: 0.25

#![no_std]
#![no_main]

use core::hint::black_box;
use guest_tests::bench::{Checksum, argument};

guest_tests::entry!(main);

fn main() {
    let mut checksum = Checksum::default();
    for _ in 0..argument("rounds", 1) {
        checksum.add(fibonacci(black_box(25)));
    }
    checksum.print();
}

/// Unseen results keep the compiler from making either call a loop.
#[inline(never)]
fn fibonacci(number: u64) -> u64 {
    if number < 2 {
        return number;
    }
    black_box(fibonacci(number - 1)) + black_box(fibonacci(number - 2))
}
