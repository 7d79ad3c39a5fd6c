//! The run loop: executes the guest in slices that end where something is due, carries accesses to
//! the bus and interrupts to the engine, sleeps when the guest halts, and turns what ends a run
//! into an [`Outcome`]. Here is the only match on [`Exit`].
//!
//! Invariants: no slice is longer than `pace::MAX_SLICE` instructions, so limits, stop requests
//! and deadlines are seen soon whatever the guest does; between two looks at the clock an access
//! costs no system call and takes no lock.

mod pace;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use monovisor_core::apic::DeliveryMode;
use monovisor_core::state::RFlags;
use monovisor_core::{Clock, EngineError, Exit};

use crate::clock::Time;
use crate::config::DebugExit;
use crate::device::Signal;
use crate::outcome::Outcome;
use crate::remote::Remote;
use crate::vm::{Vm, VmError};
use pace::Pace;

/// Near the limit of instructions the engine is given one at a time, because a larger budget may be
/// exceeded by the rest of a translated block.
const SINGLE_STEPS: u64 = 256;

/// Accesses after which the clock is looked at whatever the instruction count says: a repeated
/// string instruction makes any number of them before it retires.
const MAX_EXITS: usize = 1000;

/// Runs the machine until something ends the run.
///
/// # Errors
/// Only when a machine that reboots can't be made anew.
pub fn run(vm: &mut Vm) -> Result<Outcome, VmError> {
    let started = Instant::now();
    let before = vm.wall_time;
    let limit = vm.config.timeout.map(|timeout| started + timeout.saturating_sub(before));
    let outcome = loop {
        let outcome = Runner::new(vm, limit).run().unwrap_or_else(Outcome::EngineFailure);
        vm.wall_time = before + started.elapsed();
        let resets = matches!(outcome, Outcome::Reset { .. } | Outcome::TripleFault);
        if !(resets && vm.config.reboot) {
            break outcome;
        }
        vm.reboot()?;
    };
    Ok(outcome)
}

/// One boot of a machine on its way.
struct Runner<'a> {
    vm: &'a mut Vm,
    pace: Pace,
    limit: Option<Instant>,
    max_instructions: u64,
    /// The retired instructions at which the clock is looked at again.
    slice_end: u64,
    /// The bus's deadline that the slice was cut for.
    deadline_ns: u64,
    window_requested: bool,
}

impl<'a> Runner<'a> {
    fn new(vm: &'a mut Vm, limit: Option<Instant>) -> Self {
        vm.remote.attach(vm.engine.kick_handle());
        let used = vm.instructions().unwrap_or(0) - vm.engine.instructions().unwrap_or(0);
        let max = vm.config.max_instructions.unwrap_or(u64::MAX);
        let pace = Pace::new(vm.clock.is_deterministic());
        Self {
            vm,
            pace,
            limit,
            max_instructions: max.saturating_sub(used),
            slice_end: 0,
            deadline_ns: 0,
            window_requested: false,
        }
    }

    fn run(&mut self) -> Result<Outcome, EngineError> {
        let outcome = loop {
            if let Some(outcome) = self.start_slice() {
                break outcome;
            }
            if let Some(outcome) = self.run_slice()? {
                break outcome;
            }
        };
        self.vm.bus.idle(Time::new(&self.vm.clock, self.retired()));
        let closed = self.vm.bus.take_signal() == Some(Signal::OutputClosed);
        Ok(if closed && outcome.is_orderly() { Outcome::OutputClosed } else { outcome })
    }

    /// Looks at limits and clock, lets devices catch up, and cuts the next slice.
    fn start_slice(&mut self) -> Option<Outcome> {
        if let Some(signal) = self.vm.remote.stopped_by() {
            return Some(Outcome::Interrupted { signal });
        }
        if self.limit.is_some_and(|limit| Instant::now() >= limit) {
            return Some(Outcome::TimeLimit);
        }
        let retired = self.retired();
        if retired >= self.max_instructions {
            return Some(Outcome::InstructionLimit);
        }
        let now_ns = self.vm.clock.now_ns(retired);
        if now_ns >= self.vm.bus.next_deadline_ns() {
            self.advance();
            if let Some(signal) = self.vm.bus.take_signal() {
                return Some(self.outcome(signal));
            }
        }
        self.pace.measure(now_ns, retired);
        self.deadline_ns = self.vm.bus.next_deadline_ns();
        let due_ns = self.deadline_ns.min(self.vm.engine.next_timer_ns().unwrap_or(u64::MAX));
        let left = self.max_instructions - retired;
        let exact = if left > SINGLE_STEPS { left - SINGLE_STEPS } else { 1 };
        if self.vm.engine.instructions().is_none() {
            let limit = self.limit.map(|limit| limit.saturating_duration_since(Instant::now()));
            let limit_ns = limit.map_or(u64::MAX, |left| now_ns + left.as_nanos() as u64);
            self.vm.engine.set_deadline(due_ns.min(limit_ns));
        }
        self.slice_end = retired + self.pace.budget(due_ns.saturating_sub(now_ns)).min(exact);
        self.deliver();
        None
    }

    /// Runs until the slice ends or the clock has to be looked at again.
    fn run_slice(&mut self) -> Result<Option<Outcome>, EngineError> {
        for _ in 0..MAX_EXITS {
            let budget = match self.vm.engine.instructions() {
                Some(retired) => self.slice_end.saturating_sub(retired),
                None => pace::MAX_SLICE,
            };
            if budget == 0 {
                return Ok(None);
            }
            match self.vm.engine.run(budget)? {
                Exit::Budget => return Ok(None),
                Exit::Kicked => {
                    self.advance();
                    return Ok(self.signalled());
                }
                Exit::Halted => return self.halted(),
                Exit::Read(access) => {
                    let time = Time::new(&self.vm.clock, self.retired());
                    let value = self.vm.bus.read(access, time);
                    self.vm.engine.answer(value);
                }
                Exit::Write(access, value) => {
                    let time = Time::new(&self.vm.clock, self.retired());
                    self.vm.bus.write(access, value, time);
                }
                Exit::InterruptWindow => {
                    self.vm.engine.request_interrupt_window(false);
                    self.window_requested = false;
                    self.deliver();
                    return Ok(None);
                }
                Exit::EndOfInterrupt(vector) => {
                    self.vm.bus.interrupts.end_of_interrupt(vector);
                }
                // There is no other processor that it could be for.
                Exit::Ipi(message) => {
                    if message.mode == DeliveryMode::LowestPriority {
                        self.vm.engine.deliver(message);
                    }
                    continue;
                }
                Exit::TripleFault => return Ok(Some(Outcome::TripleFault)),
                // No debugger has asked for it.
                Exit::Debug => return Ok(None),
                _ => {
                    return Err(EngineError {
                        operation: "exit, which this host does not know,",
                        errno: 0,
                    });
                }
            }
            if let Some(outcome) = self.signalled() {
                return Ok(Some(outcome));
            }
            if self.vm.bus.interrupts.take_changed() {
                self.deliver();
            }
            let retimed = self.vm.bus.next_deadline_ns() != self.deadline_ns;
            if retimed || self.vm.engine.instructions().is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// Carries what the interrupt controllers have to the engine. Whether it was given anything.
    fn deliver(&mut self) -> bool {
        let Vm { engine, bus, .. } = &mut *self.vm;
        let interrupts = &mut bus.interrupts;
        let mut delivered = false;
        for message in interrupts.take_messages() {
            engine.deliver(message);
            delivered = true;
        }
        let accepts = engine.accepts_pic();
        if accepts && interrupts.pic.interrupt_requested() && engine.interruptible() {
            let vector = interrupts.pic.acknowledge();
            engine.inject(vector);
            delivered = true;
        }
        let waits = accepts && interrupts.pic.interrupt_requested();
        if waits != self.window_requested {
            engine.request_interrupt_window(waits);
            self.window_requested = waits;
        }
        delivered
    }

    /// The guest has executed HLT: sleeps until something may wake it.
    fn halted(&mut self) -> Result<Option<Outcome>, EngineError> {
        let retired = self.retired();
        let input_wakes = self.vm.bus.idle(Time::new(&self.vm.clock, retired));
        if let Some(outcome) = self.signalled() {
            return Ok(Some(outcome));
        }
        if self.deliver() {
            return Ok(None);
        }
        let timer_ns = self.vm.engine.next_timer_ns().unwrap_or(u64::MAX);
        let due_ns = self.vm.bus.next_deadline_ns().min(timer_ns);
        let timed = due_ns != u64::MAX;
        // With interrupts off only an NMI could wake it.
        let interruptible = self.vm.engine.state()?.rflags.contains(RFlags::INTERRUPT_FLAG)
            || self.vm.bus.interrupts.can_send_nmi();
        if !interruptible || !timed && !input_wakes {
            return Ok(Some(Outcome::HaltedForever));
        }
        if timed && self.vm.clock.is_deterministic() {
            self.vm.clock.skip_to(due_ns, retired);
        } else {
            self.sleep(timed.then_some(due_ns));
        }
        self.advance();
        self.pace.forget();
        self.deliver();
        Ok(self.signalled())
    }

    fn sleep(&self, due_ns: Option<u64>) {
        let now_ns = self.vm.clock.now_ns(self.retired());
        let due = due_ns.and_then(|due_ns| {
            Instant::now().checked_add(Duration::from_nanos(due_ns.saturating_sub(now_ns)))
        });
        let until = due.into_iter().chain(self.limit).min();
        Remote::sleep(&self.vm.engine.kick_handle(), until);
    }

    fn advance(&mut self) {
        let time = Time::new(&self.vm.clock, self.vm.engine.instructions().unwrap_or(0));
        self.vm.bus.advance(time);
    }

    #[inline]
    fn signalled(&mut self) -> Option<Outcome> {
        let signal = self.vm.bus.take_signal()?;
        Some(self.outcome(signal))
    }

    fn outcome(&self, signal: Signal) -> Outcome {
        match (signal, self.vm.config.debug_exit) {
            (Signal::DebugExit(value), DebugExit::Qemu) => Outcome::Exited((value << 1 | 1) as u8),
            (Signal::DebugExit(value), DebugExit::Raw) => Outcome::Exited(value as u8),
            (Signal::PowerOff, _) => Outcome::PoweredOff,
            (Signal::Reset(cause), _) => Outcome::Reset { cause },
            (Signal::OutputClosed, _) => Outcome::OutputClosed,
        }
    }

    fn retired(&self) -> u64 {
        self.vm.engine.instructions().unwrap_or(0)
    }
}
