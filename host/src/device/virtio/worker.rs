//! Who serves a queue: a thread of its own, so that the guest computes while the disk works; in a
//! deterministic machine the vCPU that notifies, and so everywhere for a single request that needs no
//! waiting, because to wake a thread and be woken by it takes longer.
//!
//! Invariants: requests are taken in the order in which the guest made them available, and each is
//! in the used ring before an interrupt tells of it. While `busy` is false, no interrupt is on its
//! way. Lock order: `service` alone; the thread holds it for one request at a time.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use virtio_bindings::virtio_mmio::{VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING};
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemoryMmap;

use super::Backend;
use crate::memory::GuestRam;
use crate::remote::Remote;

/// Entries of the queue at most; a power of 2.
pub const QUEUE_SIZE: u16 = 256;

/// A queue with its device, and who serves it.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The queue and the device behind it.
pub struct Service {
    pub queue: Queue,
    pub backend: Box<dyn Backend>,
}

struct Shared {
    service: Mutex<Service>,
    ram: Arc<GuestRam>,
    /// Bits of the interrupt status register.
    interrupt: AtomicU32,
    /// The guest has broken its queue: nothing more is served until it resets the device.
    broken: AtomicBool,
    /// A notification is being served, or waits to be.
    busy: AtomicBool,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

/// What the thread has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Service,
    End,
}

/// What one look at the queue found.
enum Progress {
    Served {
        interrupt: bool,
    },
    Empty,
    /// The request would have to be waited for.
    Waits,
    Broken,
}

impl Worker {
    /// A worker for `backend` on a thread that tells `remote` of interrupts; without one, or if
    /// the host has no thread to give, requests are served at once.
    pub fn new(backend: Box<dyn Backend>, ram: Arc<GuestRam>, remote: Option<Remote>) -> Self {
        let shared = Arc::new(Shared {
            service: Mutex::new(Service { queue: empty_queue(), backend }),
            ram,
            interrupt: AtomicU32::new(0),
            broken: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            wanted: Mutex::new(Wanted::Nothing),
            changed: Condvar::new(),
        });
        let thread = remote.and_then(|remote| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("disk".into()).spawn(move || shared.serve(&remote)).ok()
        });
        Self { shared, thread }
    }

    /// The queue and the device, once the request that is being served is done.
    pub fn service(&self) -> MutexGuard<'_, Service> {
        self.shared.service()
    }

    /// The guest has made requests available.
    pub fn notify(&self) {
        if self.thread.is_none() {
            return self.serve_in_line();
        }
        if !self.is_busy() && self.shared.serve_at_once() {
            return;
        }
        let mut wanted = self.shared.wanted();
        // Under the lock, or the thread could take this notification for the one it has served.
        self.shared.busy.store(true, Ordering::Release);
        if *wanted == Wanted::Nothing {
            *wanted = Wanted::Service;
            self.shared.changed.notify_one();
        }
    }

    /// Serves on the vCPU that calls. One notification is worth a full queue: a guest whose requests
    /// make further ones must not keep the machine from looking at its limits.
    pub fn serve_in_line(&self) {
        let emptied = self.shared.drain(QUEUE_SIZE.into(), || {});
        self.shared.busy.store(!emptied, Ordering::Release);
    }

    /// Whether there are requests left for [`serve_in_line`](Self::serve_in_line).
    pub fn waits_in_line(&self) -> bool {
        self.thread.is_none() && self.is_busy()
    }

    /// Whether requests may be on their way.
    pub fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::Acquire)
    }

    /// The interrupt status register.
    pub fn interrupt_status(&self) -> u32 {
        self.shared.interrupt.load(Ordering::Acquire)
    }

    /// The driver has seen the interrupts in `bits`.
    pub fn acknowledge(&self, bits: u32) {
        self.shared.interrupt.fetch_and(!bits, Ordering::AcqRel);
    }

    /// Whether the guest has broken its queue.
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Acquire)
    }

    /// Takes the guest's requests and forgets its queue. Returns when the one that is being served
    /// is done.
    pub fn reset(&self) {
        let mut service = self.service();
        service.queue = empty_queue();
        self.shared.interrupt.store(0, Ordering::Release);
        self.shared.broken.store(false, Ordering::Release);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        *self.shared.wanted() = Wanted::End;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The thread's life.
    fn serve(&self, remote: &Remote) {
        while self.next() {
            self.drain(usize::MAX, || remote.wake());
            {
                let wanted = self.wanted();
                if *wanted != Wanted::Nothing {
                    continue;
                }
                self.busy.store(false, Ordering::Release);
            }
            // A guest that waits with its interrupts suppressed waits for nothing now.
            remote.wake();
        }
    }

    /// Waits for a notification; false is the end.
    fn next(&self) -> bool {
        let mut wanted = self.wanted();
        loop {
            match *wanted {
                Wanted::End => return false,
                Wanted::Service => {
                    *wanted = Wanted::Nothing;
                    return true;
                }
                Wanted::Nothing => {
                    wanted = self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Serves requests, at most `limit`, until there are no more or the worker is to end; calls
    /// `interrupt` when the interrupt status has become other than 0. Whether nothing is left to do.
    fn drain(&self, limit: usize, interrupt: impl Fn()) -> bool {
        for _ in 0..limit {
            if *self.wanted() == Wanted::End {
                return true;
            }
            let handle = |backend: &mut dyn Backend, memory: &_, descriptors: &_| {
                Some(backend.handle(memory, descriptors))
            };
            match self.show(self.serve_one(handle)) {
                None => return true,
                Some(true) => interrupt(),
                Some(false) => {}
            }
        }
        false
    }

    /// Serves the next request if that needs no waiting. Whether nothing is left to do.
    fn serve_at_once(&self) -> bool {
        let handle = |backend: &mut dyn Backend, memory: &_, descriptors: &_| {
            backend.handle_at_once(memory, descriptors)
        };
        let served = self.show(self.serve_one(handle)).is_some();
        let memory = self.ram.as_vm_memory();
        let queue = &self.service().queue;
        let next = queue.avail_idx(memory, Ordering::Acquire).map(|index| index.0);
        served && next.ok() == Some(queue.next_avail())
    }

    /// Shows the guest what a look at the queue has come to: whether the interrupt status has become
    /// other than 0 by it, and none if nothing was done.
    fn show(&self, progress: Progress) -> Option<bool> {
        let bits = match progress {
            Progress::Served { interrupt: false } => return Some(false),
            Progress::Served { interrupt: true } => VIRTIO_MMIO_INT_VRING,
            Progress::Empty | Progress::Waits => return None,
            Progress::Broken => {
                self.broken.store(true, Ordering::Release);
                VIRTIO_MMIO_INT_CONFIG
            }
        };
        Some(self.interrupt.fetch_or(bits, Ordering::AcqRel) == 0)
    }

    /// Has the device carry out the next request, which gives how many bytes it has written, if it does.
    fn serve_one(
        &self,
        carry_out: impl FnOnce(&mut dyn Backend, &GuestMemoryMmap, &[Descriptor]) -> Option<u32>,
    ) -> Progress {
        let memory = self.ram.as_vm_memory();
        let mut service = self.service();
        let Service { queue, backend } = &mut *service;
        if self.broken.load(Ordering::Acquire) || !queue.is_valid(memory) {
            return Progress::Empty;
        }
        let chain = match queue.iter(memory) {
            Ok(mut chains) => chains.next(),
            Err(_) => return Progress::Broken,
        };
        let Some(chain) = chain else { return Progress::Empty };
        let head = chain.head_index();
        // Looked at once: a request may write over its own descriptors, and so may another processor.
        let descriptors: Vec<_> = chain.collect();
        let Some(written) = carry_out(&mut **backend, memory, &descriptors) else {
            queue.set_next_avail(queue.next_avail().wrapping_sub(1));
            return Progress::Waits;
        };
        for buffer in descriptors.iter().filter(|one| one.is_write_only()) {
            self.ram.written(buffer.addr().0, buffer.len().into());
        }
        let used = queue.add_used(memory, head, written);
        match used.and_then(|()| queue.needs_notification(memory)) {
            Ok(interrupt) => Progress::Served { interrupt },
            Err(_) => Progress::Broken,
        }
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn empty_queue() -> Queue {
    Queue::new(QUEUE_SIZE).expect("the size is a power of 2")
}
