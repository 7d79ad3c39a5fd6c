//! 24 processors pass barriers at which they spin, with PAUSE: more of them than hosts of tests have,
//! so who spins must let others go on.
//@ cpus: 24
//@ qemu: skip: two of its processors spin as long as the host lets them, which takes minutes

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::check_eq;
use guest_tests::smp::{self, wait_until};

guest_tests::entry!(main);

const ROUNDS: u32 = 50;

static ARRIVED: AtomicU32 = AtomicU32::new(0);

fn processor(_: usize) {
    let count = smp::count() as u32;
    for round in 1..=ROUNDS {
        ARRIVED.fetch_add(1, Ordering::AcqRel);
        wait_until(|| ARRIVED.load(Ordering::Acquire) >= round * count);
    }
}

fn main() {
    smp::start_all(processor);
    processor(0);
    check_eq!(ARRIVED.load(Ordering::Acquire), ROUNDS * smp::count() as u32);
}
