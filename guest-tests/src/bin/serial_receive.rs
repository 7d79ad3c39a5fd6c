//! The 16550A's receive interrupt: a byte that arrives, here by the port's own loop, raises IRQ 4, is named
//! by the identification register, and taking it ends the request (16550A, Interrupt Identification
//! Register).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::serial::{
    DATA, FIFO_CONTROL, IDENTIFICATION, INTERRUPT_ENABLE, INTERRUPT_OUT, IRQ, LOOPBACK,
    MODEM_CONTROL,
};
use guest_tests::device::{apic, halt_until, pic, port};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const DATA_AVAILABLE: u8 = 1;

/// The bytes that came, the latest lowest.
static RECEIVED: AtomicU32 = AtomicU32::new(0);

fn receive(_: &mut Frame) {
    check_eq!(port::read::<u8>(IDENTIFICATION) & 0xf, 0b0100, "data available");
    let byte: u8 = port::read(DATA);
    RECEIVED.store(RECEIVED.load(Relaxed) << 8 | u32::from(byte), Relaxed);
    check_eq!(port::read::<u8>(IDENTIFICATION) & 0xf, 0b0001, "nothing is pending");
    pic::end_of_interrupt(IRQ);
}

fn main() {
    apic::init_virtual_wire();
    pic::init();
    set_handler(pic::vector(IRQ), receive);
    pic::unmask(IRQ);
    // FIFOs off.
    port::write::<u8>(FIFO_CONTROL, 0);
    port::write(MODEM_CONTROL, LOOPBACK | INTERRUPT_OUT);
    port::write(INTERRUPT_ENABLE, DATA_AVAILABLE);
    for (byte, all) in [(b'a', 0x61), (b'b', 0x6162), (b'c', 0x61_6263)] {
        port::write(DATA, byte);
        halt_until(|| RECEIVED.load(Relaxed) == all);
    }
    port::write::<u8>(INTERRUPT_ENABLE, 0);
    port::write(MODEM_CONTROL, INTERRUPT_OUT);
}
