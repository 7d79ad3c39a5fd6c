//! Time, as a host lends it.

/// A source of time that never runs backwards.
///
/// It is asked while a guest's floating-point modes are loaded, so it must compute in integers.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the machine was made. `instructions` is how many the asking vCPU has
    /// retired: a deterministic clock counts them, a real one ignores them.
    fn now_ns(&self, instructions: u64) -> u64;
}

/// One instruction, one nanosecond: the clock of deterministic runs, and of hosts without one.
#[derive(Clone, Copy, Debug, Default)]
pub struct InstructionClock;

impl Clock for InstructionClock {
    fn now_ns(&self, instructions: u64) -> u64 {
        instructions
    }
}
