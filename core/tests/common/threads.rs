//! Slots of a gate that sleep as the standard library parks threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use monovisor_core::exclusive::{Gate, Parking};

/// A thread for each slot, and how often it has slept.
pub struct Threads(Box<[(OnceLock<Thread>, AtomicU64)]>);

impl Threads {
    /// A gate with so many slots, and their threads.
    pub fn with_gate(slots: usize) -> (Arc<Self>, Arc<Gate>) {
        let threads = Arc::new(Self((0..slots).map(|_| Default::default()).collect()));
        (threads.clone(), Gate::new(slots, threads))
    }

    /// The current thread is that of `slot`.
    pub fn attach(&self, slot: usize) {
        let _ = self.0[slot].0.set(thread::current());
    }

    /// Returns when the thread of `slot` sleeps, or has.
    #[allow(dead_code)]
    pub fn await_sleep(&self, slot: usize) {
        while self.0[slot].1.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
    }
}

impl Parking for Threads {
    fn park(&self, slot: usize) {
        self.0[slot].1.fetch_add(1, Ordering::Relaxed);
        thread::park();
    }

    fn unpark(&self, slot: usize) {
        // A thread that has not begun has nothing to miss.
        if let Some(thread) = self.0[slot].0.get() {
            thread.unpark();
        }
    }
}
