//! Several processors at once: a thread for each, and the calling thread drives the devices.
//!
//! A processor's thread knows its engine, its mailbox and its local APIC's timer; it sleeps by
//! itself and is woken by whoever posts to it. The driver wakes when a device is due, when input
//! arrives, when a limit is reached, and when every processor has fallen asleep.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use monovisor_core::apic::DeliveryMode;
use monovisor_core::exclusive::Gate;
use monovisor_core::state::{Activity, RFlags};
use monovisor_core::{Clock, EngineError, Kick};

use super::Limits;
use super::machine::{Machine, Seat, Sleep, is_for_ever};
use super::parking::Threads;
use super::processor::{Processor, Stop};
use crate::clock::{Time, VmClock};
use crate::outcome::Outcome;
use crate::remote::Remote;
use crate::vm::{self, Vm};

/// Where there are more processors than the host has, one that spins lets others go on after this many
/// PAUSE instructions: about as long as a system call takes.
const PAUSES: u32 = 32;

/// Runs one boot of a machine.
pub fn run(vm: &mut Vm, limits: Limits) -> Result<Outcome, EngineError> {
    let count = vm.processors.len();
    let threads = gather(&mut vm.processors)?;
    let kicks = vm.processors.iter().map(|processor| processor.engine.kick_handle());
    let driver = Kick::default();
    let kicks = kicks.chain([driver.clone()]).collect();
    vm.remote.attach(driver.clone());
    let bus = std::mem::take(&mut vm.bus);
    let machine = Machine::new(bus, count, kicks, vm.config.debug_exit);
    machine.attach(count);
    let clock = vm.processors[0].clock.clone();
    let crowded = thread::available_parallelism().map_or(1, NonZero::get) < count;
    thread::scope(|scope| {
        for (number, processor) in vm.processors.iter_mut().enumerate() {
            let (machine, threads, most) = (&machine, &threads, limits.instructions);
            let run = move || {
                threads.attach(number);
                Thread::new(machine, number, processor, most, crowded).run();
            };
            let thread = thread::Builder::new().name(format!("vcpu {number}"));
            if let Err(error) = thread.spawn_scoped(scope, run) {
                let errno = error.raw_os_error().unwrap_or(0);
                let error = EngineError { operation: "starting a processor's thread", errno };
                machine.end(Outcome::EngineFailure(error), None);
                break;
            }
        }
        drive(&machine, &clock, &vm.remote, &driver, limits);
    });
    let (bus, end) = machine.into_parts();
    vm.bus = bus;
    let Some(end) = end else { return Ok(Outcome::HaltedForever) };
    vm.ended_by = end.processor;
    Ok(end.outcome)
}

/// Has the processors execute behind a gate, so that one of them can act while no other executes.
fn gather(processors: &mut [vm::Processor]) -> Result<Arc<Threads>, EngineError> {
    let kicks = processors.iter().map(|processor| {
        let engine = &processor.engine;
        // What counts its instructions looks up between them.
        (engine.kick_handle(), engine.instructions().is_some())
    });
    let threads = Arc::new(Threads::new(kicks));
    let gate = Gate::new(processors.len(), threads.clone());
    for (slot, processor) in processors.iter_mut().enumerate() {
        let refused = EngineError { operation: "claim of a place at the gate", errno: 0 };
        processor.engine.take_place(gate.claim(slot).ok_or(refused)?);
    }
    Ok(threads)
}

/// Drives the devices until the run ends.
fn drive(machine: &Machine, clock: &VmClock, remote: &Remote, kick: &Kick, limits: Limits) {
    while !machine.has_ended() {
        if let Some(signal) = remote.stopped_by() {
            return machine.end(Outcome::Interrupted { signal }, None);
        }
        if limits.until.is_some_and(|until| Instant::now() >= until) {
            return machine.end(Outcome::TimeLimit, None);
        }
        let kicked = kick.take();
        let mut devices = machine.devices();
        let now_ns = clock.now_ns(0);
        let time = Time::new(clock, 0);
        if kicked || now_ns >= devices.bus.next_deadline_ns() {
            devices.bus.advance(time);
            machine.follow(&mut devices, None);
        }
        if machine.all_asleep().is_some() {
            let input_wakes = devices.bus.idle(time);
            machine.follow(&mut devices, None);
            if let Some(sleeps) = machine.all_asleep()
                && is_for_ever(&sleeps, &devices.bus, input_wakes)
            {
                drop(devices);
                return machine.end(Outcome::HaltedForever, None);
            }
        }
        let due_ns = devices.bus.next_deadline_ns();
        devices.known_deadline_ns = due_ns;
        drop(devices);
        Remote::sleep(kick, until(due_ns, now_ns).into_iter().chain(limits.until).min());
    }
}

/// The host's time that is `due_ns` on a clock that shows `now_ns`; none for what is never due.
fn until(due_ns: u64, now_ns: u64) -> Option<Instant> {
    let left = (due_ns != u64::MAX).then(|| Duration::from_nanos(due_ns.saturating_sub(now_ns)))?;
    Instant::now().checked_add(left)
}

/// A processor's thread.
struct Thread<'a> {
    processor: Processor<'a>,
    seat: Seat<'a>,
    most: u64,
    /// Retired instructions that the machine has been told of.
    told: u64,
    /// The PIC has to be looked at.
    pic: bool,
}

impl<'a> Thread<'a> {
    fn new(
        machine: &'a Machine,
        number: usize,
        processor: &'a mut crate::vm::Processor,
        most: u64,
        crowded: bool,
    ) -> Self {
        machine.attach(number);
        let seat = Seat { machine, number, deadline_ns: 0, retimed: false };
        let processor = Processor::new(processor);
        if crowded {
            processor.receiver.engine.set_pause_limit(PAUSES);
        }
        Self { processor, seat, most, told: 0, pic: false }
    }

    fn run(mut self) {
        if let Err(error) = self.run_to_the_end() {
            self.seat.machine.end(Outcome::EngineFailure(error), Some(self.seat.number));
        }
    }

    fn run_to_the_end(&mut self) -> Result<(), EngineError> {
        let Seat { machine, number, .. } = self.seat;
        while !machine.has_ended() {
            self.start_slice();
            match self.processor.run_slice(&mut self.seat)? {
                Stop::Slice | Stop::Kicked => {}
                Stop::Pause => thread::yield_now(),
                Stop::Window => self.pic = true,
                Stop::Halted => self.sleep()?,
                Stop::Ended(outcome) => machine.end(outcome, Some(number)),
            }
        }
        Ok(())
    }

    /// Takes what has been sent, shows what has become of the local APIC, and cuts a slice.
    fn start_slice(&mut self) {
        let Self { processor, seat: Seat { machine, number, .. }, .. } = self;
        let retired = processor.retired();
        let all = machine.retire(retired - self.told);
        self.told = retired;
        if all >= self.most {
            return machine.end(Outcome::InstructionLimit, None);
        }
        receive(processor, machine, *number, &mut self.pic);
        let due_ns = processor.receiver.engine.next_timer_ns().unwrap_or(u64::MAX);
        processor.start_slice(processor.clock.now_ns(retired), due_ns, self.most - all);
    }

    /// Sleeps until a message comes, the local APIC's timer fires, or the run ends.
    fn sleep(&mut self) -> Result<(), EngineError> {
        let Seat { machine, number, .. } = self.seat;
        let timer_ns = self.processor.wake_ns();
        let engine = &mut *self.processor.receiver.engine;
        let kick = engine.kick_handle();
        let state = engine.state()?;
        let interruptible =
            state.activity == Activity::Halted && state.rflags.contains(RFlags::INTERRUPT_FLAG);
        machine.falls_asleep(number, Sleep { interruptible, timer_ns });
        let now_ns = self.processor.time().now_ns();
        Remote::sleep(&kick, until(timer_ns.unwrap_or(u64::MAX), now_ns));
        machine.wakes_up(number);
        kick.take();
        self.processor.pace.forget();
        Ok(())
    }
}

impl Drop for Thread<'_> {
    /// However this thread ends, the others must not wait for it: a panic goes on when all have
    /// ended. It is no outcome, so which one is said here does not matter.
    fn drop(&mut self) {
        if thread::panicking() {
            self.seat.machine.end(Outcome::HaltedForever, Some(self.seat.number));
        }
    }
}

/// Hands a processor what it has been sent, and shows others what has become of its local APIC.
/// `pic` says that the PIC has to be looked at, too.
pub(super) fn receive(
    processor: &mut Processor<'_>,
    machine: &Machine,
    number: usize,
    pic: &mut bool,
) {
    let receiver = &mut processor.receiver;
    machine.interconnect.take(number, |message| match message.mode {
        DeliveryMode::ExtInt => *pic = true,
        _ => receiver.engine.deliver(message),
    });
    let address = receiver.engine.local_apic().address();
    // One that has just begun to let the PIC through may find it waiting.
    *pic |= machine.interconnect.show(number, address).accepts_pic != address.accepts_pic;
    if std::mem::take(pic) {
        receiver.deliver_pic(&mut machine.devices().bus.interrupts.pic);
    }
}
