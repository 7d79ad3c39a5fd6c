//! `threads`: many threads contend for few locks, and yield while they hold one, as in sysbench's
//! test of the same name. One event is a round over all locks.

use super::lock::Lock;
use super::measure;
use super::{Effort, Machine, Report};
use alloc::vec;
use alloc::vec::Vec;

const LOCKS: usize = 8;
const ROUNDS: usize = 4;
/// Threads for each that the effort names.
const CROWD: usize = 8;

pub(super) fn run(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let locks: Vec<Lock<u64>> = (0..LOCKS).map(|_| Lock::new(0)).collect();
    let threads = effort.threads * CROWD;
    let report = measure::on_threads(machine, threads, effort, "threads", 1, |thread, _| {
        for round in 0..ROUNDS * LOCKS {
            locks[(thread + round) % LOCKS].with(machine, |count| {
                machine.yield_now();
                *count += 1;
            });
        }
        (ROUNDS * LOCKS) as u64
    });
    let taken: u64 = locks.into_iter().map(Lock::into_inner).sum();
    assert!(taken == report.events * (ROUNDS * LOCKS) as u64, "a section was lost");
    vec![report]
}
