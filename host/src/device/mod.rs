//! The devices of the platform: one file each, and one line each in [`registry`]. A device sees
//! registers, a [`Context`] and nothing else: it knows neither the addresses it is mapped at nor the
//! engine that runs the guest.
//!
//! Invariant: no sequence of accesses makes a device panic, block for ever, or grow.

mod acpi_pm;
mod coprocessor;
mod debug_console;
mod debug_exit;
mod input;
mod interrupts;
mod io_apic;
mod keyboard_controller;
mod output;
mod pic;
mod pit;
mod post;
pub mod registry;
mod reset_control;
mod rtc;
mod serial;
mod shutdown_port;
mod system_control;
#[cfg(test)]
mod test_bench;
#[cfg(test)]
mod tests;
pub mod virtio;

pub use input::{Input, InputReader};
pub use interrupts::{Interrupts, Line};
pub use pic::Pic;
pub use rtc::RamSizes;

use crate::clock::Time;

/// One device.
///
/// `register` is the offset that the registry gives the accessed address, `size` is 1, 2, 4 or 8
/// bytes and at most what the registry allows.
pub trait Device: Send {
    /// The guest reads. Bits above `size` bytes are cut off.
    fn read(&mut self, register: u16, size: u8, context: &mut Context<'_>) -> u64;

    /// The guest writes; bits of `value` above `size` bytes are zero.
    fn write(&mut self, register: u16, size: u8, value: u64, context: &mut Context<'_>);

    /// When [`advance`](Self::advance) has to be called next. Asked again after every access.
    fn next_deadline_ns(&self) -> Option<u64> {
        None
    }

    /// Catches up with time. Called at the deadline or later, and whenever the host has been
    /// kicked, which may mean that input has arrived.
    fn advance(&mut self, _context: &mut Context<'_>) {}

    /// The guest waits, or has ended: hands over what is buffered, and says whether something
    /// other than time (input) may still make this device interrupt the guest.
    fn idle(&mut self, _context: &mut Context<'_>) -> bool {
        false
    }
}

/// What a device can reach while it handles an access.
pub struct Context<'a> {
    /// Where interrupt lines end.
    pub interrupts: &'a mut Interrupts,
    time: &'a Time<'a>,
    signal: &'a mut Option<Signal>,
}

impl<'a> Context<'a> {
    /// Joins what a device can reach.
    pub fn new(
        interrupts: &'a mut Interrupts,
        time: &'a Time<'a>,
        signal: &'a mut Option<Signal>,
    ) -> Self {
        Self { interrupts, time, signal }
    }

    /// Nanoseconds since the machine was made. Reads the host's clock, so ask only when needed.
    pub fn now_ns(&self) -> u64 {
        self.time.now_ns()
    }

    /// Tells the run loop that this access ends the run or resets the machine. The first signal
    /// counts.
    pub fn signal(&mut self, signal: Signal) {
        self.signal.get_or_insert(signal);
    }
}

/// What a device asks of the run loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End the run with this value of the debug-exit port.
    DebugExit(u32),
    /// Turn the power off.
    PowerOff,
    /// Reset the machine; the string names what asked for it, as a noun.
    Reset(&'static str),
    /// Standard output, or the file in its place, takes no more.
    OutputClosed,
}
