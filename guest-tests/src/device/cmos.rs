//! The real-time clock and its memory (MC146818A).

use super::port;

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;

/// Status registers A to D.
pub const STATUS_A: u8 = 0x0a;
/// See [`STATUS_A`].
pub const STATUS_B: u8 = 0x0b;
/// See [`STATUS_A`]; reading it clears the interrupt.
pub const STATUS_C: u8 = 0x0c;
/// See [`STATUS_A`].
pub const STATUS_D: u8 = 0x0d;

/// Reads a byte of the clock's memory.
pub fn read(index: u8) -> u8 {
    port::write(INDEX, index);
    port::read(DATA)
}

/// Writes a byte of the clock's memory.
pub fn write(index: u8, value: u8) {
    port::write(INDEX, index);
    port::write(DATA, value);
}
