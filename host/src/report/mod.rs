//! What a run leaves behind for others: a sentence for people ([`human`]), a file for programs
//! ([`json`]). The long report on a guest that died is `diagnose`'s.
//!
//! Invariant: nothing here writes to standard output, which belongs to the guest.

pub mod human;
pub mod json;

use std::path::Path;
use std::time::Duration;

use crate::bus::Unclaimed;
use crate::outcome::Outcome;

/// A finished run.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// How it ended.
    pub outcome: &'a Outcome,
    /// The image, as it was named on the command line.
    pub image: &'a Path,
    /// The engine's name: `interpreter` or `kvm`.
    pub engine: &'a str,
    /// How many vCPUs there were.
    pub cpus: usize,
    /// The vCPU that ended the run, if one did.
    pub ended_by: Option<usize>,
    /// Instructions retired by all vCPUs, where the engine counts them.
    pub instructions: Option<u64>,
    /// Time from the first instruction to the last; none where every run is to be told the same.
    pub wall_time: Option<Duration>,
    /// Device accesses that no device claimed.
    pub unclaimed: &'a [Unclaimed],
}
