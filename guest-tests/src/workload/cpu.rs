//! `cpu`: primes by trial division, as sysbench's test of the same name finds them. One event counts
//! those below a limit.

use super::measure;
use super::{Effort, Machine, Report};
use alloc::vec;
use alloc::vec::Vec;

/// The limits, one for each number of the cycle.
const CYCLE: usize = 8;

pub(super) fn run(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let primes = |number| primes_below(2000 + 100 * number as u64);
    vec![measure::in_user_mode(machine, effort, "cpu", CYCLE, primes)]
}

/// How many primes there are below `limit`: 64-bit divisions by all numbers up to the root.
fn primes_below(limit: u64) -> u64 {
    let is_prime = |&candidate: &u64| {
        let mut divisor = 2;
        while divisor * divisor <= candidate {
            if candidate.is_multiple_of(divisor) {
                return false;
            }
            divisor += 1;
        }
        true
    };
    (3..limit).filter(is_prime).count() as u64
}
