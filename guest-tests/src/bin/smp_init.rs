//! INIT stops a processor wherever it is, asleep or in a loop with interrupts off; a start-up IPI then
//! starts it anew, at the page that it names, and is ignored by one that runs (SDM, MP
//! Initialization Protocol).
//@ cpus: 2

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use guest_tests::device::apic::{self, send_to};
use guest_tests::smp::{self, wait_until};
use guest_tests::{check_eq, exit};
use x86_64::instructions::interrupts;

guest_tests::entry!(main);

static STARTS: AtomicU32 = AtomicU32::new(0);
static TICKS: AtomicU32 = AtomicU32::new(0);
static DEAF: AtomicBool = AtomicBool::new(false);

/// Counts without end; interrupts are off after a start.
fn count(_: usize) {
    STARTS.fetch_add(1, Ordering::AcqRel);
    assert!(!interrupts::are_enabled(), "interrupts are on after a start");
    loop {
        TICKS.fetch_add(1, Ordering::AcqRel);
    }
}

fn sleep(_: usize) {
    STARTS.fetch_add(1, Ordering::AcqRel);
    DEAF.store(true, Ordering::Release);
    exit::halt();
}

fn ticks() -> u32 {
    TICKS.load(Ordering::Acquire)
}

fn wait_for_ticks() {
    let before = ticks();
    wait_until(|| ticks().wrapping_sub(before) > 1000);
}

fn main() {
    let id = smp::ids()[1];
    smp::start_all(sleep);
    wait_until(|| DEAF.load(Ordering::Acquire));
    for round in 1..20 {
        smp::start(1, count);
        wait_for_ticks();
        check_eq!(STARTS.load(Ordering::Acquire), round + 1, "starts");
        send_to(id, apic::START_UP | smp::START_UP_VECTOR);
        wait_for_ticks();
        check_eq!(STARTS.load(Ordering::Acquire), round + 1, "starts of one that runs");

        send_to(id, apic::INIT | apic::ASSERT);
        // It has stopped when what is read twice, long after each other, is the same.
        wait_until(|| {
            let before = ticks();
            (0..20_000).for_each(|_| core::hint::spin_loop());
            ticks() == before
        });
    }
    // A level de-assert is no INIT, and a start-up IPI starts only one that waits.
    smp::start(1, count);
    send_to(id, apic::INIT | 1 << 15);
    wait_for_ticks();
}
