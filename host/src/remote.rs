//! How other threads reach a running machine: to tell it that input has arrived, to stop it, to look at
//! it, and to act on it (`control`). How its own threads reach each other is in `parking`.
//!
//! Invariant: nothing is lost. A wake-up while the machine runs makes its engine return, one while
//! it sleeps ends the sleep, and one in between ends the next.

mod control;
mod parking;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use monovisor_core::{Engine, Kick};

pub(crate) use control::{Control, OTHERS, Places};
pub use control::{Look, Seen};
pub(crate) use parking::Threads;

use crate::memory::MemoryError;

/// A handle to a machine. Clones reach the same one.
#[derive(Clone, Debug, Default)]
pub struct Remote(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Of the engine that runs now; a reboot makes a new one.
    kick: Mutex<Kick>,
    runner: Mutex<Option<Thread>>,
    /// Of the boot that runs now.
    control: Mutex<Option<Arc<Control>>>,
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

    /// What all processors are at, by their numbers, at one instant: none of them executes between the
    /// first and the last look, and then they go on. None if no guest runs, or if it ends meanwhile.
    ///
    /// An instruction that waits for a device's answer may be seen completed.
    pub fn look(&self) -> Option<Look> {
        self.control()?.look()
    }

    /// Has `act` done on the engine of one processor, between two of its instructions, while the others
    /// go on, and returns what it returns. None if no guest runs, if it ends before, and if there is no
    /// such processor. Not from within `act`, which would wait for itself.
    pub fn with_engine<R: Send + 'static>(
        &self,
        processor: usize,
        act: impl FnOnce(&mut dyn Engine) -> R + Send + 'static,
    ) -> Option<R> {
        self.control()?.with_engine(processor, act)
    }

    /// Writes `bytes` to guest-physical `address` while no processor executes: none sees half of
    /// them, nor executes what was there before. None if no guest runs, or if it ends before.
    ///
    /// # Errors
    /// [`MemoryError::OutsideRam`]; nothing is written then.
    pub fn write_memory(&self, address: u64, bytes: &[u8]) -> Option<Result<(), MemoryError>> {
        self.control()?.write(address, bytes.to_vec())
    }

    fn control(&self) -> Option<Arc<Control>> {
        self.0.control.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The signal that has asked for the end.
    pub(crate) fn stopped_by(&self) -> Option<u8> {
        Some(self.0.stop.load(Ordering::Acquire)).filter(|&signal| signal != 0)
    }

    /// From now on wake-ups go to this kick, which the current thread looks at, and what is asked of
    /// the machine through its `control`.
    pub(crate) fn attach(&self, kick: Kick, control: Arc<Control>) {
        *self.0.kick.lock().unwrap_or_else(PoisonError::into_inner) = kick;
        *self.0.runner.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        *self.0.control.lock().unwrap_or_else(PoisonError::into_inner) = Some(control);
    }

    /// Nothing can be asked of the machine until it is attached again.
    pub(crate) fn detach(&self) {
        *self.0.control.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
    use crate::memory::{GuestRam, layout};

    #[test]
    fn a_wake_up_before_or_during_a_sleep_ends_it() {
        let remote = Remote::default();
        let kick = Kick::default();
        let threads = Threads::new((0..OTHERS).map(|_| (Kick::default(), true)));
        let ram = GuestRam::new(layout::MIN_RAM_BYTES).expect("room");
        let control = Control::new(0, Arc::new(threads), Arc::new(ram));
        let (control, _) = control.expect("nobody has a place");
        remote.attach(kick.clone(), control);
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
