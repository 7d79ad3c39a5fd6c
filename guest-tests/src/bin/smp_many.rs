//! 64 processors start, each sends one interrupt to its neighbour round and round, and all pass a
//! barrier at which they spin: more of them than any host of tests has.
//@ cpus: 64
//@ stdout: 64 processors

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::device::apic;
use guest_tests::device::halt_until;
use guest_tests::interrupt::set_handler;
use guest_tests::smp::{self, wait_until};
use guest_tests::{Frame, check_eq, println};

guest_tests::entry!(main);

const COUNT: usize = 64;
const ROUNDS: u32 = 4;
const VECTOR: u8 = 0x70;

static RECEIVED: [AtomicU32; COUNT] = [const { AtomicU32::new(0) }; COUNT];
static ARRIVED: AtomicU32 = AtomicU32::new(0);

fn receive(_: &mut Frame) {
    RECEIVED[smp::number()].fetch_add(1, Ordering::AcqRel);
    apic::end_of_interrupt();
}

/// Waits until all processors have come as far.
fn barrier(round: u32) {
    ARRIVED.fetch_add(1, Ordering::AcqRel);
    wait_until(|| ARRIVED.load(Ordering::Acquire) >= round * COUNT as u32);
}

fn processor(number: usize) {
    for round in 1..=ROUNDS {
        barrier(round);
        // The first one begins, and each passes on what it has received.
        if number != 0 {
            halt_until(|| RECEIVED[number].load(Ordering::Acquire) == round);
        }
        apic::send_to(smp::ids()[(number + 1) % COUNT], VECTOR.into());
        if number == 0 {
            halt_until(|| RECEIVED[0].load(Ordering::Acquire) == round);
        }
    }
    barrier(ROUNDS + 1);
}

fn main() {
    println!("{} processors", smp::count());
    check_eq!(smp::count(), COUNT);
    set_handler(VECTOR, receive);
    smp::start_all(processor);
    processor(0);
    assert!(RECEIVED.iter().all(|received| received.load(Ordering::Acquire) == ROUNDS));
}
