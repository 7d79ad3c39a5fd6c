//! The run loop: executes the guest in slices that end where something is due, carries accesses to
//! the bus and interrupts to the engines, sleeps when the guest halts, and turns what ends a run
//! into an [`Outcome`].
//!
//! Three loops share the `processor`'s slice: a processor that is `alone`, several on `threads`
//! of their own over one `machine`, and several in `turns` on one thread, whose every run is the
//! same. Invariant: no slice is longer than `pace::MAX_SLICE` instructions, so limits, stop requests
//! and deadlines are seen soon whatever the guest does.

mod alone;
mod machine;
mod pace;
mod processor;
mod threads;
mod turns;

#[cfg(test)]
mod tests;

use std::time::Instant;

use crate::clock::Time;
use crate::config::DebugExit;
use crate::device::Signal;
use crate::outcome::Outcome;
use crate::vm::{Vm, VmError};

/// Where a run ends that the guest does not end.
#[derive(Clone, Copy, Debug)]
struct Limits {
    until: Option<Instant>,
    /// Counted from this boot.
    instructions: u64,
}

/// Runs the machine until something ends the run.
///
/// # Errors
/// Only when a machine that reboots can't be made anew.
pub fn run(vm: &mut Vm) -> Result<Outcome, VmError> {
    let started = Instant::now();
    let before = vm.wall_time;
    let left = vm.config.timeout.map(|timeout| timeout.saturating_sub(before));
    // A limit beyond the end of the host's clock is none.
    let until = left.and_then(|left| started.checked_add(left));
    let outcome = loop {
        let outcome = boot(vm, until);
        vm.wall_time = before + started.elapsed();
        let resets = matches!(outcome, Outcome::Reset { .. } | Outcome::TripleFault);
        if !(resets && vm.config.reboot) {
            break outcome;
        }
        vm.reboot()?;
    };
    Ok(outcome)
}

/// One boot, until something ends it.
fn boot(vm: &mut Vm, until: Option<Instant>) -> Outcome {
    let max = vm.config.max_instructions.unwrap_or(u64::MAX);
    let instructions = max.saturating_sub(vm.retired_before_reboot);
    let limits = Limits { until, instructions };
    vm.ended_by = None;
    let run = match vm.processors.len() {
        1 => alone::run,
        _ if vm.config.deterministic => turns::run,
        _ => threads::run,
    };
    let outcome = run(vm, limits).unwrap_or_else(Outcome::EngineFailure);
    vm.remote.detach();
    let bootstrap = &vm.processors[0];
    let retired = bootstrap.engine.instructions().unwrap_or(0);
    vm.bus.idle(Time::new(&bootstrap.clock, retired));
    let closed = vm.bus.take_signal() == Some(Signal::OutputClosed);
    if closed && outcome.is_orderly() { Outcome::OutputClosed } else { outcome }
}

/// What a device's signal makes of the run.
fn outcome(signal: Signal, debug_exit: DebugExit) -> Outcome {
    match (signal, debug_exit) {
        (Signal::DebugExit(value), DebugExit::Qemu) => Outcome::Exited((value << 1 | 1) as u8),
        (Signal::DebugExit(value), DebugExit::Raw) => Outcome::Exited(value as u8),
        (Signal::PowerOff, _) => Outcome::PoweredOff,
        (Signal::Reset(cause), _) => Outcome::Reset { cause },
        (Signal::OutputClosed, _) => Outcome::OutputClosed,
    }
}
