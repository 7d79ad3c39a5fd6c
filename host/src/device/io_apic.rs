//! The I/O APIC's registers on the bus; the state is the bus's own, where every device's line ends.

use super::{Context, Device};

/// The registers.
pub struct IoApicRegisters;

impl Device for IoApicRegisters {
    fn read(&mut self, register: u16, _size: u8, context: &mut Context<'_>) -> u64 {
        context.interrupts.read_io_apic(register).into()
    }

    fn write(&mut self, register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        context.interrupts.write_io_apic(register, value as u32);
    }
}
