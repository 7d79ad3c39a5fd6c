//! How the threads of processors sleep at their gate and are woken: as the standard library parks
//! threads.
//!
//! A thread's token serves all that it waits for, so whoever sleeps here looks again when woken.

use std::sync::OnceLock;
use std::thread::{self, Thread};

use monovisor_core::Kick;
use monovisor_core::exclusive::{Parking, Wanted};

/// The threads of a machine's processors, by number.
pub struct Threads {
    processors: Box<[Processor]>,
}

struct Processor {
    thread: OnceLock<Thread>,
    kick: Kick,
    /// The engine looks at the gate by itself.
    polls: bool,
}

impl Threads {
    /// For processors with these kicks, of which each looks at the gate by itself or has to be kicked.
    pub fn new(processors: impl Iterator<Item = (Kick, bool)>) -> Self {
        let processor = |(kick, polls)| Processor { thread: OnceLock::new(), kick, polls };
        Self { processors: processors.map(processor).collect() }
    }

    /// The current thread runs this processor.
    pub fn attach(&self, number: usize) {
        let _ = self.processors[number].thread.set(thread::current());
    }
}

impl Parking for Threads {
    fn park(&self, _slot: usize) {
        thread::park();
    }

    fn unpark(&self, slot: usize) {
        if let Some(thread) = self.processors[slot].thread.get() {
            thread.unpark();
        }
    }

    fn kick(&self, slot: usize, wanted: Wanted) {
        let Processor { kick, polls, .. } = &self.processors[slot];
        if wanted == Wanted::Work || !polls {
            kick.kick();
        }
    }
}
