//! The loop around events: until time is up, and at least once through all of a workload's inputs; by
//! one thread or several, in user mode or not.
//!
//! An event is named by a number below its workload's cycle, and computes the same each time it has
//! that number. So the checksum of one cycle is the checksum of all, however many there were.

use super::lock::Lock;
use super::{Effort, Latency, Machine, Report};
use alloc::vec::Vec;

/// Repeats `event` with the numbers below `cycle` on the machine's only thread.
///
/// # Panics
/// If an event computes another value than it did the first time.
pub fn alone(
    machine: &dyn Machine,
    effort: Effort,
    name: &'static str,
    cycle: usize,
    event: impl FnMut(usize) -> u64,
) -> Report {
    marked(machine, || repeat(machine, effort, name, cycle, event))
}

/// The same in user mode.
pub fn in_user_mode(
    machine: &dyn Machine,
    effort: Effort,
    name: &'static str,
    cycle: usize,
    mut event: impl FnMut(usize) -> u64,
) -> Report {
    let mut report = None;
    marked(machine, || {
        machine.in_user_mode(&mut || {
            report = Some(repeat(machine, effort, name, cycle, &mut event));
        });
    });
    report.expect("the machine runs what it is given")
}

/// The same on `threads` threads at once, of which `event` gets the number, too.
pub fn on_threads(
    machine: &dyn Machine,
    threads: usize,
    effort: Effort,
    name: &'static str,
    cycle: usize,
    event: impl Fn(usize, usize) -> u64 + Sync,
) -> Report {
    let parts = Lock::new(Vec::new());
    marked(machine, || {
        machine.in_parallel(threads, &|thread| {
            let part = repeat(machine, effort, name, cycle, |number| event(thread, number));
            parts.with(machine, |parts| parts.push(part));
        });
    });
    sum(name, &parts.into_inner())
}

/// Runs `body`, which is all that one report tells of.
pub fn marked<R>(machine: &dyn Machine, body: impl FnOnce() -> R) -> R {
    machine.mark();
    let result = body();
    machine.mark();
    result
}

fn repeat(
    machine: &dyn Machine,
    effort: Effort,
    name: &'static str,
    cycle: usize,
    mut event: impl FnMut(usize) -> u64,
) -> Report {
    let mut first = [0; MAX_CYCLE];
    let mut latency = Latency::default();
    let mut events = 0;
    let start_ns = machine.now_ns();
    let mut before_ns = start_ns;
    while events < cycle || before_ns - start_ns < effort.duration_ns {
        let number = events % cycle;
        let value = event(number);
        let after_ns = machine.now_ns();
        latency.record(after_ns - before_ns);
        before_ns = after_ns;
        if events < cycle {
            first[number] = value;
        } else {
            assert!(first[number] == value, "{name}: event {number} gave {value:#x} once");
        }
        events += 1;
    }
    Report {
        name,
        events: events as u64,
        elapsed_ns: before_ns - start_ns,
        latency,
        checksum: checksum(&first[..cycle]),
    }
}

/// The longest cycle.
const MAX_CYCLE: usize = 64;

/// A number that depends on all values and their order.
pub fn checksum(values: &[u64]) -> u64 {
    values.iter().fold(0, |sum: u64, value| mix(sum.rotate_left(5) ^ value))
}

/// A number in which each bit depends on all bits of `value` (Stafford's mix 13).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The sum of several threads' reports, which ran at the same time.
fn sum(name: &'static str, parts: &[Report]) -> Report {
    let mut latency = Latency::default();
    parts.iter().for_each(|part| latency.merge(&part.latency));
    Report {
        name,
        events: parts.iter().map(|part| part.events).sum(),
        elapsed_ns: parts.iter().map(|part| part.elapsed_ns).max().unwrap_or(0),
        latency,
        checksum: parts.first().map_or(0, |part| part.checksum),
    }
}
