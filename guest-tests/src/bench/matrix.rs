//! What the benchmarks of matrix products share: the factors, the rounds, and the products' checksum.

use super::{Checksum, Random, argument};
use alloc::vec::Vec;
use core::hint::black_box;

/// Rows, and columns, of all matrices.
pub const SIZE: usize = 96;

/// Multiplies two matrices into a third.
pub type Product<T> = fn(&[T], &[T], &mut [T]);

/// Does both as often as the command line asks for, and prints a checksum of all products.
pub fn run(double: Product<f64>, single: Product<f32>) {
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
        double(black_box(&left), black_box(&right), &mut product);
        single(black_box(&left_single), black_box(&right_single), &mut product_single);
        product.iter().for_each(|number| checksum.add(number.to_bits()));
        product_single.iter().for_each(|number| checksum.add(number.to_bits().into()));
    }
    checksum.print();
}
