//! Work for a vCPU that another thread has: on one, on all, or in a section.
//!
//! A vCPU that executes is kicked, one that sleeps is unparked; both then look at one atomic word.
//! Posting takes the boxes of the job from the poster's allocator; the vCPU that serves takes none.
//!
//! What is posted while a section is open is done by each vCPU before its next instruction, if it looks
//! for kicks behind the gate and before it executes: so that all act on one and the same instant.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::queue::Queue;
use super::{Gate, Outside, Section, Wanted};
use crate::sync::{AtomicBool, Ordering, Padded, Site};

/// What waits: it gets the vCPU's context and its token.
type Job<T> = Box<dyn FnOnce(&mut T, &mut Outside) + Send>;

/// Queues of jobs, one for each slot of a gate. `T` is what a job acts on: whatever the thread of a
/// vCPU has at hand when it [`serve`](Self::serve)s.
pub struct Work<T: ?Sized> {
    gate: Arc<Gate>,
    queues: Box<[Padded<Queue<Job<T>>>]>,
}

impl<T: ?Sized> Work<T> {
    /// Empty queues.
    pub fn new(gate: Arc<Gate>) -> Self {
        let queues = (0..gate.slots()).map(|_| Padded::default()).collect();
        Self { gate, queues }
    }

    /// Whether work waits for a slot: one load.
    #[inline]
    pub fn waits_for(&self, slot: usize) -> bool {
        self.queues.get(slot).is_some_and(|queue| queue.is_waiting())
    }

    /// Has `job` done by the vCPU of `slot`, soon. It is dropped if there is no such slot, or if its
    /// vCPU has [`end`](Self::end)ed.
    pub fn post(&self, slot: usize, job: impl FnOnce(&mut T) + Send + 'static) {
        self.push(slot, Box::new(|context, _| job(context)));
    }

    /// Has a copy of `job` done by each vCPU.
    pub fn post_all(&self, job: impl FnOnce(&mut T) + Clone + Send + 'static) {
        for slot in 0..self.queues.len() {
            self.post(slot, job.clone());
        }
    }

    /// As [`post`](Self::post), in a section of that vCPU's.
    pub fn post_exclusive(
        &self,
        slot: usize,
        job: impl FnOnce(&mut T, &Section<'_>) + Send + 'static,
    ) {
        self.push(slot, Box::new(|context, outside| job(context, &outside.open())));
    }

    /// Has `job` done by the vCPU of `slot` and waits for its answer. `None` if it was dropped.
    ///
    /// `meanwhile` runs whenever the caller is woken. A vCPU serves its own queue there, or two that
    /// call each other would wait for ever; a host thread has nothing to do.
    pub fn call<R: Send + 'static>(
        &self,
        caller: &mut Outside,
        slot: usize,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
        mut meanwhile: impl FnMut(&mut Outside),
    ) -> Option<R> {
        let reply = Arc::new(Reply::default());
        let mut sender =
            Sender { reply: reply.clone(), gate: self.gate.clone(), caller: caller.slot() };
        self.post(slot, move |context| sender.send(job(context)));
        while !reply.done.load(Ordering::Acquire) {
            meanwhile(caller);
            if !reply.done.load(Ordering::Acquire) {
                caller.park();
            }
        }
        reply.value.lock().take()
    }

    /// Does what waits for the vCPU that holds `outside`, in the order in which it was posted, until
    /// nothing waits: a job that opens a section may sleep on the token of one that comes meanwhile.
    pub fn serve(&self, outside: &mut Outside, context: &mut T) {
        let Some(queue) = self.queues.get(outside.slot()) else { return };
        while queue.is_waiting() {
            for job in queue.take() {
                job(context, outside);
            }
        }
    }

    /// The vCPU serves no more: what waits for it is dropped, and so is what is posted from now on.
    pub fn end(&self, outside: &Outside) {
        if let Some(queue) = self.queues.get(outside.slot()) {
            drop(queue.close());
        }
    }

    fn push(&self, slot: usize, job: Job<T>) {
        let Some(queue) = self.queues.get(slot) else { return };
        if queue.push(job).is_ok() {
            let parking = self.gate.parking();
            if Site::PostKick.is_kept() {
                parking.kick(slot, Wanted::Work);
            }
            if Site::PostUnpark.is_kept() {
                parking.unpark(slot);
            }
        }
    }
}

/// Where the answer to a call arrives.
struct Reply<R> {
    done: AtomicBool,
    value: spin::Mutex<Option<R>>,
}

impl<R> Default for Reply<R> {
    fn default() -> Self {
        Self { done: AtomicBool::new(false), value: spin::Mutex::new(None) }
    }
}

/// A job's end of a reply. Dropping it wakes the caller, with an answer or without.
struct Sender<R> {
    reply: Arc<Reply<R>>,
    gate: Arc<Gate>,
    caller: usize,
}

impl<R> Sender<R> {
    fn send(&mut self, value: R) {
        *self.reply.value.lock() = Some(value);
    }
}

impl<R> Drop for Sender<R> {
    fn drop(&mut self) {
        self.reply.done.store(true, Ordering::Release);
        if Site::ReplyUnpark.is_kept() {
            self.gate.parking().unpark(self.caller);
        }
    }
}
