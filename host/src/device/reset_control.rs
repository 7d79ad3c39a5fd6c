//! The reset control register of PC chipsets (port 0xcf9).

use super::{Context, Device, Signal};

/// Chooses a full reset; readable again.
const SYSTEM_RESET: u8 = 1 << 1;
/// Going from 0 to 1, resets. Never seen as 1 by software.
const RESET_PROCESSOR: u8 = 1 << 2;

/// The register.
#[derive(Default)]
pub struct ResetControl {
    value: u8,
}

impl Device for ResetControl {
    fn read(&mut self, _register: u16, _size: u8, _context: &mut Context<'_>) -> u64 {
        self.value.into()
    }

    fn write(&mut self, _register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        self.value = value as u8 & SYSTEM_RESET;
        if value as u8 & RESET_PROCESSOR != 0 {
            context.signal(Signal::Reset("the reset control register (port 0xcf9)"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_bench::Bench;

    #[test]
    fn only_the_reset_bit_resets() {
        let mut bench = Bench::new(ResetControl::default());
        bench.write(0, 0xfb);
        assert_eq!((bench.read(0), bench.signal), (2, None));
        bench.write(0, 6);
        assert!(matches!(bench.signal, Some(Signal::Reset(_))));
    }
}
