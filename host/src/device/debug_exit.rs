//! QEMU's `isa-debug-exit`: a write ends the run with the written value.

use super::{Context, Device, Signal};

/// The port.
pub struct DebugExit;

impl Device for DebugExit {
    fn read(&mut self, _register: u16, _size: u8, _context: &mut Context<'_>) -> u64 {
        u64::MAX
    }

    fn write(&mut self, _register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        context.signal(Signal::DebugExit(value as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_bench::Bench;

    #[test]
    fn the_first_write_counts() {
        let mut bench = Bench::new(DebugExit);
        assert_eq!(bench.read(0), 0xff);
        bench.write(0, 0x10);
        bench.write(0, 0x11);
        assert_eq!(bench.signal, Some(Signal::DebugExit(0x10)));
    }
}
