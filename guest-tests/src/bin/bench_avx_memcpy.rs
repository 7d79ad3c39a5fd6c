//! Copying with AVX: loads and stores of 32 bytes, four in a row as memcpy of C libraries has them, from
//! any address to one that is aligned; from two lines to 64 KiB.
//@ stdout: checksum b48e70ccb5d224e0
//@ bench: rounds=60
//@ bench-target: 5.0

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::arch::asm;
use guest_tests::bench::{Checksum, argument};
use guest_tests::cpu::enable_avx;

guest_tests::entry!(main);

const BYTES: usize = 64 << 10;
/// Bytes copied with each length in a round.
const VOLUME: usize = 4 << 20;
/// The lengths, multiples of 128.
const LENGTHS: [usize; 4] = [128, 1536, 4096, BYTES];
/// One word in so many is in the checksum, which is not what is measured.
const SAMPLE: usize = 61;

fn main() {
    enable_avx();
    let from: alloc::vec::Vec<u8> =
        (0..BYTES + 64).map(|index| ((index * 31) >> 3) as u8).collect();
    let mut to = vec![0_u8; BYTES + 64];
    let aligned = to.as_ptr().align_offset(32);
    let mut checksum = Checksum::default();
    for _ in 0..argument("rounds", 1) {
        for length in LENGTHS {
            for turn in 0..VOLUME / length {
                let shift = turn % 33;
                copy(&from[shift..shift + length], &mut to[aligned..aligned + length]);
            }
            for word in to.as_chunks::<8>().0.iter().step_by(SAMPLE) {
                checksum.add(u64::from_le_bytes(*word));
            }
        }
    }
    checksum.print();
}

/// Copies blocks of 128 bytes.
#[inline(never)]
fn copy(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len());
    // SAFETY: both slices have as many bytes, a multiple of 128; AVX has been enabled.
    unsafe {
        asm!(
            "2:",
            "vmovdqu ymm0, [{from} + {at}]",
            "vmovdqu ymm1, [{from} + {at} + 32]",
            "vmovdqu ymm2, [{from} + {at} + 64]",
            "vmovdqu ymm3, [{from} + {at} + 96]",
            "vmovdqu [{to} + {at}], ymm0",
            "vmovdqu [{to} + {at} + 32], ymm1",
            "vmovdqu [{to} + {at} + 64], ymm2",
            "vmovdqu [{to} + {at} + 96], ymm3",
            "add {at}, 128",
            "cmp {at}, {length}",
            "jb 2b",
            "vzeroupper",
            from = in(reg) from.as_ptr(),
            to = in(reg) to.as_mut_ptr(),
            length = in(reg) from.len(),
            at = inout(reg) 0_usize => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
        );
    }
}
