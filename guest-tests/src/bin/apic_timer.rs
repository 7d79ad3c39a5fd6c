//! The local APIC's timer: one shot fires once and leaves the count at zero, periodic fires again and
//! again, a mask holds it back, and zero stops it (SDM, APIC Timer).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::apic::register::{CURRENT_COUNT, DIVIDE, INITIAL_COUNT, LVT_TIMER};
use guest_tests::device::{apic, halt_until, pit};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const VECTOR: u8 = 0x41;
static TICKS: AtomicU32 = AtomicU32::new(0);

fn tick(_: &mut Frame) {
    TICKS.fetch_add(1, Relaxed);
    apic::end_of_interrupt();
}

fn main() {
    apic::init();
    set_handler(VECTOR, tick);
    apic::write(DIVIDE, apic::BY_ONE);
    apic::write(LVT_TIMER, VECTOR.into());
    apic::write(INITIAL_COUNT, 100_000);
    halt_until(|| TICKS.load(Relaxed) == 1);
    check_eq!(apic::read(CURRENT_COUNT), 0, "the count after one shot");

    apic::write(LVT_TIMER, u32::from(VECTOR) | apic::PERIODIC);
    apic::write(INITIAL_COUNT, 100_000);
    halt_until(|| TICKS.load(Relaxed) >= 6);
    let count = apic::read(CURRENT_COUNT);
    assert!(count <= 100_000, "the count of a periodic timer is {count}");

    apic::write(LVT_TIMER, u32::from(VECTOR) | apic::PERIODIC | apic::MASKED);
    let before = TICKS.load(Relaxed);
    quiet();
    assert!(TICKS.load(Relaxed) <= before + 1, "ticks while the entry is masked");
    apic::write(LVT_TIMER, u32::from(VECTOR) | apic::PERIODIC);
    apic::write(INITIAL_COUNT, 0);
    quiet();
    let before = TICKS.load(Relaxed);
    quiet();
    check_eq!(TICKS.load(Relaxed), before, "ticks with an initial count of zero");
}

/// Some milliseconds with interrupts on.
fn quiet() {
    x86_64::instructions::interrupts::enable();
    pit::wait(5000);
    x86_64::instructions::interrupts::disable();
}
