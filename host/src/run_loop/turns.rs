//! Several processors on one thread, in turns of a fixed number of instructions: every run is the
//! same. Time is the number of instructions that all of them have retired, one after another, so
//! it never runs backwards for the devices either.

use std::sync::Arc;
use std::time::Instant;

use monovisor_core::exclusive::Outside;
use monovisor_core::{Clock, EngineError, Kick};

use super::Limits;
use super::machine::{Machine, Seat, is_for_ever};
use super::processor::{Processor, Sleep, Stop};
use super::threads::receive;
use crate::clock::Time;
use crate::outcome::Outcome;
use crate::remote::{Control, OTHERS, Places, Remote, Threads};
use crate::vm::{self, Vm};

/// Instructions in a turn: few enough that processors that wait for each other get on, many enough
/// that a change costs little.
const TURN: u64 = 1000;

/// PAUSE instructions after which a turn ends early.
const PAUSES: u32 = 8;

/// Runs one boot of a machine.
pub fn run(vm: &mut Vm, limits: Limits) -> Result<Outcome, EngineError> {
    let kick = Kick::default();
    let count = vm.processors.len();
    // What is asked of a processor ends no turn early, or the run would not repeat.
    let threads = Arc::new(Threads::new((0..count + OTHERS).map(|_| (kick.clone(), true))));
    (0..count).for_each(|number| threads.attach(number));
    let (control, Places { processors: places, .. }) =
        Control::new(count, threads, vm.ram.clone())?;
    vm.remote.attach(kick.clone(), control.clone());
    let bus = std::mem::take(&mut vm.bus);
    let machine = Machine::new(bus, count, Arc::default(), None, vm.config.debug_exit);
    let now_ns = vm.processors[0].clock.now_ns(0);
    let members = vm.processors.iter_mut().zip(places).enumerate();
    let members = members
        .map(|(number, (processor, place))| Member::new(&machine, number, processor, place))
        .collect();
    let mut turns = Turns { members, machine: &machine, control: &control, limits, now_ns };
    let result = turns.run(&vm.remote, &kick);
    turns.catch_up();
    turns.members.iter().for_each(|member| control.end(&member.place));
    control.close();
    drop(turns);
    let (bus, end) = machine.into_parts();
    vm.bus = bus;
    result?;
    let Some(end) = end else { return Ok(Outcome::HaltedForever) };
    vm.ended_by = end.processor;
    Ok(end.outcome)
}

/// Processors that take turns with the machine that they share.
struct Turns<'a> {
    members: Vec<Member<'a>>,
    machine: &'a Machine,
    control: &'a Control,
    limits: Limits,
    now_ns: u64,
}

/// A processor between its turns.
struct Member<'a> {
    processor: Processor<'a>,
    seat: Seat<'a>,
    /// At the gate. What is asked of it is served there when nobody executes: its engine has no need of it.
    place: Outside,
    sleep: Option<Sleep>,
    pic: bool,
}

impl<'a> Member<'a> {
    fn new(
        machine: &'a Machine,
        number: usize,
        processor: &'a mut vm::Processor,
        place: Outside,
    ) -> Self {
        let seat = Seat::new(machine, number);
        let processor = Processor::new(processor);
        processor.receiver.engine.set_pause_limit(PAUSES);
        Self { processor, seat, place, sleep: None, pic: false }
    }

    /// Whether a turn would come to nothing: the processor sleeps, and nothing has happened to it.
    fn is_idle(&self, now_ns: u64) -> bool {
        let Some(Sleep { timer_ns, .. }) = self.sleep else { return false };
        let fired = timer_ns.is_some_and(|timer_ns| timer_ns <= now_ns);
        !fired && !self.pic && self.seat.machine.interconnect.is_empty(self.seat.number)
    }

    /// What could end its sleep, now that it has halted.
    fn falls_asleep(&mut self) -> Result<(), EngineError> {
        let sleep = self.processor.sleep()?;
        self.sleep = Some(sleep);
        self.seat.machine.falls_asleep(self.seat.number, sleep);
        Ok(())
    }
}

impl Turns<'_> {
    fn run(&mut self, remote: &Remote, kick: &Kick) -> Result<(), EngineError> {
        while !self.machine.has_ended() {
            if let Some(signal) = remote.stopped_by() {
                self.machine.end(Outcome::Interrupted { signal }, None);
            } else if self.limits.until.is_some_and(|until| Instant::now() >= until) {
                self.machine.end(Outcome::TimeLimit, None);
            } else if self.machine.all_asleep().is_some() {
                self.sleep(kick);
            }
            for (number, member) in self.members.iter_mut().enumerate() {
                if self.control.waits_for(number) {
                    let engine = &mut *member.processor.receiver.engine;
                    self.control.serve(&mut member.place, engine);
                }
            }
            for number in 0..self.members.len() {
                if self.machine.has_ended() {
                    break;
                }
                self.take_turn(number)?;
            }
        }
        Ok(())
    }

    /// One processor's turn.
    fn take_turn(&mut self, number: usize) -> Result<(), EngineError> {
        let member = &mut self.members[number];
        if member.is_idle(self.now_ns) {
            return Ok(());
        }
        if member.sleep.take().is_some() {
            self.machine.wakes_up(number);
        }
        let before = member.processor.retired();
        let used = self.machine.retire(0);
        if used >= self.limits.instructions {
            self.machine.end(Outcome::InstructionLimit, None);
            return Ok(());
        }
        member.processor.clock.skip_to(self.now_ns, before);
        receive(&mut member.processor, self.machine, number, &mut member.pic);
        member.seat.deadline_ns = self.machine.devices().bus.next_deadline_ns();
        member.seat.retimed = false;
        let timer_ns = member.processor.receiver.engine.next_timer_ns().unwrap_or(u64::MAX);
        let due_ns = member.seat.deadline_ns.min(timer_ns).min(self.now_ns.saturating_add(TURN));
        member.processor.start_slice(self.now_ns, due_ns, self.limits.instructions - used);
        match member.processor.run_slice(&mut member.seat)? {
            // One that spins gains nothing from the rest of its turn.
            Stop::Slice | Stop::Kicked | Stop::Pause => {}
            Stop::Window => member.pic = true,
            Stop::Halted => member.falls_asleep()?,
            Stop::Ended(outcome) => self.machine.end(outcome, Some(number)),
        }
        let retired = member.processor.retired();
        self.machine.retire(retired - before);
        self.now_ns = member.processor.clock.now_ns(retired);
        if self.now_ns >= self.machine.devices().bus.next_deadline_ns() {
            self.advance();
        }
        Ok(())
    }

    /// Nobody executes: time goes on to the next event, or there will be none.
    fn sleep(&mut self, kick: &Kick) {
        let time = self.catch_up();
        let mut devices = self.machine.devices();
        let input_wakes = devices.bus.idle(time);
        self.machine.follow(&mut devices, None);
        let Some(sleeps) = self.machine.all_asleep() else { return };
        if is_for_ever(&sleeps, &devices.bus, input_wakes) {
            drop(devices);
            return self.machine.end(Outcome::HaltedForever, None);
        }
        let timers = sleeps.iter().filter_map(|sleep| sleep.timer_ns);
        let due_ns = timers.chain([devices.bus.next_deadline_ns()]).min().unwrap_or(u64::MAX);
        drop(devices);
        if due_ns == u64::MAX {
            Remote::sleep(kick, self.limits.until);
            kick.take();
        } else {
            self.now_ns = self.now_ns.max(due_ns);
        }
        self.advance();
    }

    /// Lets the devices catch up.
    fn advance(&mut self) {
        let time = self.catch_up();
        let mut devices = self.machine.devices();
        devices.bus.advance(time);
        self.machine.follow(&mut devices, None);
    }

    /// Lets the bootstrap processor's clock, which is the devices', show what all have retired.
    fn catch_up(&self) -> Time<'_> {
        let bootstrap = &self.members[0].processor;
        bootstrap.clock.skip_to(self.now_ns, bootstrap.retired());
        bootstrap.time()
    }
}
