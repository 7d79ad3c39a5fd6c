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
use monovisor_core::exclusive::Outside;
use monovisor_core::{Clock, EngineError, Kick};

use super::Limits;
use super::machine::{Machine, Seat, is_for_ever};
use super::processor::{Processor, Stop};
use crate::clock::{Time, VmClock};
use crate::memory::GuestRam;
use crate::outcome::Outcome;
use crate::remote::{Control, OTHERS, Places, Remote, Threads};
use crate::vm::{self, Vm};

/// Where there are more processors than the host has, one that spins lets others go on after this many
/// PAUSE instructions: about as long as a system call takes.
const PAUSES: u32 = 32;

/// Runs one boot of a machine.
pub fn run(vm: &mut Vm, limits: Limits) -> Result<Outcome, EngineError> {
    let count = vm.processors.len();
    let driver = Kick::default();
    let (threads, control, ender) = gather(&mut vm.processors, &driver, &vm.ram)?;
    vm.remote.attach(driver.clone(), control.clone());
    let bus = std::mem::take(&mut vm.bus);
    let machine = Machine::new(bus, count, threads.clone(), Some(ender), vm.config.debug_exit);
    let clock = vm.processors[0].clock.clone();
    let crowded = thread::available_parallelism().map_or(1, NonZero::get) < count;
    thread::scope(|scope| {
        for (number, processor) in vm.processors.iter_mut().enumerate() {
            let (machine, threads, control) = (&machine, &threads, &control);
            let run = move || {
                threads.attach(number);
                let thread = Thread::new(machine, control, number, processor, crowded);
                thread.run(limits.instructions);
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
    // Whoever waits for one of them, even for one that had no thread, is told.
    for place in vm.processors.iter_mut().filter_map(|processor| processor.engine.leave_place()) {
        control.end(&place);
    }
    control.close();
    let (bus, end) = machine.into_parts();
    vm.bus = bus;
    let Some(end) = end else { return Ok(Outcome::HaltedForever) };
    vm.ended_by = end.processor;
    Ok(end.outcome)
}

/// Has the processors execute behind a gate, so that one of them, or somebody else, can act while no
/// other executes.
fn gather(
    processors: &mut [vm::Processor],
    driver: &Kick,
    ram: &Arc<GuestRam>,
) -> Result<(Arc<Threads>, Arc<Control>, Outside), EngineError> {
    let kicks = processors.iter().map(|processor| {
        let engine = &processor.engine;
        // What counts its instructions looks up between them.
        (engine.kick_handle(), engine.instructions().is_some())
    });
    let others = (0..OTHERS).map(|_| (Kick::default(), true));
    let threads = Arc::new(Threads::new(kicks.chain(others).chain([(driver.clone(), true)])));
    threads.attach(threads.last());
    let (control, places) = Control::new(processors.len(), threads.clone(), ram.clone())?;
    let Places { processors: places, ender } = places;
    for (processor, place) in processors.iter_mut().zip(places) {
        processor.engine.take_place(place);
    }
    Ok((threads, control, ender))
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
    control: &'a Control,
    /// Retired instructions that the machine has been told of.
    told: u64,
    /// The PIC has to be looked at.
    pic: bool,
}

impl<'a> Thread<'a> {
    fn new(
        machine: &'a Machine,
        control: &'a Control,
        number: usize,
        processor: &'a mut vm::Processor,
        crowded: bool,
    ) -> Self {
        let seat = Seat::new(machine, number);
        let processor = Processor::new(processor);
        if crowded {
            processor.receiver.engine.set_pause_limit(PAUSES);
        }
        Self { processor, seat, control, told: 0, pic: false }
    }

    /// Runs until the run ends, which it does when all together have retired `most` instructions.
    fn run(mut self, most: u64) {
        if let Err(error) = self.run_to_the_end(most) {
            self.seat.machine.end(Outcome::EngineFailure(error), Some(self.seat.number));
        }
    }

    fn run_to_the_end(&mut self, most: u64) -> Result<(), EngineError> {
        let Seat { machine, number, .. } = self.seat;
        while !machine.has_ended() {
            if self.control.waits_for(number) {
                self.serve();
            }
            self.start_slice(most);
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

    /// Does what others have asked of this processor.
    fn serve(&mut self) {
        let engine = &mut *self.processor.receiver.engine;
        if let Some(mut place) = engine.leave_place() {
            self.control.serve(&mut place, engine);
            engine.take_place(place);
        }
    }

    /// Takes what has been sent, shows what has become of the local APIC, and cuts a slice.
    fn start_slice(&mut self, most: u64) {
        let Self { processor, seat: Seat { machine, number, .. }, .. } = self;
        let retired = processor.retired();
        let all = machine.retire(retired - self.told);
        self.told = retired;
        if all >= most {
            return machine.end(Outcome::InstructionLimit, None);
        }
        receive(processor, machine, *number, &mut self.pic);
        let due_ns = processor.receiver.engine.next_timer_ns().unwrap_or(u64::MAX);
        processor.start_slice(processor.clock.now_ns(retired), due_ns, most - all);
    }

    /// Sleeps until a message comes, the local APIC's timer fires, or the run ends.
    fn sleep(&mut self) -> Result<(), EngineError> {
        let Seat { machine, number, .. } = self.seat;
        let kick = self.processor.receiver.engine.kick_handle();
        let sleep = self.processor.sleep()?;
        machine.falls_asleep(number, sleep);
        let now_ns = self.processor.time().now_ns();
        Remote::sleep(&kick, until(sleep.timer_ns.unwrap_or(u64::MAX), now_ns));
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
    *pic |= machine.interconnect.show(number, address).hears_pic != address.hears_pic;
    if std::mem::take(pic) {
        receiver.deliver_pic(&mut machine.devices().bus.interrupts.pic);
    }
}
