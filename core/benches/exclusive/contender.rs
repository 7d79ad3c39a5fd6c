//! What each algorithm has to offer to be measured.

use std::time::Instant;

/// An algorithm.
pub trait Contender {
    /// Its name in the report.
    const NAME: &'static str;
    /// A participant, for one thread.
    type Vcpu: Vcpu + Send + 'static;

    /// Participants that exclude each other.
    fn vcpus(count: usize) -> Vec<Self::Vcpu>;
}

/// A vCPU on its thread.
pub trait Vcpu {
    /// The current thread is this vCPU's.
    fn attach(&mut self);

    /// Enters and leaves.
    fn pass(&mut self);

    /// Executes slices and polls between them, as long as `slice` wants.
    fn execute(&mut self, slice: impl FnMut() -> bool);

    /// Executes one instruction while no other vCPU executes, with a look-up before or in the section.
    fn step_exclusive(&mut self, look_up: impl FnMut(), step: impl FnMut()) -> Step;
}

/// What a section took, in nanoseconds.
#[derive(Clone, Copy)]
pub struct Step {
    /// From the request until no other vCPU executed.
    pub wait_ns: f64,
    /// From then until the others could go on.
    pub section_ns: f64,
}

impl Step {
    /// From when it was requested, when it was granted, and when it ended.
    pub fn new([requested, granted, ended]: [Instant; 3]) -> Self {
        let between = |from: Instant, to: Instant| (to - from).as_nanos() as f64;
        Self { wait_ns: between(requested, granted), section_ns: between(granted, ended) }
    }
}
