//! Compiled code as programs are made of it: sorting, hashing, a state machine over text, LZ
//! compression, and a product of matrices, in optimised Rust.
//@ stdout: checksum 42088fc3426b3b7f
//@ bench: rounds=180
//@ bench-target: 0.45

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use guest_tests::bench::{Checksum, Random, argument};
use guest_tests::check_eq;

guest_tests::entry!(main);

fn main() {
    let mut checksum = Checksum::default();
    for round in 0..argument("rounds", 1) {
        let mut random = Random::new(round + 1);
        let text = text(&mut random, 48 << 10);
        checksum.add(sort(&mut random));
        checksum.add(frequencies(&text));
        for count in tokens(&text) {
            checksum.add(count);
        }
        let packed = compress(&text);
        check_eq!(expand(&packed) == text, true, "the text comes back");
        checksum.add(packed.len() as u64);
        checksum.add(product(&mut random));
    }
    checksum.print();
}

/// Words, numbers, strings and punctuation, with the repetitions of real text.
fn text(random: &mut Random, length: usize) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "let",
        "page",
        "while",
        "table",
        "entry",
        "return",
        "x",
        "\"a string\"",
        "// comment\n",
        "match",
        "state",
        "flush",
    ];
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        match random.below(8) {
            0 => text.extend(random.below(100_000).to_ne_bytes().map(|byte| b'0' + byte % 10)),
            1 => text.push(b"+-*/=<>(){};"[random.below(12) as usize]),
            2 => text.push(b'\n'),
            _ => text.extend(WORDS[random.below(12) as usize].bytes()),
        }
        text.push(b' ');
    }
    text
}

/// Quicksort of records by a key of two parts; the sum of distances that the records went.
fn sort(random: &mut Random) -> u64 {
    let mut records: Vec<(u32, u32)> =
        (0..12_000).map(|index| (random.below(5000) as u32, index)).collect();
    quicksort(black_box(&mut records));
    check_eq!(records.is_sorted(), true, "the records are in order");
    let moved = records.iter().zip(0u32..).map(|((_, from), to)| u64::from(from.abs_diff(to)));
    moved.sum()
}

fn quicksort(mut records: &mut [(u32, u32)]) {
    while records.len() > 12 {
        let (middle, last) = (records.len() / 2, records.len() - 1);
        records.swap(middle, last);
        let pivot = records[last];
        let mut boundary = 0;
        for index in 0..last {
            if records[index] < pivot {
                records.swap(index, boundary);
                boundary += 1;
            }
        }
        records.swap(boundary, last);
        let (below, above) = records.split_at_mut(boundary);
        quicksort(below);
        records = &mut above[1..];
    }
    for end in 1..records.len() {
        let mut index = end;
        while index > 0 && records[index - 1] > records[index] {
            records.swap(index - 1, index);
            index -= 1;
        }
    }
}

/// Counts the words of `text` in an open-addressed hash table (FNV-1a).
fn frequencies(text: &[u8]) -> u64 {
    let mut table: Vec<(&[u8], u32)> = vec![(&[], 0); 8192];
    for word in text.split(|&byte| byte == b' ' || byte == b'\n').filter(|word| !word.is_empty()) {
        let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let hash = word.iter().fold(0xcbf2_9ce4_8422_2325, fold);
        let mut slot = hash as usize % table.len();
        while table[slot].1 != 0 && table[slot].0 != word {
            slot = (slot + 1) % table.len();
        }
        table[slot] = (word, table[slot].1 + 1);
    }
    table.iter().enumerate().map(|(slot, (_, count))| slot as u64 ^ u64::from(*count)).sum()
}

/// Splits `text` into tokens with a state machine, and counts each kind: names, numbers, strings,
/// comments, punctuation.
fn tokens(text: &[u8]) -> [u64; 5] {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Between,
        Name,
        Number,
        String,
        Slash,
        Comment,
    }
    let mut counts = [0; 5];
    let mut state = State::Between;
    for &byte in text {
        state = match (state, byte) {
            (State::String, b'"') => State::Between,
            (State::String, _) => State::String,
            (State::Comment, b'\n') => State::Between,
            (State::Comment, _) => State::Comment,
            (State::Slash, b'/') => State::Comment,
            (State::Name, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_') => State::Name,
            (State::Number, b'0'..=b'9' | b'.') => State::Number,
            (_, b'a'..=b'z' | b'A'..=b'Z' | b'_') => State::Name,
            (_, b'0'..=b'9') => State::Number,
            (_, b'"') => State::String,
            (_, b'/') => State::Slash,
            (_, b' ' | b'\n') => State::Between,
            _ => {
                counts[4] += 1;
                State::Between
            }
        };
        // A token's last state counts each of its bytes.
        match state {
            State::Name => counts[0] += 1,
            State::Number => counts[1] += 1,
            State::String => counts[2] += 1,
            State::Comment => counts[3] += 1,
            State::Between | State::Slash => {}
        }
    }
    counts
}

/// Matches are at least this long.
const SHORTEST: usize = 4;

/// LZ77 with a hash table of recent places: a literal is 0 and a byte, a match its length and its
/// distance.
fn compress(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(text.len());
    let mut recent = vec![usize::MAX; 4096];
    let mut place = 0;
    while place < text.len() {
        let mut length = 0;
        let mut distance = 0;
        if let Some(&[a, b, c, d]) = text[place..].first_chunk::<SHORTEST>() {
            let hash = u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1) >> 20;
            let before = core::mem::replace(&mut recent[hash as usize], place);
            if before < place && place - before < 1 << 16 {
                distance = place - before;
                let same = text[place..].iter().zip(&text[before..]).take(255);
                length = same.take_while(|(new, old)| new == old).count();
            }
        }
        if length >= SHORTEST {
            packed.push(length as u8);
            packed.extend((distance as u16).to_le_bytes());
            place += length;
        } else {
            packed.extend([0, text[place]]);
            place += 1;
        }
    }
    packed
}

fn expand(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(packed.len() * 4);
    let mut rest = packed;
    loop {
        match *rest {
            [0, byte, ref after @ ..] => {
                text.push(byte);
                rest = after;
            }
            [length, low, high, ref after @ ..] => {
                let start = text.len() - usize::from(u16::from_le_bytes([low, high]));
                for index in start..start + usize::from(length) {
                    text.push(text[index]);
                }
                rest = after;
            }
            _ => return text,
        }
    }
}

/// A product of matrices of integers modulo 2^32.
fn product(random: &mut Random) -> u64 {
    const SIZE: usize = 64;
    let mut matrix = || -> [[u32; SIZE]; SIZE] {
        core::array::from_fn(|_| core::array::from_fn(|_| random.below(1 << 32) as u32))
    };
    let (left, right) = (matrix(), matrix());
    let mut trace: u64 = 0;
    for row in black_box(&left) {
        for column in 0..SIZE {
            let terms = row.iter().zip(black_box(&right));
            let sum = terms.fold(0, |sum: u32, (factor, line)| {
                sum.wrapping_add(factor.wrapping_mul(line[column]))
            });
            trace = trace.rotate_left(1).wrapping_add(sum.into());
        }
    }
    trace
}
