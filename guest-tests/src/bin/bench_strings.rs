//! String instructions: REP STOS and REP MOVS in all widths, from a cache line to 64 KiB, upwards
//! and downwards, aligned and not; what a kernel clears and copies.
//@ stdout: checksum 55ff2c2003d0099b
//@ bench: rounds=150
//@ bench-target: 3.0

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::arch::asm;
use guest_tests::bench::{Checksum, argument};

guest_tests::entry!(main);

const BYTES: usize = 64 << 10;
/// Bytes filled and copied with each length in a round.
const VOLUME: usize = 1 << 20;
/// The lengths: of a line, a name, a page, a buffer.
const LENGTHS: [usize; 5] = [64, 200, 1500, 4096, BYTES];

fn main() {
    let mut from = vec![0u8; BYTES + 8];
    let mut to = vec![0u8; BYTES + 8];
    let mut checksum = Checksum::default();
    for round in 0..argument("rounds", 1) {
        for length in LENGTHS {
            for turn in 0..VOLUME / length {
                let shift = turn % 8;
                let value = round.wrapping_mul(0x0101_0101_0101_0101) ^ turn as u64;
                fill(&mut from[shift..shift + length], value);
                copy(&from[shift..shift + length], &mut to[7 - shift..7 - shift + length], turn);
            }
            checksum.add(sum(&to));
        }
    }
    checksum.print();
}

/// All whole quadwords with STOSQ, the rest with STOSB.
fn fill(bytes: &mut [u8], value: u64) {
    // SAFETY: writes as many bytes as the slice has.
    unsafe {
        asm!(
            "rep stosq",
            "mov rcx, {rest}",
            "rep stosb",
            rest = in(reg) bytes.len() % 8,
            inout("rcx") bytes.len() / 8 => _,
            inout("rdi") bytes.as_mut_ptr() => _,
            in("rax") value,
            options(nostack, preserves_flags),
        );
    }
}

/// With MOVSB, MOVSW, MOVSD and MOVSQ by turns, and every eighth time downwards.
fn copy(from: &[u8], to: &mut [u8], turn: usize) {
    let length = from.len().min(to.len());
    macro_rules! copy {
        ($instruction:literal, $width:literal) => {
            // SAFETY: reads and writes at most `length` bytes of either slice.
            unsafe {
                asm!($instruction,
                    inout("rcx") length / $width => _,
                    inout("rsi") from.as_ptr() => _,
                    inout("rdi") to.as_mut_ptr() => _,
                    options(nostack, preserves_flags))
            }
        };
    }
    match turn % 8 {
        0 | 4 => copy!("rep movsb", 1),
        1 => copy!("rep movsw", 2),
        2 | 6 => copy!("rep movsd", 4),
        // SAFETY: as above, from the last byte down to the first.
        7 => unsafe {
            asm!("std", "rep movsb", "cld",
                inout("rcx") length => _,
                inout("rsi") from.as_ptr().wrapping_add(length - 1) => _,
                inout("rdi") to.as_mut_ptr().wrapping_add(length - 1) => _,
                options(nostack))
        },
        _ => copy!("rep movsq", 8),
    }
}

/// One byte in 61, so that the sum costs little beside the strings.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(61).fold(0, |sum: u64, &byte| sum.wrapping_mul(31) + u64::from(byte))
}
