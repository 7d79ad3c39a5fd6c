//! Searching text with SSE4.2's string comparisons: for any of a set of characters, for characters outside
//! ranges, and for a word.
//@ stdout: checksum 7c78e9ab0250fdf8
//@ bench: rounds=700
//@ bench-target: 5.0

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::arch::x86_64::*;
use core::hint::black_box;
use guest_tests::bench::{Checksum, Random, argument};

guest_tests::entry!(main);

const TEXT: usize = 64 << 10;
const STEP: usize = 16;

fn main() {
    let mut random = Random::new(3);
    let text: Vec<u8> =
        (0..TEXT).map(|_| b"etaoinshrdlu  cmfwyp"[random.below(20) as usize]).collect();
    let mut checksum = Checksum::default();
    for _ in 0..argument("rounds", 1) {
        // SAFETY: the processor has SSE4.2, and the runtime has switched SSE on.
        unsafe {
            checksum.add(any_of(black_box(&text), b"qxz,.;:!?"));
            checksum.add(outside(black_box(&text), b"az  "));
            checksum.add(word(black_box(&text), b"thin"));
        }
    }
    checksum.print();
}

#[target_feature(enable = "sse2")]
fn padded(bytes: &[u8]) -> __m128i {
    let mut padded = [0_u8; STEP];
    padded[..bytes.len()].copy_from_slice(bytes);
    // SAFETY: 16 bytes.
    unsafe { _mm_loadu_si128(padded.as_ptr().cast()) }
}

/// How many characters are in the set.
#[target_feature(enable = "sse4.2")]
#[inline(never)]
fn any_of(text: &[u8], set: &[u8]) -> u64 {
    let set = padded(set);
    let mut found = 0;
    for chunk in text.chunks_exact(STEP) {
        // SAFETY: the chunk has 16 bytes.
        let chunk = unsafe { _mm_loadu_si128(chunk.as_ptr().cast()) };
        if _mm_cmpistrc::<_SIDD_CMP_EQUAL_ANY>(set, chunk) != 0 {
            found += 1 + _mm_cmpistri::<_SIDD_CMP_EQUAL_ANY>(set, chunk) as u64;
        }
    }
    found
}

/// How many characters are in none of the ranges.
#[target_feature(enable = "sse4.2")]
#[inline(never)]
fn outside(text: &[u8], ranges: &[u8]) -> u64 {
    const MODE: i32 = _SIDD_CMP_RANGES | _SIDD_NEGATIVE_POLARITY;
    let (length, ranges) = (ranges.len() as i32, padded(ranges));
    let mut places = 0;
    for chunk in text.chunks_exact(STEP) {
        // SAFETY: the chunk has 16 bytes.
        let chunk = unsafe { _mm_loadu_si128(chunk.as_ptr().cast()) };
        places += _mm_cmpestri::<MODE>(ranges, length, chunk, STEP as i32) as u64;
    }
    places
}

/// The sum of the places where the word begins.
#[target_feature(enable = "sse4.2")]
#[inline(never)]
fn word(text: &[u8], word: &[u8]) -> u64 {
    let (length, pattern) = (word.len(), padded(word));
    let (mut at, mut sum) = (0, 0);
    while at + STEP <= text.len() {
        // SAFETY: 16 bytes of the text.
        let chunk = unsafe { _mm_loadu_si128(text.as_ptr().add(at).cast()) };
        let place = _mm_cmpistri::<_SIDD_CMP_EQUAL_ORDERED>(pattern, chunk) as usize;
        if place + length <= STEP {
            sum += (at + place) as u64;
            at += place + 1;
        } else {
            at += place.min(STEP - length + 1);
        }
    }
    sum
}
