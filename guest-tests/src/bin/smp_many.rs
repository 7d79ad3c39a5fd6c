//! 64 processors start, and an interrupt goes from each to its neighbour, round and round; whoever
//! waits for it sleeps.
//@ cpus: 64
//@ stdout: 64 processors

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::device::apic;
use guest_tests::device::halt_until;
use guest_tests::interrupt::set_handler;
use guest_tests::smp;
use guest_tests::{Frame, check_eq, println};

guest_tests::entry!(main);

const COUNT: usize = 64;
const ROUNDS: u32 = 4;
const VECTOR: u8 = 0x70;

static RECEIVED: [AtomicU32; COUNT] = [const { AtomicU32::new(0) }; COUNT];

fn receive(_: &mut Frame) {
    RECEIVED[smp::number()].fetch_add(1, Ordering::AcqRel);
    apic::end_of_interrupt();
}

fn processor(number: usize) {
    for round in 1..=ROUNDS {
        // The first one begins, and each passes on what it has received.
        if number != 0 {
            halt_until(|| RECEIVED[number].load(Ordering::Acquire) == round);
        }
        apic::send_to(smp::ids()[(number + 1) % COUNT], VECTOR.into());
        if number == 0 {
            halt_until(|| RECEIVED[0].load(Ordering::Acquire) == round);
        }
    }
}

fn main() {
    println!("{} processors", smp::count());
    check_eq!(smp::count(), COUNT);
    set_handler(VECTOR, receive);
    smp::start_all(processor);
    processor(0);
    assert!(RECEIVED.iter().all(|received| received.load(Ordering::Acquire) == ROUNDS));
}
