//! The I/O APIC brings the PIT's interrupt, which is its pin 2, to the vector of the redirection entry;
//! a masked entry brings nothing; the serial port's comes on pin 4 (82093AA; ACPI's interrupt overrides).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::serial::{IDENTIFICATION, INTERRUPT_ENABLE, INTERRUPT_OUT, MODEM_CONTROL};
use guest_tests::device::{apic, halt_until, io_apic, pic, pit, port};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const TIMER: u8 = 0x51;
const SERIAL: u8 = 0x52;
static TICKS: AtomicU32 = AtomicU32::new(0);
static TRANSMITTED: AtomicU32 = AtomicU32::new(0);

fn tick(_: &mut Frame) {
    TICKS.fetch_add(1, Relaxed);
    apic::end_of_interrupt();
}

fn transmitted(_: &mut Frame) {
    // Reading the identification ends a transmitter's request.
    check_eq!(port::read::<u8>(IDENTIFICATION) & 0xf, 0b0010, "transmitter empty");
    TRANSMITTED.fetch_add(1, Relaxed);
    port::write::<u8>(INTERRUPT_ENABLE, 0);
    apic::end_of_interrupt();
}

fn main() {
    // The PIC first: what firmware left pending there still finds its way out through LINT0.
    pic::init();
    apic::init();
    set_handler(TIMER, tick);
    set_handler(SERIAL, transmitted);
    let entries = io_apic::read(io_apic::VERSION) >> 16 & 0xff;
    check_eq!(entries, 23, "the last redirection entry");

    io_apic::redirect(2, TIMER.into());
    check_eq!(io_apic::redirection(2) & 0xff, TIMER.into(), "what was written");
    pit::start(pit::RATE, 1193);
    halt_until(|| TICKS.load(Relaxed) >= 3);
    io_apic::redirect(2, u64::from(TIMER) | io_apic::MASKED);
    let before = TICKS.load(Relaxed);
    x86_64::instructions::interrupts::enable();
    pit::wait(6000);
    x86_64::instructions::interrupts::disable();
    assert!(TICKS.load(Relaxed) <= before + 1, "ticks through a masked entry");

    io_apic::redirect(4, SERIAL.into());
    port::write(MODEM_CONTROL, INTERRUPT_OUT);
    port::write::<u8>(INTERRUPT_ENABLE, 0b10);
    halt_until(|| TRANSMITTED.load(Relaxed) == 1);
}
