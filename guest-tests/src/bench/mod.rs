//! What the benchmark guests share: how much work the command line asks for, input that is always
//! the same, and a checksum that depends on all of the output.

pub mod matrix;

use crate::boot_info;

/// The number after `name=` on the command line, or `default`: benchmarks are small tests unless
/// they are told to last.
pub fn argument(name: &str, default: u64) -> u64 {
    let mut words = boot_info().command_line().split_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.map_or(default, |value| match value.parse() {
        Ok(number) => number,
        Err(_) => panic!("{name}={value} is not a number"),
    })
}

/// Numbers without an obvious order (Marsaglia's xorshift64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed, which must not be 0.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The high bits of the product: no division.
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}

/// A checksum of numbers in their order.
#[derive(Clone, Debug, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// Takes one more number in.
    pub fn add(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// Ends a benchmark: prints what it has computed.
    pub fn print(&self) {
        crate::println!("checksum {:016x}", self.0);
    }
}
