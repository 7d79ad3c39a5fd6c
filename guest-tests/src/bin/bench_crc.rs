//! CRC-32 by table: a load, a table look-up and three dependent operations for each byte.
//@ stdout: checksum b7551be886247d00
//@ bench: rounds=4000
//@ bench-target: 0.25

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::hint::black_box;
use guest_tests::bench::{Checksum, Random, argument};
use guest_tests::check_eq;

guest_tests::entry!(main);

/// The reflected polynomial of CRC-32 (ISO 3309).
const POLYNOMIAL: u32 = 0xedb8_8320;

fn table() -> [u32; 256] {
    core::array::from_fn(|byte| {
        (0..8).fold(byte as u32, |crc, _| crc >> 1 ^ if crc & 1 != 0 { POLYNOMIAL } else { 0 })
    })
}

fn main() {
    let table = black_box(table());
    check_eq!(crc(&table, b"123456789"), 0xcbf4_3926, "the standard's check value");
    let mut random = Random::new(1);
    let text: Vec<u8> = (0..64 << 10).map(|_| random.below(256) as u8).collect();
    let mut checksum = Checksum::default();
    for _ in 0..argument("rounds", 10) {
        checksum.add(crc(&table, black_box(&text)).into());
    }
    checksum.print();
}

#[inline(never)]
fn crc(table: &[u32; 256], bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| crc >> 8 ^ table[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}
