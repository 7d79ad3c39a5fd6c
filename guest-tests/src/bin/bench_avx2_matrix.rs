//! A product of matrices in AVX2 and FMA: fused multiplications and additions of four doubles and of
//! eight singles, with broadcasts of one factor and loads and stores of 32 bytes.
//@ stdout: checksum 31dec12693f2254c
//@ bench: rounds=50
//@ bench-target: 5.0

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::arch::x86_64::*;
use core::hint::black_box;
use guest_tests::bench::{Checksum, Random, argument};
use guest_tests::cpu::enable_avx;

guest_tests::entry!(main);

const SIZE: usize = 96;

fn main() {
    enable_avx();
    let mut random = Random::new(1);
    let mut numbers = || -> Vec<f64> {
        (0..SIZE * SIZE).map(|_| random.below(2000) as f64 / 1000.0 - 1.0).collect()
    };
    let (left, right) = (numbers(), numbers());
    let narrow = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<_>>();
    let (left_single, right_single) = (narrow(&left), narrow(&right));
    let mut product = numbers();
    let mut product_single = narrow(&product);
    let mut checksum = Checksum::default();
    for _ in 0..argument("rounds", 1) {
        // SAFETY: AVX has been enabled, and the processor has AVX2 and FMA with it.
        unsafe {
            double(black_box(&left), black_box(&right), &mut product);
            single(black_box(&left_single), black_box(&right_single), &mut product_single);
        }
        product.iter().for_each(|number| checksum.add(number.to_bits()));
        product_single.iter().for_each(|number| checksum.add(number.to_bits().into()));
    }
    checksum.print();
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
