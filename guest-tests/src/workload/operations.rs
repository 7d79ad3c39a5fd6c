//! `syscall`, `context`, `interrupt`, `exit`: what it costs that somebody else has to act. One event is
//! one operation; short ones are timed some at a time.

use super::measure::marked;
use super::{Effort, Latency, Machine, Operation, Report};
use alloc::vec::Vec;

pub(super) fn system_calls(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    measure(machine, effort, &[("syscall", Operation::SystemCall, 64)])
}

pub(super) fn contexts(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    measure(machine, effort, &[("context", Operation::AddressSpace, 64)])
}

pub(super) fn interrupts(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let timer = ("interrupt.timer", Operation::Timer, 1);
    measure(machine, effort, &[timer, ("interrupt.signal", Operation::Signal, 1)])
}

pub(super) fn exits(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let port = ("exit.port", Operation::PortWrite, 16);
    measure(machine, effort, &[port, ("exit.memory", Operation::MemoryMappedRead, 16)])
}

/// Each with how many are timed at once.
fn measure(
    machine: &dyn Machine,
    effort: Effort,
    operations: &[(&'static str, Operation, u64)],
) -> Vec<Report> {
    let duration_ns = effort.duration_ns / operations.len() as u64;
    let measure = |&(name, operation, batch): &(&'static str, Operation, u64)| {
        let mut latency = Latency::default();
        let (mut events, mut elapsed_ns) = (0, 0);
        let start_ns = machine.now_ns();
        while events == 0 || machine.now_ns() - start_ns < duration_ns {
            let taken_ns = machine.perform(operation, batch)?;
            latency.record(taken_ns / batch);
            events += batch;
            elapsed_ns += taken_ns;
        }
        Some(Report { name, events, elapsed_ns, latency, checksum: 0 })
    };
    operations.iter().filter_map(|one| marked(machine, || measure(one))).collect()
}
