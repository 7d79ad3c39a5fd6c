//! The 16550A's interrupts through the PIC: the transmitter's comes when it is enabled, and again
//! behind every byte; reading its identification ends it (16550A, Interrupt Identification Register).
//@ stdout: ...

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::{apic, halt_until, pic, port};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const DATA: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = DATA + 1;
const IDENTIFICATION: u16 = DATA + 2;
const MODEM_CONTROL: u16 = DATA + 4;

const TRANSMITTER_EMPTY: u8 = 0b10;
/// OUT2, which lets the interrupt out, DTR and RTS.
const OUT2: u8 = 0b1011;
const IRQ: u8 = 4;

static COUNT: AtomicU32 = AtomicU32::new(0);

fn note(_: &mut Frame) {
    check_eq!(port::read::<u8>(IDENTIFICATION) & 0xf, 0b0010, "transmitter empty");
    check_eq!(port::read::<u8>(IDENTIFICATION) & 0xf, 0b0001, "nothing is pending now");
    if COUNT.fetch_add(1, Relaxed) < 3 {
        port::write::<u8>(DATA, b'.');
    } else {
        port::write::<u8>(INTERRUPT_ENABLE, 0);
        port::write::<u8>(DATA, b'\n');
    }
    pic::end_of_interrupt(IRQ);
}

fn main() {
    apic::init_virtual_wire();
    pic::init();
    set_handler(pic::vector(IRQ), note);
    pic::unmask(IRQ);
    // FIFOs off.
    port::write::<u8>(IDENTIFICATION, 0);
    port::write(MODEM_CONTROL, OUT2);
    port::write(INTERRUPT_ENABLE, TRANSMITTER_EMPTY);
    halt_until(|| COUNT.load(Relaxed) == 4);
}
