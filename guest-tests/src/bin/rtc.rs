//! The real-time clock: a valid time in the format that status B names, memory that keeps what is written,
//! and the periodic interrupt on IRQ 8, which waits for a read of status C (MC146818A).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::cmos::{STATUS_A, STATUS_B, STATUS_C, STATUS_D};
use guest_tests::device::{apic, cmos, halt_until, pic};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const UPDATING: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const PERIODIC: u8 = 1 << 6;
static TICKS: AtomicU32 = AtomicU32::new(0);

fn tick(_: &mut Frame) {
    // The flag rises whether or not the interrupt is on, so the first request may find it taken.
    if cmos::read(STATUS_C) & PERIODIC != 0 {
        TICKS.fetch_add(1, Relaxed);
    }
    pic::end_of_interrupt(8);
}

fn main() {
    check_eq!(cmos::read(STATUS_D) & 0x80, 0x80, "the time is valid");
    while cmos::read(STATUS_A) & UPDATING != 0 {}
    let is_binary = cmos::read(STATUS_B) & BINARY != 0;
    let field = |index: u8| {
        let value = cmos::read(index);
        if is_binary { value } else { (value >> 4) * 10 + (value & 0xf) }
    };
    for (index, range, name) in [
        (0, 0..=59, "seconds"),
        (2, 0..=59, "minutes"),
        (4, 0..=23, "hours"),
        (7, 1..=31, "day"),
        (8, 1..=12, "month"),
        (9, 0..=99, "year"),
    ] {
        let value = field(index);
        assert!(range.contains(&value), "{name}: {value}");
    }
    for value in [0x5a, 0xa5] {
        cmos::write(0x5f, value);
        check_eq!(cmos::read(0x5f), value, "memory");
    }

    apic::init_virtual_wire();
    pic::init();
    set_handler(pic::vector(8), tick);
    // 32768 Hz >> 5: 1024 a second.
    cmos::write(STATUS_A, 0x26);
    cmos::write(STATUS_B, cmos::read(STATUS_B) | PERIODIC);
    cmos::read(STATUS_C);
    pic::unmask(8);
    halt_until(|| TICKS.load(Relaxed) >= 5);
}
