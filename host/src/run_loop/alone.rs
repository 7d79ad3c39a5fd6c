//! The only processor of a machine: it drives the devices itself, between its own slices, so that
//! between two looks at the clock an access costs no system call and takes no lock.

use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monovisor_core::apic::{DeliveryMode, Message};
use monovisor_core::exclusive::Outside;
use monovisor_core::{Access, Clock, EngineError, Kick};

use super::machine::is_for_ever;
use super::processor::{Processor, Receiver, Stop, Surroundings};
use super::{Limits, outcome};
use crate::bus::Bus;
use crate::clock::Time;
use crate::config::DebugExit;
use crate::outcome::Outcome;
use crate::remote::{Control, OTHERS, Places, Remote, Threads};
use crate::vm::Vm;

/// Runs one boot of a machine.
pub fn run(vm: &mut Vm, limits: Limits) -> Result<Outcome, EngineError> {
    let Vm { processors, bus, remote, config, ended_by, ram, .. } = vm;
    let processor = Processor::new(&mut processors[0]);
    let engine = &*processor.receiver.engine;
    // What is asked of a run that repeats exactly waits for the end of a slice.
    let asked = if config.deterministic { Kick::default() } else { engine.kick_handle() };
    let others = iter::repeat_with(Kick::default).take(OTHERS);
    let kicks = iter::once(asked).chain(others).map(|kick| (kick, true));
    let threads = Arc::new(Threads::new(kicks));
    threads.attach(0);
    let (control, Places { processors: mut places, .. }) = Control::new(1, threads, ram.clone())?;
    remote.attach(engine.kick_handle(), control.clone());
    let board = Board { bus, debug_exit: config.debug_exit, deadline_ns: 0 };
    let limit_ns = limits.until.map_or(u64::MAX, |until| {
        let left = until.saturating_duration_since(Instant::now()).as_nanos();
        processor.time().now_ns().saturating_add(u64::try_from(left).unwrap_or(u64::MAX))
    });
    let mut runner = Runner { processor, board, remote, limits, limit_ns };
    let result = runner.run(&control, &mut places[0], ended_by);
    control.end(&places[0]);
    control.close();
    result
}

/// One boot of a machine on its way.
struct Runner<'a> {
    processor: Processor<'a>,
    board: Board<'a>,
    remote: &'a Remote,
    limits: Limits,
    /// The limit of time on the processor's clock: always the same, so that an engine that is
    /// bounded by a timer sets it once.
    limit_ns: u64,
}

/// The devices, without anyone to share them with.
struct Board<'a> {
    bus: &'a mut Bus,
    debug_exit: DebugExit,
    /// The bus's deadline that the slice was cut for.
    deadline_ns: u64,
}

impl Runner<'_> {
    /// Runs until the run ends. The processor is alone, so its `place` is for what it is asked alone:
    /// nobody executes while that is done.
    fn run(
        &mut self,
        control: &Control,
        place: &mut Outside,
        ended_by: &mut Option<usize>,
    ) -> Result<Outcome, EngineError> {
        loop {
            if control.waits_for(0) {
                control.serve(place, &mut *self.processor.receiver.engine);
            }
            if let Some(outcome) = self.start_slice() {
                return Ok(outcome);
            }
            let stop = self.processor.run_slice(&mut self.board)?;
            if let Some(outcome) = self.stopped(stop)? {
                *ended_by = Some(0);
                return Ok(outcome);
            }
        }
    }

    /// Looks at limits and clock, lets devices catch up, and cuts the next slice.
    fn start_slice(&mut self) -> Option<Outcome> {
        if let Some(signal) = self.remote.stopped_by() {
            return Some(Outcome::Interrupted { signal });
        }
        if self.limits.until.is_some_and(|until| Instant::now() >= until) {
            return Some(Outcome::TimeLimit);
        }
        let retired = self.processor.retired();
        if retired >= self.limits.instructions {
            return Some(Outcome::InstructionLimit);
        }
        let now_ns = self.processor.clock.now_ns(retired);
        if now_ns >= self.board.bus.next_deadline_ns() {
            self.board.bus.advance(self.processor.time());
            if let Some(outcome) = self.board.signalled() {
                return Some(outcome);
            }
        }
        self.board.deadline_ns = self.board.bus.next_deadline_ns();
        let engine = &mut *self.processor.receiver.engine;
        let due_ns = self.board.deadline_ns.min(engine.next_timer_ns().unwrap_or(u64::MAX));
        if engine.instructions().is_none() {
            engine.set_deadline(due_ns.min(self.limit_ns));
        }
        let mut left = self.limits.instructions - retired;
        if self.processor.clock.is_deterministic() {
            // An instruction takes a nanosecond: what is due comes behind the very one.
            left = left.min(due_ns.saturating_sub(now_ns).max(1));
        }
        self.processor.start_slice(now_ns, due_ns, left);
        self.board.deliver(&mut self.processor.receiver);
        None
    }

    /// Acts on why a slice has ended.
    fn stopped(&mut self, stop: Stop) -> Result<Option<Outcome>, EngineError> {
        match stop {
            Stop::Slice | Stop::Pause | Stop::Window => Ok(None),
            Stop::Kicked => {
                self.board.bus.advance(self.processor.time());
                Ok(self.board.signalled())
            }
            Stop::Halted => self.halted(),
            Stop::Ended(outcome) => Ok(Some(outcome)),
        }
    }

    /// The guest has executed HLT: sleeps until something may wake it.
    fn halted(&mut self) -> Result<Option<Outcome>, EngineError> {
        let input_wakes = self.board.bus.idle(self.processor.time());
        if let Some(outcome) = self.board.signalled() {
            return Ok(Some(outcome));
        }
        if self.board.deliver(&mut self.processor.receiver) {
            return Ok(None);
        }
        let sleep = self.processor.sleep()?;
        if is_for_ever(&[sleep], self.board.bus, input_wakes) {
            return Ok(Some(Outcome::HaltedForever));
        }
        let due_ns = self.board.bus.next_deadline_ns().min(sleep.timer_ns.unwrap_or(u64::MAX));
        let timed = due_ns != u64::MAX;
        if timed && self.processor.clock.is_deterministic() {
            self.processor.clock.skip_to(due_ns, self.processor.retired());
        } else {
            self.sleep(timed.then_some(due_ns));
        }
        self.board.bus.advance(self.processor.time());
        self.processor.pace.forget();
        self.board.deliver(&mut self.processor.receiver);
        Ok(self.board.signalled())
    }

    fn sleep(&self, due_ns: Option<u64>) {
        let now_ns = self.processor.time().now_ns();
        let due = due_ns.and_then(|due_ns| {
            Instant::now().checked_add(Duration::from_nanos(due_ns.saturating_sub(now_ns)))
        });
        let until = due.into_iter().chain(self.limits.until).min();
        Remote::sleep(&self.processor.receiver.engine.kick_handle(), until);
    }
}

impl Board<'_> {
    /// Carries what the interrupt controllers have to the engine. Whether it was given anything.
    fn deliver(&mut self, receiver: &mut Receiver<'_>) -> bool {
        let interrupts = &mut self.bus.interrupts;
        let mut delivered = false;
        for message in interrupts.take_messages() {
            receiver.engine.deliver(message);
            delivered = true;
        }
        receiver.deliver_pic(&mut interrupts.pic) || delivered
    }

    #[inline]
    fn signalled(&mut self) -> Option<Outcome> {
        let signal = self.bus.take_signal()?;
        Some(outcome(signal, self.debug_exit))
    }
}

impl Surroundings for Board<'_> {
    #[inline]
    fn read(&mut self, access: &Access, time: Time<'_>) -> u64 {
        self.bus.read(access, time)
    }

    #[inline]
    fn write(&mut self, access: &Access, value: u64, time: Time<'_>) {
        self.bus.write(access, value, time);
    }

    fn end_of_interrupt(&mut self, vector: u8) {
        self.bus.interrupts.end_of_interrupt(vector);
    }

    fn floating_point_error(&mut self, new: bool) -> bool {
        self.bus.interrupts.floating_point_error(new)
    }

    /// There is no other processor that it could be for.
    fn send(&mut self, message: Message, receiver: &mut Receiver<'_>) {
        if message.mode == DeliveryMode::LowestPriority {
            receiver.engine.deliver(message);
        }
    }

    #[inline]
    fn follow_up(&mut self, receiver: &mut Receiver<'_>) -> Option<Stop> {
        if let Some(outcome) = self.signalled() {
            return Some(Stop::Ended(outcome));
        }
        if self.bus.interrupts.take_changed() {
            self.deliver(receiver);
        }
        (self.bus.next_deadline_ns() != self.deadline_ns).then_some(Stop::Slice)
    }
}
