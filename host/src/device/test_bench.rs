//! What the devices' own tests put a device on: interrupt controllers, a clock that the test moves,
//! and the last signal.

use monovisor_core::InstructionClock;

use super::{Context, Device, Interrupts, Line, Signal};
use crate::clock::Time;

/// One device under test.
pub struct Bench<D> {
    pub device: D,
    pub now_ns: u64,
    pub interrupts: Interrupts,
    pub signal: Option<Signal>,
}

impl<D: Device> Bench<D> {
    /// Puts `device` on the bench. Interrupts are unmasked, end by themselves, and line n has
    /// vector n.
    pub fn new(device: D) -> Self {
        let mut interrupts = Interrupts::default();
        for (chip, base) in [(0, 0), (2, 8)] {
            for (register, value) in [(0, 0x13), (1, base), (1, 3), (1, 0)] {
                interrupts.pic.write(chip + register, value);
            }
        }
        Self { device, now_ns: 0, interrupts, signal: None }
    }

    pub fn read(&mut self, register: u16) -> u8 {
        self.with(|device, context| device.read(register, 1, context)) as u8
    }

    pub fn write(&mut self, register: u16, value: u8) {
        self.with(|device, context| device.write(register, 1, value.into(), context));
    }

    /// Moves time to the device's deadline, if it has one before `limit_ns`, and calls it.
    pub fn advance_to_deadline(&mut self, limit_ns: u64) -> bool {
        match self.device.next_deadline_ns() {
            Some(deadline) if deadline <= limit_ns => {
                self.now_ns = self.now_ns.max(deadline);
                self.with(|device, context| device.advance(context));
                true
            }
            _ => {
                self.now_ns = self.now_ns.max(limit_ns);
                false
            }
        }
    }

    /// Whether `line` has asked for an interrupt since this was last called.
    pub fn take_interrupt(&mut self, line: Line) -> bool {
        let mut taken = false;
        while self.interrupts.pic.interrupt_requested() {
            taken |= self.interrupts.pic.acknowledge() == line.0;
        }
        taken
    }

    pub fn with<R>(&mut self, call: impl FnOnce(&mut D, &mut Context<'_>) -> R) -> R {
        let time = Time::new(&InstructionClock, self.now_ns);
        let mut context = Context::new(&mut self.interrupts, &time, &mut self.signal);
        call(&mut self.device, &mut context)
    }
}
