//! A kernel that lives on `alloc` and `core::fmt`: trees, strings, sorting, numbers of all kinds. What it
//! prints was worked out by the same code on a host, so any wrong instruction shows.
//@ stdout: trees      16555 bytes, checksum efe2c591eb1238fe
//@ stdout: sorting   234892 bytes, checksum c068fccd71332163
//@ stdout: queues      2173 bytes, checksum af867e6c5064fea0
//@ stdout: numbers   363271 bytes, checksum 871d9273454f4632
//@ stdout: parsing      222 bytes, checksum 904d322904fd1baa
//@ stdout: [Ok(0.1), Ok(1e-308), Ok(123456789.125), Ok(6.02214076e23), Ok(-5e-324), Ok(inf)] [Ok(-32768), Err(ParseIntError { kind: PosOverflow }), Err(ParseIntError { kind: Empty }), Ok(7), Err(ParseIntError { kind: InvalidDigit })]
//@ stdout: [1.5, -0.0]    3.250|left    |  mid   |   right

#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::{BTreeMap, BinaryHeap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{boxed::Box, format, vec};
use core::cmp::Reverse;
use core::fmt::Write;
use guest_tests::println;

guest_tests::entry!(main);

/// Marsaglia's xorshift: the same numbers everywhere.
struct Random(u64);

impl Iterator for Random {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(self.0)
    }
}

/// FNV-1a.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn trees() -> String {
    let mut words = BTreeMap::<String, Vec<usize>>::new();
    for (index, number) in Random(1).take(5000).enumerate() {
        words.entry(format!("{:x}", number % 997)).or_default().push(index);
    }
    for key in (0..997).step_by(3) {
        words.remove(&format!("{key:x}"));
    }
    let mut text = String::new();
    for (word, places) in words.range("2".to_string()..) {
        let _ = write!(text, "{word}:{places:?};");
    }
    text
}

fn sorting() -> String {
    let mut numbers: Vec<u64> = Random(2).take(20_000).collect();
    numbers.sort_unstable();
    numbers.dedup_by_key(|number| *number >> 50);
    let mut names: Vec<Box<str>> = numbers.iter().map(|number| number.to_string().into()).collect();
    names.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    names.join(",")
}

fn queues() -> String {
    let mut heap: BinaryHeap<Reverse<u64>> = Random(3).take(3000).map(Reverse).collect();
    let mut queue = VecDeque::new();
    while let Some(Reverse(number)) = heap.pop() {
        queue.push_back(number);
        if queue.len() > 100 {
            let first = queue.pop_front().unwrap_or_default();
            if first % 5 == 0 {
                heap.push(Reverse((first / 3) | 1));
            }
        }
    }
    format!("{queue:?}")
}

fn numbers() -> String {
    let mut text = String::new();
    for number in Random(4).take(2000) {
        let float = (number as i64) as f64 / (1_u64 << (number % 60)) as f64;
        let single = f32::from_bits(number as u32 & 0x7f7f_ffff);
        let _ = writeln!(
            text,
            "{number:>22} {number:#018x} {number:b} {:e} {float:.3} {single:?} {:?} {:+}",
            float,
            char::from_u32(number as u32 & 0x1_ffff),
            number as i32,
        );
    }
    text
}

fn parsing() -> String {
    let floats = ["0.1", "1e-308", "123456789.125", "6.02214076e23", "-4.9e-324", "1e400"];
    let parsed: Vec<Result<f64, _>> = floats.iter().map(|text| text.parse::<f64>()).collect();
    let integers: Vec<Result<i16, _>> =
        ["-32768", "32768", "", "+7", "x"].iter().map(|text| text.parse::<i16>()).collect();
    format!("{parsed:?} {integers:?}")
}

type Part = fn() -> String;

fn main() {
    let parts: [(&str, Part); 5] = [
        ("trees", trees),
        ("sorting", sorting),
        ("queues", queues),
        ("numbers", numbers),
        ("parsing", parsing),
    ];
    for (name, part) in parts {
        let text = part();
        println!("{name:<8} {:>7} bytes, checksum {:016x}", text.len(), checksum(&text));
    }
    println!("{}", parsing());
    println!("{:?} {:8.3}|{:<8}|{:^8}|{:>8}", vec![1.5_f32, -0.0], 3.25, "left", "mid", "right");
}
