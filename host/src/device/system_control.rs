//! System control port A (0x92): address line 20 and the fast reset. The line is always open, as on
//! processors of today.

use super::{Context, Device, Signal};

const FAST_RESET: u8 = 1 << 0;
const A20: u64 = 1 << 1;

/// The port.
pub struct SystemControl;

impl Device for SystemControl {
    fn read(&mut self, _register: u16, _size: u8, _context: &mut Context<'_>) -> u64 {
        A20
    }

    fn write(&mut self, _register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        if value as u8 & FAST_RESET != 0 {
            context.signal(Signal::Reset("system control port A (0x92)"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_bench::Bench;

    #[test]
    fn address_line_20_is_open_and_bit_0_resets() {
        let mut bench = Bench::new(SystemControl);
        bench.write(0, 0);
        assert_eq!((bench.read(0), bench.signal), (2, None));
        bench.write(0, 3);
        assert!(matches!(bench.signal, Some(Signal::Reset(_))));
    }
}
