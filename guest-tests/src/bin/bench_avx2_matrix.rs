//! A product of matrices in AVX2 and FMA: fused multiplications and additions of four doubles and of
//! eight singles, with broadcasts of one factor and loads and stores of 32 bytes.
//@ stdout: checksum 31dec12693f2254c
//@ bench: rounds=50
//@ bench-target: 5.0

#![no_std]
#![no_main]

use core::arch::x86_64::*;
use guest_tests::bench::matrix::{self, SIZE};
use guest_tests::cpu::enable_avx;

guest_tests::entry!(main);

fn main() {
    enable_avx();
    matrix::run(
        // SAFETY: AVX has been enabled, and the processor has AVX2 and FMA with it.
        |left, right, product| unsafe { double(left, right, product) },
        // SAFETY: the same.
        |left, right, product| unsafe { single(left, right, product) },
    );
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn double(left: &[f64], right: &[f64], product: &mut [f64]) {
    for (row, out) in left.chunks_exact(SIZE).zip(product.chunks_exact_mut(SIZE)) {
        for (column, out) in out.chunks_exact_mut(4).enumerate() {
            let mut sum = _mm256_setzero_pd();
            for (factor, line) in row.iter().zip(right.chunks_exact(SIZE)) {
                // SAFETY: four numbers of `line`, whose length is a multiple of four.
                let four = unsafe { _mm256_loadu_pd(line.as_ptr().add(4 * column)) };
                sum = _mm256_fmadd_pd(_mm256_set1_pd(*factor), four, sum);
            }
            // SAFETY: `out` has four numbers.
            unsafe { _mm256_storeu_pd(out.as_mut_ptr(), sum) };
        }
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn single(left: &[f32], right: &[f32], product: &mut [f32]) {
    for (row, out) in left.chunks_exact(SIZE).zip(product.chunks_exact_mut(SIZE)) {
        for (column, out) in out.chunks_exact_mut(8).enumerate() {
            let mut sum = _mm256_setzero_ps();
            for (factor, line) in row.iter().zip(right.chunks_exact(SIZE)) {
                // SAFETY: eight numbers of `line`, whose length is a multiple of eight.
                let eight = unsafe { _mm256_loadu_ps(line.as_ptr().add(8 * column)) };
                sum = _mm256_fmadd_ps(_mm256_set1_ps(*factor), eight, sum);
            }
            // SAFETY: `out` has eight numbers.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
}
