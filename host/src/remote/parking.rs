//! How the threads of a machine are reached: those of its processors, whoever else has a place at their
//! gate, and last whoever drives the devices. They sleep and are woken as the standard library parks
//! threads.
//!
//! A thread's token serves all that it waits for, so whoever sleeps here looks again when woken.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};

use monovisor_core::Kick;
use monovisor_core::exclusive::{Parking, Wanted};

/// The threads of a machine, by the numbers of its processors; others behind them.
#[derive(Default)]
pub struct Threads(Box<[Reached]>);

/// How to reach one.
struct Reached {
    kick: Kick,
    /// What the kick ends looks at the gate by itself.
    polls: bool,
    thread: Mutex<Option<Thread>>,
}

impl Threads {
    /// For threads with these kicks, of which each looks at the gate by itself or has to be kicked.
    pub fn new(kicks: impl Iterator<Item = (Kick, bool)>) -> Self {
        let reached = |(kick, polls)| Reached { kick, polls, thread: Mutex::default() };
        Self(kicks.map(reached).collect())
    }

    /// The current thread is the one with this number.
    pub fn attach(&self, number: usize) {
        if let Some(reached) = self.0.get(number) {
            *reached.thread.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(thread::current());
        }
    }

    /// The number of the last one.
    pub fn last(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Makes the thread with this number look at what it was sent, whether it sleeps or executes. There
    /// may be none.
    pub fn wake(&self, number: usize) {
        if let Some(reached) = self.0.get(number) {
            reached.kick.kick();
            self.unpark(number);
        }
    }

    /// Wakes all of them.
    pub fn wake_all(&self) {
        (0..self.0.len()).for_each(|number| self.wake(number));
    }
}

impl Parking for Threads {
    fn park(&self, _slot: usize) {
        thread::park();
    }

    fn unpark(&self, slot: usize) {
        let thread = self.0[slot].thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*thread {
            thread.unpark();
        }
    }

    fn kick(&self, slot: usize, wanted: Wanted) {
        let Reached { kick, polls, .. } = &self.0[slot];
        if wanted == Wanted::Work || !polls {
            kick.kick();
        }
    }
}
