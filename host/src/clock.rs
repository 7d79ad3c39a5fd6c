//! The machine's clock: the host's monotonic one, or, for deterministic runs, the number of retired
//! instructions plus the time that the guest has slept through.
//!
//! Invariant: it never runs backwards, and a deterministic clock never looks at the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use monovisor_core::{Clock, InstructionClock};

/// The clock of one machine.
#[derive(Clone, Debug)]
pub enum VmClock {
    /// The host's monotonic clock.
    Host {
        /// When the machine was made.
        start: Instant,
    },
    /// One nanosecond per instruction, and sleep takes no time of the host.
    Deterministic {
        /// Nanoseconds that the guest has slept through.
        skipped_ns: Arc<AtomicU64>,
    },
}

impl VmClock {
    /// A clock that starts now.
    pub fn new(deterministic: bool) -> Self {
        if deterministic {
            Self::Deterministic { skipped_ns: Arc::default() }
        } else {
            Self::Host { start: Instant::now() }
        }
    }

    /// The clock of another processor of the same machine, which retires instructions of its own: a
    /// host's clock is the same for all, a deterministic one is set by who lets them take turns.
    pub fn beside(&self) -> Self {
        match self {
            Self::Host { .. } => self.clone(),
            Self::Deterministic { .. } => Self::new(true),
        }
    }

    /// Moves a deterministic clock forward to `deadline_ns`. A host's clock moves by itself.
    pub fn skip_to(&self, deadline_ns: u64, instructions: u64) {
        if let Self::Deterministic { skipped_ns } = self {
            let distance = deadline_ns.saturating_sub(self.now_ns(instructions));
            skipped_ns.fetch_add(distance, Ordering::Relaxed);
        }
    }

    /// Whether time is counted in instructions.
    pub fn is_deterministic(&self) -> bool {
        matches!(self, Self::Deterministic { .. })
    }
}

impl Clock for VmClock {
    fn now_ns(&self, instructions: u64) -> u64 {
        match self {
            Self::Host { start } => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Self::Deterministic { skipped_ns } => {
                let counted = InstructionClock.now_ns(instructions);
                counted.saturating_add(skipped_ns.load(Ordering::Relaxed))
            }
        }
    }
}

/// A moment that is looked up only when somebody asks: reading the host's clock costs more than
/// most device accesses.
#[derive(Clone, Copy)]
pub struct Time<'a> {
    clock: &'a dyn Clock,
    instructions: u64,
}

impl<'a> Time<'a> {
    /// Now, on a vCPU that has retired `instructions`.
    pub fn new(clock: &'a dyn Clock, instructions: u64) -> Self {
        Self { clock, instructions }
    }

    /// Nanoseconds since the machine was made.
    pub fn now_ns(self) -> u64 {
        self.clock.now_ns(self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deterministic_clock_counts_instructions_and_skips() {
        let clock = VmClock::new(true);
        assert_eq!(clock.now_ns(10), 10);
        clock.skip_to(1000, 10);
        assert_eq!(clock.now_ns(10), 1000);
        clock.skip_to(500, 10);
        assert_eq!(clock.now_ns(20), 1010, "a deadline in the past moves nothing");
        assert!(clock.is_deterministic());
    }

    #[test]
    fn a_host_clock_ignores_instructions_and_never_runs_backwards() {
        let clock = VmClock::new(false);
        let first = clock.now_ns(u64::MAX);
        clock.skip_to(u64::MAX, 0);
        let second = clock.now_ns(0);
        assert!(first <= second && second < u64::MAX / 2);
    }
}
