//! The workloads of the comparison: what is done natively, in a guest on KVM, on the interpreter and
//! on QEMU, from one source. What differs between those places is [`Machine`]; nothing here knows
//! where it runs.
//!
//! Each workload repeats events until its time is up, and gives how many there were, how long each
//! took, and a checksum of what they computed, which must be the same everywhere.

mod cpu;
mod fileio;
mod latency;
mod lock;
mod measure;
mod memory;
mod mutex;
mod operations;
mod threads;

use alloc::vec::Vec;
use core::fmt;

pub use latency::Latency;

/// Where a workload runs.
pub trait Machine: Sync {
    /// Time since some start.
    fn now_ns(&self) -> u64;

    /// Comes before and after all that one report tells of. A machine whose clock counts something
    /// else than time says here what it shows, to whoever has a clock.
    fn mark(&self) {}

    /// Runs `body` in user mode, as programs do, where that is not what everything does.
    fn in_user_mode(&self, body: &mut dyn FnMut());

    /// Runs `body` with the numbers below `threads` on a thread each, spread over all processors;
    /// returns when all have.
    fn in_parallel(&self, threads: usize, body: &(dyn Fn(usize) + Sync));

    /// Lets another thread run.
    fn yield_now(&self);

    /// The disk, if there is one.
    fn disk(&self) -> Option<&dyn Disk>;

    /// Performs `operation` `count` times. How long they took, without what had to be prepared; and
    /// `None` where there is no such operation.
    fn perform(&self, operation: Operation, count: u64) -> Option<u64>;
}

/// A disk, addressed in bytes. A failure ends the run.
pub trait Disk: Sync {
    /// Its size.
    fn bytes(&self) -> u64;
    /// Reads all of `buffer`, which is a multiple of 512 bytes, as `offset` is.
    fn read(&self, offset: u64, buffer: &mut [u8]);
    /// Writes all of `bytes`, likewise.
    fn write(&self, offset: u64, bytes: &[u8]);
    /// Returns when what was written would survive a loss of power.
    fn flush(&self);
}

/// What costs time because somebody else has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A system call that does nothing, and back.
    SystemCall,
    /// To another address space and back.
    AddressSpace,
    /// From the time for which a timer was set to the code that it wakes.
    Timer,
    /// To another processor, or thread, and back.
    Signal,
    /// A write to an I/O port.
    PortWrite,
    /// A read of a device's register in memory.
    MemoryMappedRead,
}

/// How much is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How long each workload is to last.
    pub duration_ns: u64,
    /// Threads for the workloads that have several.
    pub threads: usize,
}

/// What one workload, or one of its variants, gave.
#[derive(Clone, Debug)]
pub struct Report {
    /// The workload, and after a dot its variant.
    pub name: &'static str,
    /// Events that were completed.
    pub events: u64,
    /// From the first to the last.
    pub elapsed_ns: u64,
    /// How long each took.
    pub latency: Latency,
    /// Of what they computed.
    pub checksum: u64,
}

/// One line of JSON.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, events, elapsed_ns, latency, checksum } = self;
        let [p50, p95, p99] = [50, 95, 99].map(|percent| latency.percentile_ns(percent));
        let max = latency.max_ns();
        write!(f, r#"{{"name":"{name}","events":{events},"elapsed_ns":{elapsed_ns},"#)?;
        write!(f, r#""p50_ns":{p50},"p95_ns":{p95},"p99_ns":{p99},"max_ns":{max},"#)?;
        write!(f, r#""checksum":"{checksum:016x}"}}"#)
    }
}

/// A workload: its name, and what it does. One that can't be done there gives no reports.
type Workload = (&'static str, fn(&dyn Machine, Effort) -> Vec<Report>);

const WORKLOADS: &[Workload] = &[
    ("cpu", cpu::run),
    ("threads", threads::run),
    ("memory", memory::run),
    ("mutex", mutex::run),
    ("fileio", fileio::run),
    ("syscall", operations::system_calls),
    ("context", operations::contexts),
    ("interrupt", operations::interrupts),
    ("exit", operations::exits),
];

/// The names of all workloads.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORKLOADS.iter().map(|(name, _)| *name)
}

/// Runs the workload with this name; `None` if there is none.
pub fn run(name: &str, machine: &dyn Machine, effort: Effort) -> Option<Vec<Report>> {
    let (_, workload) = WORKLOADS.iter().find(|(known, _)| *known == name)?;
    Some(workload(machine, effort))
}
