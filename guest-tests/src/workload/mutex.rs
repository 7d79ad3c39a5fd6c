//! `mutex`: threads take one of many locks, change what it guards, and let go; sections are short and
//! meet seldom, as in sysbench's test of the same name. One event is a few hundred sections.
//!
//! Here is also the lock of the threaded workloads: the same on every machine.

use super::measure::{mix, repeat, sum};
use super::{Effort, Machine, Report};
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicBool, Ordering};

const LOCKS: usize = 4096;
const SECTIONS: usize = 256;
const CYCLE: usize = 16;
/// Rounds of work between two sections.
const WORK: u64 = 8;
/// How often a thread looks at a lock before it lets others run.
const PATIENCE: u32 = 64;

pub(super) fn run(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let locks: Vec<Lock<u64>> = (0..LOCKS).map(|_| Lock::new(0)).collect();
    let reports = Lock::new(Vec::new());
    machine.in_parallel(effort.threads, &|_| {
        let report = repeat(machine, effort, "mutex", CYCLE, |number| {
            let mut value = number as u64;
            for section in 0..SECTIONS {
                value = (0..WORK).fold(value, |value, _| mix(black_box(value)));
                let lock = &locks[mix((number * SECTIONS + section) as u64) as usize % LOCKS];
                lock.with(machine, |count| *count += 1);
            }
            value
        });
        reports.with(machine, |reports| reports.push(report));
    });
    let report = sum("mutex", &reports.into_inner());
    let taken: u64 = locks.into_iter().map(Lock::into_inner).sum();
    assert!(taken == report.events * SECTIONS as u64, "a section was lost");
    [report].into()
}

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
