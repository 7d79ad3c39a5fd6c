//! Time by the time-stamp counter, whose speed the PIT tells: by its count, because not every machine
//! has port 0x61, which on QEMU's `microvm` reads as if any time were over.

use crate::cpu::rdtsc;
use crate::device::pit;

/// How long the two are compared.
const CALIBRATION_MS: u32 = 10;

/// A clock that has been set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Ticks of the time-stamp counter, and the time that they took.
    ticks: u64,
    ns: u64,
}

impl Clock {
    /// Compares the two counters; takes the PIT's channel 0.
    pub fn calibrate() -> Self {
        pit::start(pit::RATE, u16::MAX);
        let (first, start) = (pit::count(), rdtsc());
        loop {
            let (passed, ticks) = (first.wrapping_sub(pit::count()), rdtsc() - start);
            if u32::from(passed) >= CALIBRATION_MS * pit::FREQUENCY_HZ / 1000 {
                let ns = u64::from(passed) * 1_000_000_000 / u64::from(pit::FREQUENCY_HZ);
                return Self { ticks, ns };
            }
        }
    }

    /// How long `ticks` of the time-stamp counter take.
    pub fn ns(&self, ticks: u64) -> u64 {
        (u128::from(ticks) * u128::from(self.ns) / u128::from(self.ticks)) as u64
    }

    /// Time since some start.
    pub fn now_ns(&self) -> u64 {
        self.ns(rdtsc())
    }
}
