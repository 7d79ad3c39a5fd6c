//! The fixed registers of ACPI's power management that work without tables: sleep control, by which
//! QEMU's guests turn the power off, and the timer. There are no events, so status reads 0.
//!
//! Registers, as in QEMU's PIIX4: 0 status, 2 enable, 4 control, 8 timer.

use super::{Context, Device, Signal};

const ENABLE: u16 = 2;
const CONTROL: u16 = 4;
const TIMER: u16 = 8;

/// ACPI mode is on.
const CONTROL_SCI_ENABLE: u16 = 1 << 0;
/// Which sleep state; 0 is S5 (off), as in QEMU.
const CONTROL_SLEEP_TYPE: u16 = 7 << 10;
const CONTROL_SLEEP_ENABLE: u16 = 1 << 13;

/// ACPI, "Power Management Timer": 3.579545 MHz, 24 bits.
const TIMER_HZ: u128 = 3_579_545;
const TIMER_BITS: u64 = 0xff_ffff;

/// The registers.
#[derive(Default)]
pub struct AcpiPm {
    enable: u16,
    control: u16,
}

impl Device for AcpiPm {
    fn read(&mut self, register: u16, _size: u8, context: &mut Context<'_>) -> u64 {
        match register {
            ENABLE => self.enable.into(),
            CONTROL => (self.control | CONTROL_SCI_ENABLE).into(),
            TIMER => (u128::from(context.now_ns()) * TIMER_HZ / 1_000_000_000) as u64 & TIMER_BITS,
            _ => 0,
        }
    }

    fn write(&mut self, register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        let value = value as u16;
        match register {
            ENABLE => self.enable = value,
            CONTROL => {
                self.control = value & !CONTROL_SLEEP_ENABLE;
                if value & CONTROL_SLEEP_ENABLE != 0 && value & CONTROL_SLEEP_TYPE == 0 {
                    context.signal(Signal::PowerOff);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_bench::Bench;

    #[test]
    fn only_the_s5_sleep_turns_the_power_off() {
        for (value, off) in [(0x2000, true), (0x2001, true), (0x0000, false), (0x3400, false)] {
            let mut bench = Bench::new(AcpiPm::default());
            bench.with(|pm, context| pm.write(CONTROL, 2, value, context));
            assert_eq!(bench.signal, off.then_some(Signal::PowerOff), "{value:#x}");
        }
    }

    #[test]
    fn the_timer_has_its_frequency_and_wraps_at_24_bits() {
        let mut bench = Bench::new(AcpiPm::default());
        for (now_ns, value) in [(0, 0), (1_000_000_000, 3_579_545), (5_000_000_000, 0x11_18fd)] {
            bench.now_ns = now_ns;
            assert_eq!(bench.with(|pm, context| pm.read(TIMER, 4, context)), value);
        }
    }
}
