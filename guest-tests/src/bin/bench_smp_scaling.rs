//! Independent work on every processor: each computes as much as one alone does, on registers and on
//! memory of its own. With as many host processors, it takes no longer; prints how often the work
//! was done.
//!
//! The words `work=N` say how much each one does.
//@ cpus: 2
//@ bench: work=60000

#![no_std]
#![no_main]

extern crate alloc;

use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::smp::{self, wait_until};
use guest_tests::{bench, check_eq, println};

guest_tests::entry!(main);

/// Words that each processor's part works on.
const WORDS: usize = 1024;

static DONE: AtomicU32 = AtomicU32::new(0);

/// A generator's numbers, scattered over the processor's own memory and summed up again.
fn work() -> u64 {
    let mut memory = alloc::vec![0_u64; WORDS];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..bench::argument("work", 100) {
        for _ in 0..WORDS {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let word = &mut memory[state as usize % WORDS];
            *word = word.wrapping_add(state);
        }
        black_box(&mut memory);
    }
    memory.iter().fold(state, |sum, word| sum.wrapping_add(*word))
}

fn processor(_: usize) {
    black_box(work());
    DONE.fetch_add(1, Ordering::AcqRel);
}

fn main() {
    smp::start_all(processor);
    processor(0);
    wait_until(|| DONE.load(Ordering::Acquire) as usize == smp::count());
    check_eq!(DONE.load(Ordering::Acquire) as usize, smp::count());
    println!("done {} times", smp::count());
}
