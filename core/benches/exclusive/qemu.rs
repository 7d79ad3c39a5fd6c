//! QEMU's algorithm as DESIGN tells it: one mutex, two condition variables, a count of pending vCPUs,
//! and two flags for each; a vCPU polls a request of its own, which a kick sets.
//!
//! An owner counts who is running, kicks them, and waits until they have counted themselves down.
//! Who begins to execute meanwhile waits until the count is nothing again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::contender::{Contender, Step, Vcpu};

/// What all vCPUs share.
struct Shared {
    list: Mutex<()>,
    /// Signalled when the last running vCPU has stopped.
    all_stopped: Condvar,
    /// Signalled when a section has ended.
    resume: Condvar,
    /// None: nobody owns. One: somebody does. More: so many less one still run.
    pending: AtomicUsize,
    vcpus: Vec<Flags>,
}

#[derive(Default)]
#[repr(align(128))]
struct Flags {
    running: AtomicBool,
    /// An owner counts on it. Under the lock.
    has_waiter: AtomicBool,
    exit_request: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody owns.
    fn idle<'a>(&self, mut list: MutexGuard<'a, ()>) -> MutexGuard<'a, ()> {
        while self.pending.load(Ordering::Relaxed) != 0 {
            list = self.resume.wait(list).unwrap_or_else(PoisonError::into_inner);
        }
        list
    }

    fn start_exclusive(&self) {
        let mut list = self.idle(self.lock());
        // Whoever begins to execute from here on looks at the lock.
        self.pending.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut running = 0;
        for vcpu in &self.vcpus {
            if vcpu.running.load(Ordering::Relaxed) {
                vcpu.has_waiter.store(true, Ordering::Relaxed);
                vcpu.exit_request.store(true, Ordering::Release);
                running += 1;
            }
        }
        self.pending.store(running + 1, Ordering::Relaxed);
        while self.pending.load(Ordering::Relaxed) > 1 {
            list = self.all_stopped.wait(list).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end_exclusive(&self) {
        let _list = self.lock();
        self.pending.store(0, Ordering::Relaxed);
        self.resume.notify_all();
    }

    #[inline]
    fn start(&self, vcpu: &Flags) {
        vcpu.running.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.pending.load(Ordering::Acquire) != 0 {
            self.start_beside_owner(vcpu);
        }
    }

    #[cold]
    fn start_beside_owner(&self, vcpu: &Flags) {
        let list = self.lock();
        // An owner that counts on it has kicked it, and waits for it to end.
        if !vcpu.has_waiter.load(Ordering::Relaxed) {
            vcpu.running.store(false, Ordering::Relaxed);
            let _list = self.idle(list);
            vcpu.running.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    fn end(&self, vcpu: &Flags) {
        vcpu.running.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.pending.load(Ordering::Relaxed) != 0 {
            self.end_beside_owner(vcpu);
        }
    }

    #[cold]
    fn end_beside_owner(&self, vcpu: &Flags) {
        let _list = self.lock();
        if vcpu.has_waiter.swap(false, Ordering::Relaxed)
            && self.pending.fetch_sub(1, Ordering::Relaxed) == 2
        {
            self.all_stopped.notify_one();
        }
    }
}

/// A vCPU; with `START_FIRST` its look-up is in the section.
pub struct QemuVcpu<const START_FIRST: bool> {
    shared: Arc<Shared>,
    number: usize,
}

/// The look-up before `start_exclusive`: short sections, and a block that may be gone.
pub struct LookUpFirst;

/// The look-up behind it.
pub struct StartFirst;

fn vcpus<const START_FIRST: bool>(count: usize) -> Vec<QemuVcpu<START_FIRST>> {
    let shared = Arc::new(Shared {
        list: Mutex::new(()),
        all_stopped: Condvar::new(),
        resume: Condvar::new(),
        pending: AtomicUsize::new(0),
        vcpus: (0..count).map(|_| Flags::default()).collect(),
    });
    (0..count).map(|number| QemuVcpu { shared: shared.clone(), number }).collect()
}

impl Contender for LookUpFirst {
    const NAME: &'static str = "QEMU 3.0.1";
    type Vcpu = QemuVcpu<false>;

    fn vcpus(count: usize) -> Vec<QemuVcpu<false>> {
        vcpus(count)
    }
}

impl Contender for StartFirst {
    const NAME: &'static str = "QEMU 5.0";
    type Vcpu = QemuVcpu<true>;

    fn vcpus(count: usize) -> Vec<QemuVcpu<true>> {
        vcpus(count)
    }
}

impl<const START_FIRST: bool> Vcpu for QemuVcpu<START_FIRST> {
    fn attach(&mut self) {}

    #[inline]
    fn pass(&mut self) {
        let vcpu = &self.shared.vcpus[self.number];
        self.shared.start(vcpu);
        self.shared.end(vcpu);
    }

    fn execute(&mut self, mut slice: impl FnMut() -> bool) {
        let vcpu = &self.shared.vcpus[self.number];
        let mut wanted = true;
        while wanted {
            vcpu.exit_request.store(false, Ordering::Relaxed);
            self.shared.start(vcpu);
            while wanted && !vcpu.exit_request.load(Ordering::Relaxed) {
                wanted = slice();
            }
            self.shared.end(vcpu);
        }
    }

    fn step_exclusive(&mut self, mut look_up: impl FnMut(), mut step: impl FnMut()) -> Step {
        if !START_FIRST {
            look_up();
        }
        let requested = Instant::now();
        self.shared.start_exclusive();
        let granted = Instant::now();
        if START_FIRST {
            look_up();
        }
        step();
        let ended = Instant::now();
        self.shared.end_exclusive();
        Step::new([requested, granted, ended])
    }
}
