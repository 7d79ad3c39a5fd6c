//! Guest output: the first serial port (16550A at 0x3f8), polled. Input and interrupts of the port
//! are for the tests of the port.

use crate::device::serial::{DATA, LINE_STATUS};
use core::fmt::{Arguments, Write};
use x86_64::instructions::port::Port;

/// The transmitter's holding register is empty.
const TRANSMIT_EMPTY: u8 = 1 << 5;
/// And so is what sends its bytes, bit by bit.
const TRANSMITTER_EMPTY: u8 = 1 << 6;

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(write_byte);
        Ok(())
    }
}

/// Sends one byte to the serial port as it is.
pub fn write_byte(byte: u8) {
    // SAFETY: the ports of the UART touch no memory.
    unsafe {
        while Port::<u8>::new(LINE_STATUS).read() & TRANSMIT_EMPTY == 0 {}
        Port::new(DATA).write(byte);
    }
}

/// Returns when all that was sent has left the port.
pub fn drain() {
    // SAFETY: the ports of the UART touch no memory.
    while unsafe { Port::<u8>::new(LINE_STATUS).read() } & TRANSMITTER_EMPTY == 0 {}
}

/// What [`print!`](crate::print!) stands on.
pub fn print(text: Arguments<'_>) {
    // `Serial` never fails; an error can only come from a `Display` that lies.
    let _ = Serial.write_fmt(text);
}

/// Writes formatted text to the serial port.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::console::print(::core::format_args!($($text)*)) };
}

/// Writes formatted text and a line feed to the serial port.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($text:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($text)*)) };
}
