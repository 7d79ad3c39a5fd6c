//! The sieve of Eratosthenes: byte stores at growing strides over a table of 1 MiB, then a count.
//@ stdout: checksum 5e5065099a30971d
//@ bench: rounds=90
//@ bench-target: 0.25

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::hint::black_box;
use guest_tests::bench::{Checksum, argument};

guest_tests::entry!(main);

const LIMIT: usize = 1 << 20;

fn main() {
    let mut checksum = Checksum::default();
    let mut composite = vec![0; LIMIT];
    for _ in 0..argument("rounds", 1) {
        composite.fill(0);
        sieve(black_box(&mut composite));
        let primes = composite.iter().skip(2).filter(|&&byte| byte == 0).count();
        checksum.add(primes as u64);
    }
    checksum.print();
}

#[inline(never)]
fn sieve(composite: &mut [u8]) {
    let mut number = 2;
    while number * number < composite.len() {
        if composite[number] == 0 {
            for multiple in (number * number..composite.len()).step_by(number) {
                composite[multiple] = 1;
            }
        }
        number += 1;
    }
}
