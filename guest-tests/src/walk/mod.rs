//! A walk through a processor's checks in order: each step has a number, which is also written to the
//! diagnostic port before it begins, so that one that hangs can be told; what fails is printed, and the
//! walk goes on.
//!
//! A checksum over all that was found tells two processors apart even where nothing is expected.

pub mod batch;
pub mod level;
pub mod model;

use core::fmt::{Debug, Display};

use crate::{device::port, println};

/// The port of the power-on self test's codes.
const POST: u16 = 0x80;

/// How far a walk is.
#[derive(Debug, Default)]
pub struct Walk {
    step: u32,
    checks: u32,
    failed: u32,
    checksum: u32,
}

impl Walk {
    /// Begins the next step.
    pub fn step(&mut self) {
        self.step += 1;
        port::write(POST, self.step as u8);
    }

    /// Compares what was found in the current step with what the manual says.
    pub fn check<T: PartialEq + Debug>(&mut self, found: T, expected: T, what: impl Display) {
        /// Failures that are told in full.
        const TOLD: u32 = 20;
        self.checks += 1;
        if found == expected {
            return;
        }
        self.failed += 1;
        if self.failed <= TOLD {
            println!("step {}, {what}: {found:#x?}, expected {expected:#x?}", self.step);
        }
    }

    /// Takes something into the checksum (Fowler, Noll and Vo's, of words).
    pub fn note(&mut self, value: u32) {
        self.checksum = (self.checksum ^ value).wrapping_mul(0x0100_0193).rotate_left(5);
    }

    /// Says how it went.
    ///
    /// # Panics
    /// If a check has failed.
    pub fn end(self) {
        let Self { step, checks, failed, checksum } = self;
        println!("{step} steps, {checks} checks, checksum {checksum:08x}");
        assert!(failed == 0, "{failed} checks failed");
    }
}
