//! Pointer chasing through memory in pages of 4 KiB: each load gives the next one's address, in an
//! order that no cache and no TLB can guess. 64 MiB when it is measured, 1 MiB as a test.
//@ stdout: checksum 2a040bab482e6140
//@ bench: mib=64 rounds=14
//@ bench-target: 0.25

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::hint::black_box;
use guest_tests::bench::{Checksum, Random, argument};
use guest_tests::paging::{self, KERNEL, Level, PAGE, TEST_AREA};

guest_tests::entry!(main);

/// Bytes from one node to the next: a cache line.
const NODE: u64 = 64;
/// Loads in a round.
const STEPS: u64 = 500_000;

fn main() {
    let bytes = argument("mib", 1) << 20;
    map(bytes);
    link(bytes / NODE);
    let mut checksum = Checksum::default();
    let mut place = TEST_AREA as *const u64;
    for _ in 0..argument("rounds", 1) {
        place = chase(black_box(place));
        checksum.add(place as u64);
    }
    checksum.print();
}

fn map(bytes: u64) {
    let physical = paging::frames(bytes / PAGE, PAGE);
    for offset in (0..bytes).step_by(PAGE as usize) {
        paging::map(TEST_AREA + offset, physical + offset, Level::Page4K, KERNEL);
    }
}

/// Links all nodes in one circle (Sattolo's shuffle).
fn link(nodes: u64) {
    let mut random = Random::new(1);
    let mut order: Vec<u32> = (0..nodes as u32).collect();
    for last in (1..nodes).rev() {
        order.swap(last as usize, random.below(last) as usize);
    }
    for (node, &next) in order.iter().enumerate() {
        let node = (TEST_AREA + node as u64 * NODE) as *mut u64;
        // SAFETY: within the pages mapped above, which nothing else uses.
        unsafe { node.write(TEST_AREA + u64::from(next) * NODE) };
    }
}

#[inline(never)]
fn chase(mut place: *const u64) -> *const u64 {
    for _ in 0..STEPS {
        // SAFETY: every node holds the address of a node.
        place = unsafe { place.read() } as *const u64;
    }
    place
}
