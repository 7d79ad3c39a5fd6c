//! The 16550A's interrupts through the PIC: the transmitter's comes when it is enabled, and again
//! behind every byte; reading its identification ends it (16550A, Interrupt Identification Register).
//@ stdout: ...

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::serial::{
    DATA, FIFO_CONTROL, IDENTIFICATION, INTERRUPT_ENABLE, INTERRUPT_OUT, IRQ, MODEM_CONTROL,
};
use guest_tests::device::{apic, halt_until, pic, port};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const TRANSMITTER_EMPTY: u8 = 0b10;

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
    port::write::<u8>(FIFO_CONTROL, 0);
    port::write(MODEM_CONTROL, INTERRUPT_OUT);
    port::write(INTERRUPT_ENABLE, TRANSMITTER_EMPTY);
    halt_until(|| COUNT.load(Relaxed) == 4);
}
