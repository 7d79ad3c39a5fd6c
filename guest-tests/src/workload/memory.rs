//! `memory`: blocks of several sizes are read or written, one after another or in no order, in a
//! buffer that no cache holds whole, as sysbench's test of the same name does. One event is a
//! mebibyte.

use super::measure::{self, mix};
use super::{Effort, Machine, Report};
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

/// Of 8 bytes each.
const WORDS: usize = 16 << 17;
const EVENT_WORDS: usize = 1 << 17;
const CYCLE: usize = 16;

/// A variant: name, words in a block, whether blocks follow each other, and whether they are written.
type Variant = (&'static str, usize, bool, bool);

const VARIANTS: &[Variant] = &[
    ("memory.read.sequential.1K", 1 << 7, true, false),
    ("memory.read.sequential.64K", 1 << 13, true, false),
    ("memory.read.random.1K", 1 << 7, false, false),
    ("memory.read.random.64K", 1 << 13, false, false),
    ("memory.write.sequential.1K", 1 << 7, true, true),
    ("memory.write.sequential.64K", 1 << 13, true, true),
    ("memory.write.random.1K", 1 << 7, false, true),
    ("memory.write.random.64K", 1 << 13, false, true),
];

pub(super) fn run(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let effort = Effort { duration_ns: effort.duration_ns / VARIANTS.len() as u64, ..effort };
    let mut buffer: Vec<u64> = vec![0; WORDS];
    let variant = |&(name, block, sequential, write): &Variant| {
        (0..).zip(&mut buffer).for_each(|(index, word)| *word = mix(index));
        measure::in_user_mode(machine, effort, name, CYCLE, |number| {
            let mut value = number as u64;
            for part in 0..EVENT_WORDS / block {
                let index = number * (EVENT_WORDS / block) + part;
                let place = if sequential { index } else { mix(index as u64) as usize };
                let start = place % (WORDS / block) * block;
                let block = &mut buffer[start..start + block];
                if write {
                    // What is written depends on the event alone, so that it repeats.
                    let word = mix(index as u64);
                    black_box(block).fill(word);
                    value = value.wrapping_add(word);
                } else {
                    value =
                        black_box(&*block).iter().fold(value, |sum, word| sum.wrapping_add(*word));
                }
            }
            value
        })
    };
    VARIANTS.iter().map(variant).collect()
}
