//! What several processors share: the devices behind one lock, the interconnect of their local
//! APICs, who of them is asleep, and how the run has ended.
//!
//! Lock order: the devices, then the sleepers, then the ender's place, then the end. While a message is
//! on its way the devices may be locked, so nobody locks them to take one; and while a run ends, so
//! nobody locks them in a section.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monovisor_core::Access;
use monovisor_core::apic::{Interconnect, Message};
use monovisor_core::exclusive::Outside;

use super::outcome;
use super::processor::{Receiver, Sleep, Stop, Surroundings};
use crate::bus::Bus;
use crate::clock::Time;
use crate::config::DebugExit;
use crate::outcome::Outcome;
use crate::remote::Threads;

/// A machine that several processors share.
pub struct Machine {
    devices: Mutex<Devices>,
    pub interconnect: Interconnect,
    sleepers: Mutex<Box<[Option<Sleep>]>>,
    /// How to reach each processor's thread, and the devices' last; nobody where all share one.
    threads: Arc<Threads>,
    /// The place at the gate of whoever ends the run; none where processors share a thread.
    ender: Mutex<Option<Outside>>,
    end: Mutex<Option<End>>,
    ended: AtomicBool,
    /// Instructions that the processors have retired, as far as they have told.
    retired: AtomicU64,
    debug_exit: DebugExit,
}

/// The devices, and the deadline that whoever drives them knows of.
pub struct Devices {
    pub bus: Bus,
    pub known_deadline_ns: u64,
    /// The level of the PIC's output that the processors have been told.
    pic_requested: bool,
}

/// How a run has ended.
#[derive(Clone, Debug)]
pub struct End {
    pub outcome: Outcome,
    /// The processor that ended it, if one did.
    pub processor: Option<usize>,
}

impl Machine {
    /// Joins `bus` and so many processors, which `threads` reaches unless one thread runs all.
    pub fn new(
        bus: Bus,
        processors: usize,
        threads: Arc<Threads>,
        ender: Option<Outside>,
        debug_exit: DebugExit,
    ) -> Self {
        Self {
            devices: Mutex::new(Devices { bus, known_deadline_ns: 0, pic_requested: false }),
            interconnect: Interconnect::new(processors as u32),
            sleepers: Mutex::new(vec![None; processors].into()),
            threads,
            ender: Mutex::new(ender),
            end: Mutex::new(None),
            ended: AtomicBool::new(false),
            retired: AtomicU64::new(0),
            debug_exit,
        }
    }

    /// Takes the machine apart: the bus, and how the run has ended.
    pub fn into_parts(self) -> (Bus, Option<End>) {
        let devices = self.devices.into_inner().unwrap_or_else(PoisonError::into_inner);
        (devices.bus, self.end.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The devices, for one access or one look.
    pub fn devices(&self) -> MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a processor look at its mailbox.
    pub fn wake(&self, number: usize) {
        self.threads.wake(number);
    }

    /// Makes whoever drives the devices look at them.
    pub fn wake_driver(&self) {
        self.threads.wake(self.threads.last());
    }

    /// Ends the run, unless it has ended already, and wakes everybody for it. It happens while nobody
    /// executes, and nobody does any more: all processors are left as they were at that instant.
    pub fn end(&self, outcome: Outcome, processor: Option<usize>) {
        let mut ender = self.ender.lock().unwrap_or_else(PoisonError::into_inner);
        let _section = ender.as_mut().map(|place| {
            self.threads.attach(place.slot());
            place.open()
        });
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_none() {
            *end = Some(End { outcome, processor });
            self.ended.store(true, Ordering::Release);
        }
        drop(end);
        self.threads.wake_all();
    }

    /// Whether the run has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Adds to the instructions that all processors have retired, and tells how many they are.
    pub fn retire(&self, instructions: u64) -> u64 {
        self.retired.fetch_add(instructions, Ordering::Relaxed) + instructions
    }

    /// Carries on what an access, or the devices themselves, have brought about: interrupts to
    /// processors, an earlier deadline to the devices' driver, a signal to everybody.
    pub fn follow(&self, devices: &mut Devices, processor: Option<usize>) {
        let bus = &mut devices.bus;
        if bus.interrupts.take_changed() {
            for message in bus.interrupts.take_messages() {
                self.interconnect.send(message, None, |number| self.wake(number));
            }
            let requested = bus.interrupts.pic.interrupt_requested();
            // Its fall matters to a local APIC that waits for the next edge.
            if mem::replace(&mut devices.pic_requested, requested) || requested {
                self.interconnect.raise_pic(|number| self.wake(number));
            }
        }
        if let Some(signal) = bus.take_signal() {
            self.end(outcome(signal, self.debug_exit), processor);
        }
        if bus.next_deadline_ns() < devices.known_deadline_ns {
            devices.known_deadline_ns = bus.next_deadline_ns();
            self.wake_driver();
        }
    }

    /// A processor goes to sleep. The last one wakes the devices' driver, which alone can tell
    /// whether anything will ever happen again.
    pub fn falls_asleep(&self, processor: usize, sleep: Sleep) {
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        sleepers[processor] = Some(sleep);
        if self.all_quiet(&sleepers) {
            self.wake_driver();
        }
    }

    /// A processor is about to execute again.
    pub fn wakes_up(&self, processor: usize) {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)[processor] = None;
    }

    /// All processors' sleeps, if all are asleep and nothing is on its way to any of them. Then
    /// nothing will be but by the devices, if these stay locked.
    pub fn all_asleep(&self) -> Option<Box<[Sleep]>> {
        let sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        self.all_quiet(&sleepers).then(|| sleepers.iter().copied().flatten().collect())
    }

    /// A processor that is asleep sends nothing, so a mailbox found empty stays so.
    fn all_quiet(&self, sleepers: &[Option<Sleep>]) -> bool {
        sleepers.iter().all(Option::is_some)
            && (0..sleepers.len()).all(|number| self.interconnect.is_empty(number))
    }
}

/// Whether processors that are all asleep will never wake.
pub fn is_for_ever(sleeps: &[Sleep], bus: &Bus, input_wakes: bool) -> bool {
    let timer = sleeps.iter().any(|sleep| sleep.interruptible && sleep.timer_ns.is_some());
    let device = input_wakes || bus.next_deadline_ns() != u64::MAX;
    let devices_wake = device && sleeps.iter().any(|sleep| sleep.hears(&bus.interrupts));
    !timer && !devices_wake
}

/// A machine as one of its processors reaches it.
pub struct Seat<'a> {
    pub machine: &'a Machine,
    pub number: usize,
    /// The deadline that the slice was cut for, where this processor drives the devices; else 0.
    pub deadline_ns: u64,
    /// There is an earlier one now.
    pub retimed: bool,
}

impl<'a> Seat<'a> {
    /// The processor with this number, which drives no devices until it is given a deadline.
    pub fn new(machine: &'a Machine, number: usize) -> Self {
        Self { machine, number, deadline_ns: 0, retimed: false }
    }

    fn access<R>(&mut self, act: impl FnOnce(&mut Bus) -> R) -> R {
        let mut devices = self.machine.devices();
        let result = act(&mut devices.bus);
        self.machine.follow(&mut devices, Some(self.number));
        self.retimed |= devices.bus.next_deadline_ns() < self.deadline_ns;
        result
    }
}

impl Surroundings for Seat<'_> {
    fn read(&mut self, access: &Access, time: Time<'_>) -> u64 {
        self.access(|bus| bus.read(access, time))
    }

    fn write(&mut self, access: &Access, value: u64, time: Time<'_>) {
        self.access(|bus| bus.write(access, value, time));
    }

    fn end_of_interrupt(&mut self, vector: u8) {
        self.access(|bus| bus.interrupts.end_of_interrupt(vector));
    }

    /// The line is wired to the bootstrap processor alone.
    fn floating_point_error(&mut self, new: bool) -> bool {
        self.number == 0 && self.access(|bus| bus.interrupts.floating_point_error(new))
    }

    fn send(&mut self, message: Message, receiver: &mut Receiver<'_>) {
        let Self { machine, .. } = self;
        let sender = Some(receiver.engine.local_apic().id());
        machine.interconnect.send(message, sender, |number| machine.wake(number));
    }

    fn follow_up(&mut self, _receiver: &mut Receiver<'_>) -> Option<Stop> {
        let Self { machine, number, retimed, .. } = self;
        let due = *retimed || machine.has_ended() || !machine.interconnect.is_empty(*number);
        due.then_some(Stop::Slice)
    }
}
