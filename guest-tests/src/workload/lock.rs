//! The lock of the threaded workloads: the same on every machine.

use super::Machine;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering};

/// How often a thread looks at a lock before it lets others run.
const PATIENCE: u32 = 64;

/// A lock that is waited for in turns of looking and yielding.
pub(super) struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only by who holds the lock.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `section` while the lock is held.
    pub(super) fn with<R>(&self, machine: &dyn Machine, section: impl FnOnce(&mut T) -> R) -> R {
        while self.held.swap(true, Ordering::Acquire) {
            let mut patience = PATIENCE;
            while self.held.load(Ordering::Relaxed) {
                if patience == 0 {
                    machine.yield_now();
                    patience = PATIENCE;
                }
                patience -= 1;
                spin_loop();
            }
        }
        // SAFETY: the lock is held until `section` has returned.
        let result = section(unsafe { &mut *self.value.get() });
        self.held.store(false, Ordering::Release);
        result
    }

    pub(super) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}
