//! Registers of the first serial port (16550A). Output of tests goes through [`console`](crate::console).

/// Receiver buffer and transmitter holding register; the divisor's low byte while that is accessible.
pub const DATA: u16 = 0x3f8;
/// Interrupt enable; the divisor's high byte.
pub const INTERRUPT_ENABLE: u16 = DATA + 1;
/// Interrupt identification, when read.
pub const IDENTIFICATION: u16 = DATA + 2;
/// FIFO control, when written.
pub const FIFO_CONTROL: u16 = DATA + 2;
/// Line control.
pub const LINE_CONTROL: u16 = DATA + 3;
/// Modem control.
pub const MODEM_CONTROL: u16 = DATA + 4;
/// Line status.
pub const LINE_STATUS: u16 = DATA + 5;
/// Modem status.
pub const MODEM_STATUS: u16 = DATA + 6;
/// The scratch register.
pub const SCRATCH: u16 = DATA + 7;

/// Modem control: what is sent is received.
pub const LOOPBACK: u8 = 1 << 4;
/// Modem control: OUT2, which lets the interrupt out, DTR and RTS.
pub const INTERRUPT_OUT: u8 = 0b1011;
/// The interrupt line.
pub const IRQ: u8 = 4;
