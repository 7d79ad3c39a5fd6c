//! Exclusive sections: vCPUs execute together, or one owner acts while none executes.
//!
//! What needs that: an atomic access that the host can't do atomically, a change of the memory map,
//! a snapshot, a debugger's stop, a flush of translated code. Owners are vCPUs that do not execute
//! at the moment, and threads of the host, all alike.
//!
//! `gate` has the protocol, `slot` what participants see of each other, `token` who may do what,
//! `queue` and `work` jobs for the thread of a vCPU. Threads are the host's: it implements
//! [`Parking`]. Nothing here knows what a vCPU is.
//!
//! ```
//! use std::sync::{Arc, OnceLock};
//! use std::thread::{self, Thread};
//!
//! use monovisor_core::exclusive::{Gate, Parking};
//!
//! /// A thread for each slot.
//! struct Threads([OnceLock<Thread>; 2]);
//!
//! impl Parking for Threads {
//!     fn park(&self, _slot: usize) {
//!         thread::park();
//!     }
//!     fn unpark(&self, slot: usize) {
//!         if let Some(thread) = self.0[slot].get() {
//!             thread.unpark();
//!         }
//!     }
//! }
//!
//! let threads = Arc::new(Threads(Default::default()));
//! let gate = Gate::new(2, threads.clone());
//!
//! // A vCPU, which executes until a section is wanted, a thousand times.
//! let mut vcpu = gate.claim(0).ok_or("slot 0 is taken")?;
//! threads.0[0].set(thread::current()).map_err(|_| "set before")?;
//!
//! // A debugger.
//! let mut debugger = gate.claim(1).ok_or("slot 1 is taken")?;
//! let other = thread::spawn({
//!     let threads = threads.clone();
//!     move || {
//!         threads.0[1].set(thread::current()).ok();
//!         for _ in 0..1000 {
//!             let section = debugger.open();
//!             // Nobody executes here.
//!             drop(section);
//!         }
//!     }
//! });
//! while !other.is_finished() {
//!     let mut inside = vcpu.enter();
//!     for _ in 0..100 {
//!         if inside.poll() {
//!             inside.pause();
//!         }
//!     }
//! }
//! other.join().map_err(|_| "the debugger panicked")?;
//! # Ok::<(), &str>(())
//! ```
//!
//! A vCPU that executes can't open a section: it would wait for itself.
//!
//! ```compile_fail,E0499
//! # fn f(mut vcpu: monovisor_core::exclusive::Outside) {
//! let inside = vcpu.enter();
//! let section = vcpu.open();
//! drop(inside);
//! # }
//! ```

mod gate;
mod queue;
mod slot;
mod token;
mod work;

pub use gate::Gate;
pub use token::{Inside, Outside, Section, Watch};
pub use work::Work;

/// How the threads of the participants sleep and are woken. Each participant sleeps on one thread,
/// the one that has its token.
pub trait Parking: Send + Sync {
    /// Sleeps until [`unpark`](Self::unpark) was called for `slot` since the last time this
    /// returned. It may return sooner. Called by the thread that holds the token of `slot`.
    fn park(&self, slot: usize);

    /// Ends the sleep of `slot`, or its next if it does not sleep: a call is never lost. What
    /// happened before the call is seen by the thread that it wakes.
    fn unpark(&self, slot: usize);

    /// Makes the vCPU of `slot` leave its guest soon, so that it sees what is wanted; if it is not
    /// executing, the next time it does. Whatever [`polls`](Inside::poll) needs no kick for the gate.
    fn kick(&self, _slot: usize, _wanted: Wanted) {}
}

/// Why a vCPU is kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An owner waits for it.
    Section,
    /// Work does.
    Work,
}
