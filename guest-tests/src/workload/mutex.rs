//! `mutex`: threads take one of many locks, change what it guards, and let go; sections are short and
//! meet seldom, as in sysbench's test of the same name. One event is a few hundred sections.

use super::lock::Lock;
use super::measure::{self, mix};
use super::{Effort, Machine, Report};
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

const LOCKS: usize = 4096;
const SECTIONS: usize = 256;
const CYCLE: usize = 16;
/// Rounds of work between two sections.
const WORK: u64 = 8;

pub(super) fn run(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let locks: Vec<Lock<u64>> = (0..LOCKS).map(|_| Lock::new(0)).collect();
    let report =
        measure::on_threads(machine, effort.threads, effort, "mutex", CYCLE, |_, number| {
            (0..SECTIONS).fold(number as u64, |value, section| {
                let value = (0..WORK).fold(value, |value, _| mix(black_box(value)));
                let lock = &locks[mix((number * SECTIONS + section) as u64) as usize % LOCKS];
                lock.with(machine, |count| *count += 1);
                value
            })
        });
    let taken: u64 = locks.into_iter().map(Lock::into_inner).sum();
    assert!(taken == report.events * SECTIONS as u64, "a section was lost");
    vec![report]
}
