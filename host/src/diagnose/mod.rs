//! What a person reads when a guest died: why in one line, the exceptions that led there, the code,
//! the callers, the registers, the paging entries of the address at fault, accesses that nothing
//! answered, and the command that repeats the run.
//!
//! This is a view of a guest that has stopped: nothing here runs, changes or waits for one. How a
//! run ended is `outcome`'s, its record for programs `report`'s.
//!
//! Invariant: guest memory, registers and the image are all hostile input. A report takes bounded
//! time and space for any of them, never panics, and holds only printable text.

mod backtrace;
mod disassemble;
mod fault;
mod guest;
mod hint;
mod processors;
mod registers;
mod repeat;
mod report;
#[cfg(test)]
mod sample;
mod symbolize;
mod text;

use std::path::Path;
use std::time::Duration;

use monovisor_core::CpuState;
use monovisor_core::Delivery;

use crate::bus::Unclaimed;
use crate::memory::GuestRam;
use crate::outcome::Outcome;

pub use repeat::command;
pub use report::report;

/// A run that ended otherwise than its guest meant it to, or that somebody looks at while it goes on,
/// with all that explains it.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// How it ended; none if it goes on.
    pub outcome: Option<&'a Outcome>,
    /// The vCPU that ended it; the bootstrap processor if none did.
    pub state: &'a CpuState,
    /// The number of the vCPU that ended it, if one did.
    pub processor: Option<usize>,
    /// All vCPUs, by their numbers; none where there is but one.
    pub processors: &'a [CpuState],
    /// The guest's RAM.
    pub ram: &'a GuestRam,
    /// The vCPU's last deliveries of exceptions, oldest first; empty where the engine keeps none.
    pub deliveries: &'a [Delivery],
    /// Device accesses that no device claimed.
    pub unclaimed: &'a [Unclaimed],
    /// The image, for its symbols.
    pub image: &'a Path,
    /// How far above where it is linked the image was loaded.
    pub bias: u64,
    /// The time limit, if there was one.
    pub timeout: Option<Duration>,
    /// The limit of instructions, if there was one.
    pub max_instructions: Option<u64>,
    /// Instructions retired, where the engine counts them.
    pub instructions: Option<u64>,
    /// Time from the first instruction to the last, unless the report shall repeat exactly.
    pub wall_time: Option<Duration>,
    /// The command that repeats the run: [`command`].
    pub command: &'a str,
}

impl Failure<'_> {
    /// Whether the instruction that ended the run is complete, so that RIP is behind it.
    fn ended_behind_instruction(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Reset { .. } | Outcome::HaltedForever))
    }
}
