//! One processor's slice: executes until something is due, and carries what the processor asks for
//! to the machine around it. Here is the only match on [`Exit`].
//!
//! How slices are cut, and what happens between them, is for the loops that use this: `alone`,
//! `turns` and `threads`.

use std::mem;

use monovisor_core::apic::{DeliveryMode, Message};
use monovisor_core::state::{Activity, RFlags};
use monovisor_core::{Access, Engine, EngineError, Exit};

use super::pace::{self, Pace};
use crate::clock::{Time, VmClock};
use crate::device::{Interrupts, Pic};
use crate::outcome::Outcome;
use crate::vm;

/// Near the number of instructions that must not be exceeded the engine is given one at a time, because
/// a larger budget may be exceeded by the rest of a translated block.
const SINGLE_STEPS: u64 = 256;

/// Accesses after which the clock is looked at whatever the instruction count says: a repeated
/// string instruction makes any number of them before it retires.
const MAX_EXITS: usize = 1000;

/// Half of all time, 292 years: what a guest wants to happen later never does, so that nothing
/// reckoned from a time that is reached overflows.
const NEVER_NS: u64 = 1 << 63;

/// IA32_APIC_BASE: this is the bootstrap processor.
const BOOTSTRAP: u64 = 1 << 8;

/// Why a slice has ended.
pub enum Stop {
    /// It is used up, or something is due.
    Slice,
    /// Somebody has kicked the engine.
    Kicked,
    /// The guest spins, maybe for another processor.
    Pause,
    /// The processor waits for an interrupt, or to be started.
    Halted,
    /// The processor could take the PIC's interrupt, which it could not before.
    Window,
    /// The guest, or what became of it, ends the run.
    Ended(Outcome),
}

/// What could end a processor's sleep.
#[derive(Clone, Copy, Debug)]
pub struct Sleep {
    /// Whether it takes interrupts.
    pub interruptible: bool,
    /// Whether it takes NMIs: it is not in the handler of one.
    takes_nmi: bool,
    /// Whether INIT has it execute again, and not wait for a start-up IPI.
    takes_init: bool,
    /// What its LINT0 makes of the PIC's output.
    lint0: Option<DeliveryMode>,
    /// When its local APIC's timer wakes it.
    pub timer_ns: Option<u64>,
}

impl Sleep {
    /// Whether a device that drives its line could end it.
    pub fn hears(&self, interrupts: &Interrupts) -> bool {
        let comes = |mode| self.lint0 == Some(mode) || interrupts.can_send(mode);
        self.interruptible
            || self.takes_nmi && comes(DeliveryMode::Nmi)
            || self.takes_init && comes(DeliveryMode::Init)
    }
}

/// What a processor reaches of the machine.
pub trait Surroundings {
    /// The processor reads from a device.
    fn read(&mut self, access: &Access, time: Time<'_>) -> u64;

    /// The processor writes to a device.
    fn write(&mut self, access: &Access, value: u64, time: Time<'_>);

    /// The processor's local APIC ended the handling of a level-triggered interrupt.
    fn end_of_interrupt(&mut self, vector: u8);

    /// The processor's x87 unit has an error, a `new` one or that of before. Whether it is to go on.
    fn floating_point_error(&mut self, new: bool) -> bool;

    /// The processor's local APIC sends an interrupt.
    fn send(&mut self, message: Message, receiver: &mut Receiver<'_>);

    /// Acts on what one of these has brought about. Why the slice has to end for it, if it has to.
    fn follow_up(&mut self, receiver: &mut Receiver<'_>) -> Option<Stop>;
}

/// An engine, as interrupt controllers see it.
pub struct Receiver<'a> {
    pub engine: &'a mut (dyn Engine + 'static),
    window_requested: bool,
    /// The level of the PIC's output at the last look.
    line: bool,
}

impl Receiver<'_> {
    /// Gives the engine the PIC's interrupt if it can be taken now, and has the engine stop as soon
    /// as it can if not; or what the local APIC makes of the PIC's output. Whether it was given.
    pub fn deliver_pic(&mut self, pic: &mut Pic) -> bool {
        let accepts = self.engine.accepts_pic();
        let mut delivered = false;
        let line = pic.interrupt_requested();
        let before = mem::replace(&mut self.line, line);
        if !accepts && let Some(message) = self.engine.local_apic().lint0(before, line) {
            self.engine.deliver(message);
            delivered = true;
        }
        if accepts && pic.interrupt_requested() && self.engine.interruptible() {
            self.engine.inject(pic.acknowledge());
            delivered = true;
        }
        let waits = accepts && pic.interrupt_requested();
        if waits != self.window_requested {
            self.engine.request_interrupt_window(waits);
            self.window_requested = waits;
        }
        delivered
    }
}

/// A processor on its way.
pub struct Processor<'a> {
    pub receiver: Receiver<'a>,
    pub clock: &'a VmClock,
    pub pace: Pace,
    /// The retired instructions at which the slice ends.
    slice_end: u64,
}

impl<'a> Processor<'a> {
    pub fn new(processor: &'a mut vm::Processor) -> Self {
        let vm::Processor { engine, clock } = processor;
        Self {
            receiver: Receiver { engine: &mut **engine, window_requested: false, line: false },
            pace: Pace::new(clock.is_deterministic()),
            clock,
            slice_end: 0,
        }
    }

    /// Instructions retired so far.
    pub fn retired(&self) -> u64 {
        self.receiver.engine.instructions().unwrap_or(0)
    }

    /// Now, as this processor's devices see it.
    pub fn time(&self) -> Time<'a> {
        Time::new(self.clock, self.retired())
    }

    /// When the local APIC's timer wakes the processor from HLT, if it ever does: a masked one does
    /// not, nor does one below the processor's priority.
    fn wake_ns(&self) -> Option<u64> {
        let apic = self.receiver.engine.local_apic();
        let timer_ns = apic.next_timer_ns().filter(|&timer_ns| timer_ns < NEVER_NS)?;
        let mut fired = apic.clone();
        fired.advance(timer_ns);
        fired.pending().is_some().then_some(timer_ns)
    }

    /// What could end its sleep, now that it has halted.
    pub fn sleep(&mut self) -> Result<Sleep, EngineError> {
        let timer_ns = self.wake_ns();
        let lint0 = self.receiver.engine.local_apic().lint0_mode();
        let state = self.receiver.engine.state()?;
        let halted = state.activity == Activity::Halted;
        Ok(Sleep {
            interruptible: halted && state.rflags.contains(RFlags::INTERRUPT_FLAG),
            takes_nmi: halted && !state.shadow.nmi,
            takes_init: halted && state.msr.apic_base & BOOTSTRAP != 0,
            lint0,
            timer_ns,
        })
    }

    /// Cuts a slice at `now_ns` that ends when something is due, and before the instructions that
    /// are `left` are used up.
    pub fn start_slice(&mut self, now_ns: u64, due_ns: u64, left: u64) {
        let retired = self.retired();
        self.pace.measure(now_ns, retired);
        let exact = if left > SINGLE_STEPS { left - SINGLE_STEPS } else { 1 };
        self.slice_end = retired + self.pace.budget(due_ns.saturating_sub(now_ns)).min(exact);
    }

    /// Runs until the slice ends or the clock has to be looked at again.
    pub fn run_slice(&mut self, surroundings: &mut impl Surroundings) -> Result<Stop, EngineError> {
        let Self { receiver, clock, slice_end, .. } = self;
        let mut instructions = receiver.engine.instructions();
        for _ in 0..MAX_EXITS {
            let budget = match instructions {
                Some(retired) => slice_end.saturating_sub(retired),
                None => pace::MAX_SLICE,
            };
            if budget == 0 {
                return Ok(Stop::Slice);
            }
            let mut result = receiver.engine.run(budget);
            if let Ok(Exit::Exclusive) = result {
                // Only an engine without a place at a gate asks for it: no other executes meanwhile.
                result = receiver.engine.run_exclusive();
            }
            instructions = receiver.engine.instructions();
            let time = Time::new(*clock, instructions.unwrap_or(0));
            // Matched where it is: an exit is large to be moved about.
            match result {
                Err(error) => return Err(error),
                Ok(Exit::Budget) => return Ok(Stop::Slice),
                Ok(Exit::Kicked) => return Ok(Stop::Kicked),
                Ok(Exit::Pause) => return Ok(Stop::Pause),
                Ok(Exit::Halted) => return Ok(Stop::Halted),
                Ok(Exit::Read(ref access)) => {
                    let value = surroundings.read(access, time);
                    receiver.engine.answer(value);
                }
                Ok(Exit::Write(ref access, value)) => surroundings.write(access, value, time),
                Ok(Exit::InterruptWindow) => {
                    receiver.engine.request_interrupt_window(false);
                    receiver.window_requested = false;
                    return Ok(Stop::Window);
                }
                Ok(Exit::EndOfInterrupt(vector)) => surroundings.end_of_interrupt(vector),
                Ok(Exit::FloatingPointError { new }) => {
                    if surroundings.floating_point_error(new) {
                        receiver.engine.ignore_floating_point_error();
                    }
                }
                Ok(Exit::Ipi(message)) => surroundings.send(message, receiver),
                Ok(Exit::Reset) => {
                    return Ok(Stop::Ended(Outcome::Reset { cause: "INIT" }));
                }
                Ok(Exit::TripleFault) => return Ok(Stop::Ended(Outcome::TripleFault)),
                // No debugger has asked for it.
                Ok(Exit::Debug) => return Ok(Stop::Slice),
                Ok(_) => {
                    return Err(EngineError {
                        operation: "exit, which this host does not know,",
                        errno: 0,
                    });
                }
            }
            if let Some(stop) = surroundings.follow_up(receiver) {
                return Ok(stop);
            }
            if instructions.is_none() {
                break;
            }
        }
        Ok(Stop::Slice)
    }
}
