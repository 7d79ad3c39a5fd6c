//! The pair of 8259A interrupt controllers.

use super::port;

/// Command and data port of the master.
pub const MASTER: u16 = 0x20;
/// Command and data port of the slave.
pub const SLAVE: u16 = 0xa0;
/// Vector of IRQ 0 after [`init`].
pub const BASE: u8 = 0x20;

/// The end-of-interrupt command, non-specific.
pub const EOI: u8 = 0x20;
/// OCW3: the next read of the command port gives the interrupt request register.
pub const READ_IRR: u8 = 0x0a;
/// OCW3: the next read of the command port gives the in-service register.
pub const READ_ISR: u8 = 0x0b;

/// The vector that `irq` raises after [`init`].
pub const fn vector(irq: u8) -> u8 {
    BASE + irq
}

/// Initialises both (ICW1 to ICW4), IRQ 0 at vector 0x20 and IRQ 8 at 0x28, all masked.
pub fn init() {
    for (command, base, cascade) in [(MASTER, BASE, 1 << 2), (SLAVE, BASE + 8, 2)] {
        port::write::<u8>(command, 0x11);
        port::write::<u8>(command + 1, base);
        port::write::<u8>(command + 1, cascade);
        port::write::<u8>(command + 1, 0x01);
        port::write::<u8>(command + 1, 0xff);
    }
}

/// Lets `irq` through, and the slave's line with it.
pub fn unmask(irq: u8) {
    let clear = |data: u16, line: u8| port::write(data, port::read::<u8>(data) & !(1 << line));
    if irq >= 8 {
        clear(SLAVE + 1, irq - 8);
        clear(MASTER + 1, 2);
    } else {
        clear(MASTER + 1, irq);
    }
}

/// Holds `irq` back.
pub fn mask(irq: u8) {
    let (data, line) = if irq >= 8 { (SLAVE + 1, irq - 8) } else { (MASTER + 1, irq) };
    port::write(data, port::read::<u8>(data) | 1 << line);
}

/// Ends the service of `irq`.
pub fn end_of_interrupt(irq: u8) {
    if irq >= 8 {
        port::write(SLAVE, EOI);
    }
    port::write(MASTER, EOI);
}

/// Reads the register that `command` selects, [`READ_IRR`] or [`READ_ISR`], of one controller.
pub fn read(controller: u16, command: u8) -> u8 {
    port::write(controller, command);
    port::read(controller)
}
