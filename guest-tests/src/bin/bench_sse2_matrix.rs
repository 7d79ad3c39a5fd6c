//! A product of matrices in SSE2: packed double-precision multiplications and additions, with loads
//! and stores of 16 bytes; then the same in single precision.
//@ stdout: checksum 4a40fce5ff12b358
//@ bench: rounds=50
//@ bench-target: 3.0

#![no_std]
#![no_main]

use core::arch::x86_64::*;
use guest_tests::bench::matrix::{self, SIZE};

guest_tests::entry!(main);

fn main() {
    matrix::run(
        // SAFETY: every x86-64 processor has SSE2, and the runtime has switched it on.
        |left, right, product| unsafe { double(left, right, product) },
        // SAFETY: the same.
        |left, right, product| unsafe { single(left, right, product) },
    );
}

#[target_feature(enable = "sse2")]
#[inline(never)]
fn double(left: &[f64], right: &[f64], product: &mut [f64]) {
    for (row, out) in left.chunks_exact(SIZE).zip(product.chunks_exact_mut(SIZE)) {
        for (column, out) in out.chunks_exact_mut(2).enumerate() {
            let mut sum = _mm_setzero_pd();
            for (factor, line) in row.iter().zip(right.chunks_exact(SIZE)) {
                // SAFETY: two numbers of `line`, whose length is even.
                let pair = unsafe { _mm_loadu_pd(line.as_ptr().add(2 * column)) };
                sum = _mm_add_pd(sum, _mm_mul_pd(_mm_set1_pd(*factor), pair));
            }
            // SAFETY: `out` has two numbers.
            unsafe { _mm_storeu_pd(out.as_mut_ptr(), sum) };
        }
    }
}

#[target_feature(enable = "sse2")]
#[inline(never)]
fn single(left: &[f32], right: &[f32], product: &mut [f32]) {
    for (row, out) in left.chunks_exact(SIZE).zip(product.chunks_exact_mut(SIZE)) {
        for (column, out) in out.chunks_exact_mut(4).enumerate() {
            let mut sum = _mm_setzero_ps();
            for (factor, line) in row.iter().zip(right.chunks_exact(SIZE)) {
                // SAFETY: four numbers of `line`, whose length is a multiple of four.
                let four = unsafe { _mm_loadu_ps(line.as_ptr().add(4 * column)) };
                sum = _mm_add_ps(sum, _mm_mul_ps(_mm_set1_ps(*factor), four));
            }
            // SAFETY: `out` has four numbers.
            unsafe { _mm_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
}
