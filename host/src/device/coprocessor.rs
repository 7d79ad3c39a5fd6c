//! The port (0xf0) by which a system takes note of a coprocessor's error: IRQ 13 goes away, and x87
//! instructions execute until the error is cleared. What drives the line is in `interrupts`.

use super::{Context, Device};

/// The port.
pub struct CoprocessorError;

impl Device for CoprocessorError {
    fn read(&mut self, _register: u16, _size: u8, _context: &mut Context<'_>) -> u64 {
        u64::MAX
    }

    fn write(&mut self, _register: u16, _size: u8, _value: u64, context: &mut Context<'_>) {
        context.interrupts.ignore_floating_point_error();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_bench::Bench;

    #[test]
    fn a_write_takes_the_interrupt_away() {
        let mut bench = Bench::new(CoprocessorError);
        assert!(!bench.interrupts.floating_point_error(true));
        bench.write(0, 0);
        assert!(bench.interrupts.floating_point_error(false));
    }
}
