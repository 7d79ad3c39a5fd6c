//! The I/O APIC brings the PIT's interrupt, which is its pin 2, to the vector of the redirection entry;
//! a masked entry brings nothing; the serial port's comes on pin 4 (82093AA; ACPI's interrupt overrides), and as
//! a level only ends where it is told to, if the local APIC does not tell it (SDM, EOI-Broadcast Suppression).

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
const LEVEL: u8 = 0x53;
/// The local APIC's version: it can keep an end of interrupt from the I/O APIC; by this bit of its register.
const CAN_SUPPRESS: u32 = 1 << 24;
const SUPPRESS: u32 = 1 << 12;
static TICKS: AtomicU32 = AtomicU32::new(0);
static TRANSMITTED: AtomicU32 = AtomicU32::new(0);
static LEVELS: AtomicU32 = AtomicU32::new(0);

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

/// Leaves the line asserted.
fn level(_: &mut Frame) {
    LEVELS.fetch_add(1, Relaxed);
    apic::end_of_interrupt();
}

fn levels_that_software_ends() {
    set_handler(LEVEL, level);
    let spurious = apic::read(apic::register::SPURIOUS);
    apic::write(apic::register::SPURIOUS, spurious | SUPPRESS);
    io_apic::redirect(4, u64::from(LEVEL) | io_apic::LEVEL);
    port::write::<u8>(INTERRUPT_ENABLE, 0b10);
    for times in 1..=3 {
        halt_until(|| LEVELS.load(Relaxed) >= times);
        let waiting = io_apic::redirection(4) & io_apic::REMOTE_IRR;
        check_eq!(
            (LEVELS.load(Relaxed), waiting),
            (times, io_apic::REMOTE_IRR),
            "a level and its end"
        );
        if times == 3 {
            port::write::<u8>(INTERRUPT_ENABLE, 0);
        }
        io_apic::end_of_interrupt(LEVEL);
    }
    check_eq!(io_apic::redirection(4) & io_apic::REMOTE_IRR, 0, "after the last end");
    apic::write(apic::register::SPURIOUS, spurious);
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
    if apic::read(apic::register::VERSION) & CAN_SUPPRESS != 0 {
        levels_that_software_ends();
    }
}
