//! How other threads reach a running machine: to tell it that input has arrived, or to stop it.
//!
//! Invariant: nothing is lost. A wake-up while the machine runs makes its engine return, one while
//! it sleeps ends the sleep, and one in between ends the next.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use monovisor_core::Kick;

/// A handle to a machine. Clones reach the same one.
#[derive(Clone, Debug, Default)]
pub struct Remote(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Of the engine that runs now; a reboot makes a new one.
    kick: Mutex<Kick>,
    runner: Mutex<Option<Thread>>,
    /// The number of the signal that asked for the end, or 0.
    stop: AtomicU8,
}

impl Remote {
    /// Makes the machine look for input.
    pub fn wake(&self) {
        self.0.kick.lock().unwrap_or_else(PoisonError::into_inner).kick();
        if let Some(runner) = &*self.0.runner.lock().unwrap_or_else(PoisonError::into_inner) {
            runner.unpark();
        }
    }

    /// Ends the run, as the signal with this number would.
    pub fn stop(&self, signal: u8) {
        self.0.stop.store(signal, Ordering::Release);
        self.wake();
    }

    /// The signal that has asked for the end.
    pub(crate) fn stopped_by(&self) -> Option<u8> {
        Some(self.0.stop.load(Ordering::Acquire)).filter(|&signal| signal != 0)
    }

    /// From now on wake-ups go to this engine, which the current thread runs.
    pub(crate) fn attach(&self, kick: Kick) {
        *self.0.kick.lock().unwrap_or_else(PoisonError::into_inner) = kick;
        *self.0.runner.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
    }

    /// Sleeps until `until`, for ever without it, or until a wake-up. Only on the thread that is
    /// attached, with its engine's `kick`.
    pub(crate) fn sleep(kick: &Kick, until: Option<Instant>) {
        while !kick.is_pending() {
            match until {
                None => thread::park(),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wake_up_before_or_during_a_sleep_ends_it() {
        let remote = Remote::default();
        let kick = Kick::default();
        remote.attach(kick.clone());
        remote.wake();
        Remote::sleep(&kick, None);
        assert!(kick.take());

        let other = remote.clone();
        let thread = thread::spawn(move || other.stop(15));
        Remote::sleep(&kick, None);
        thread.join().expect("no panic");
        assert_eq!(remote.stopped_by(), Some(15));
    }

    #[test]
    fn a_sleep_ends_in_time() {
        let until = Instant::now() + Duration::from_millis(2);
        Remote::sleep(&Kick::default(), Some(until));
        assert!(Instant::now() >= until);
    }
}
