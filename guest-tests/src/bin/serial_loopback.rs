//! The 16550A's loopback mode: what is sent comes back, line and modem status say so, and the output stays
//! inside (16550A, Modem Control Register).
//@ stdout: after the loop

#![no_std]
#![no_main]

use guest_tests::device::serial::{
    DATA, FIFO_CONTROL, INTERRUPT_ENABLE, LINE_CONTROL, LINE_STATUS, LOOPBACK, MODEM_CONTROL,
    MODEM_STATUS, SCRATCH,
};
use guest_tests::device::{pit, port};
use guest_tests::{check_eq, println};

guest_tests::entry!(main);

const DATA_READY: u8 = 1;

fn main() {
    port::write::<u8>(SCRATCH, 0x5a);
    check_eq!(port::read::<u8>(SCRATCH), 0x5a, "the scratch register");
    // The divisor latch hides the data register.
    port::write::<u8>(LINE_CONTROL, 0x83);
    port::write::<u8>(DATA, 1);
    port::write::<u8>(INTERRUPT_ENABLE, 0);
    check_eq!(port::read::<u8>(DATA), 1, "the divisor latch");
    port::write::<u8>(LINE_CONTROL, 3);
    // Both FIFOs on and empty.
    port::write::<u8>(FIFO_CONTROL, 7);
    check_eq!(port::read::<u8>(LINE_STATUS) & DATA_READY, 0, "nothing has come");

    port::write(MODEM_CONTROL, LOOPBACK);
    for byte in [b'x', 0, 0xff] {
        port::write(DATA, byte);
        // A real line takes its time.
        while port::read::<u8>(LINE_STATUS) & DATA_READY == 0 {
            pit::wait(100);
        }
        check_eq!(port::read::<u8>(DATA), byte, "what came back");
        check_eq!(port::read::<u8>(LINE_STATUS) & DATA_READY, 0, "taken");
    }
    // DTR, RTS, OUT1, OUT2 become DSR, CTS, RI, DCD.
    port::write(MODEM_CONTROL, LOOPBACK | 0b1010);
    check_eq!(port::read::<u8>(MODEM_STATUS) >> 4, 0b1001, "modem status in the loop");
    port::write::<u8>(MODEM_CONTROL, 0);
    println!("after the loop");
}
