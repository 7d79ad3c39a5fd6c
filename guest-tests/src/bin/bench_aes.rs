//! AES-128 in counter mode with the processor's instructions: four blocks at a time, and the expansion of
//! a key for each message.
//@ stdout: checksum 9e19a376e7c7da9f
//@ bench: rounds=3000
//@ bench-target: 5.0

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::arch::x86_64::*;
use guest_tests::bench::{Checksum, argument};

guest_tests::entry!(main);

const BLOCK: usize = 16;
const MESSAGE: usize = 16 << 10;
const ROUNDS: usize = 10;
/// One word in so many is in the checksum, which is not what is measured.
const SAMPLE: usize = 61;

type Keys = [__m128i; ROUNDS + 1];

fn main() {
    let mut message = vec![0_u8; MESSAGE];
    let mut checksum = Checksum::default();
    for round in 0..argument("rounds", 1) {
        // SAFETY: the processor has AES, and the runtime has switched SSE on.
        unsafe {
            let keys = expand(_mm_set_epi64x(round as i64, 0x0123_4567_89ab_cdef));
            encrypt(&keys, &mut message);
        }
        for word in message.as_chunks::<8>().0.iter().step_by(SAMPLE) {
            checksum.add(u64::from_le_bytes(*word));
        }
    }
    checksum.print();
}

#[target_feature(enable = "aes,sse2")]
fn expand(key: __m128i) -> Keys {
    let mut keys = [key; ROUNDS + 1];
    macro_rules! next {
        ($($round:literal: $constant:literal),*) => {
            $(keys[$round] = step(
                keys[$round - 1],
                _mm_aeskeygenassist_si128::<$constant>(keys[$round - 1]),
            );)*
        };
    }
    next!(1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 64, 8: 128, 9: 0x1b, 10: 0x36);
    keys
}

#[target_feature(enable = "sse2")]
fn step(key: __m128i, generated: __m128i) -> __m128i {
    let generated = _mm_shuffle_epi32::<0xff>(generated);
    let key = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
    let key = _mm_xor_si128(key, _mm_slli_si128::<8>(key));
    _mm_xor_si128(key, generated)
}

/// Adds the key stream to `message`.
#[target_feature(enable = "aes,sse2")]
#[inline(never)]
fn encrypt(keys: &Keys, message: &mut [u8]) {
    for (index, blocks) in message.chunks_exact_mut(4 * BLOCK).enumerate() {
        let counter = |lane: i64| _mm_set_epi64x(lane, 4 * index as i64);
        let mut state = [counter(0), counter(1), counter(2), counter(3)];
        for lane in &mut state {
            *lane = _mm_xor_si128(*lane, keys[0]);
        }
        for key in &keys[1..ROUNDS] {
            for lane in &mut state {
                *lane = _mm_aesenc_si128(*lane, *key);
            }
        }
        for (lane, block) in state.iter().zip(blocks.chunks_exact_mut(BLOCK)) {
            let stream = _mm_aesenclast_si128(*lane, keys[ROUNDS]);
            // SAFETY: the block has 16 bytes.
            unsafe {
                let text = _mm_loadu_si128(block.as_ptr().cast());
                _mm_storeu_si128(block.as_mut_ptr().cast(), _mm_xor_si128(text, stream));
            }
        }
    }
}
