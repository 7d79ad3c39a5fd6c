//! How models are run, and the threads that they run on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom::cell::UnsafeCell;
use loom::sync::Notify;
use loom::thread::JoinHandle;
use models::exclusive::{Gate, Inside, Outside, Parking, Section, Wanted};
use models::sync::Site;

/// Names the [`Site`] to leave out.
pub const OMIT: &str = "OMIT_SITE";

/// Checks all interleavings with at most `preemptions` of them.
pub fn model(preemptions: usize, threads: impl Fn() + Send + Sync + 'static) {
    let name = std::env::var(OMIT).ok();
    let omitted = |site: &Site| name.as_ref().is_some_and(|name| *name == format!("{site:?}"));
    Site::omit(Site::ALL.into_iter().find(omitted));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(threads);
}

/// The host's side of each slot: a token to sleep on, and one that ends execution.
pub struct Threads {
    tokens: Vec<Notify>,
    kicks: Vec<Notify>,
    /// Whether the slot's thread was ever about to sleep: for the model's own eyes.
    slept: Vec<AtomicBool>,
}

impl Threads {
    /// Whether the slot's thread was ever about to sleep.
    pub fn has_slept(&self, slot: usize) -> bool {
        self.slept[slot].load(Ordering::Relaxed)
    }

    /// A guest that never ends: executes until somebody kicks the vCPU, or has before.
    pub fn execute_until_kicked(&self, slot: usize, _inside: Inside<'_>) {
        self.kicks[slot].wait();
    }
}

impl Parking for Threads {
    fn park(&self, slot: usize) {
        self.slept[slot].store(true, Ordering::Relaxed);
        self.tokens[slot].wait();
    }

    fn unpark(&self, slot: usize) {
        self.tokens[slot].notify();
    }

    fn kick(&self, slot: usize, _: Wanted) {
        self.kicks[slot].notify();
    }
}

/// A gate for `N` participants, which are owed one poll after each section that they waited out.
pub fn participants<const N: usize>() -> (Arc<Threads>, [Outside; N]) {
    let threads = Arc::new(Threads {
        tokens: (0..N).map(|_| Notify::new()).collect(),
        kicks: (0..N).map(|_| Notify::new()).collect(),
        slept: (0..N).map(|_| AtomicBool::new(false)).collect(),
    });
    let gate = Gate::with_quota(N, 1, threads.clone());
    (threads, std::array::from_fn(|slot| gate.claim(slot).expect("nobody has it")))
}

/// What may be read in execution and written in a section. Loom sees to it that no two threads do
/// so at once, or without an order.
#[derive(Default)]
pub struct World(UnsafeCell<()>);

// SAFETY: loom panics where two threads use it at once.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    /// A vCPU does something in it.
    pub fn execute(&self) {
        self.0.with(|_| ());
    }

    /// An owner changes it.
    pub fn change(&self, _: &Section<'_>) {
        self.0.with_mut(|_| ());
    }
}

/// Executes once.
pub fn execute(outside: &mut Outside, world: &World) {
    let _inside = outside.enter();
    world.execute();
}

/// Changes the world in a section.
pub fn own(outside: &mut Outside, world: &World) {
    let section = outside.open();
    world.change(&section);
}

/// Waits for the threads of a model.
pub fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().expect("no failure");
    }
}
