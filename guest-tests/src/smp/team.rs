//! Closures on several processors at once, and a barrier for them to meet at. Processors without work
//! sleep until an interrupt wakes them.

use super::{count, ids, start_all};
use crate::device::apic;
use crate::interrupt::set_handler;
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use spin::Once;
use x86_64::instructions::interrupts;

/// The interrupt that tells a sleeping processor to look for work.
const WAKE_VECTOR: u8 = 0xfd;
const MOST: usize = 256;

/// A closure that processors are to run.
struct Job<'a> {
    body: &'a (dyn Fn(usize) + Sync),
    running: AtomicUsize,
}

/// What waits for each processor.
static JOBS: [AtomicPtr<Job<'static>>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];

/// Runs `body` on the first `cpus` processors at once, with their numbers; returns when all are done.
/// Interrupts are off in it.
pub fn run(cpus: usize, body: &(dyn Fn(usize) + Sync)) {
    static STARTED: Once<()> = Once::new();
    assert!((1..=count()).contains(&cpus), "{cpus} processors wanted of {}", count());
    STARTED.call_once(|| {
        set_handler(WAKE_VECTOR, |_| apic::end_of_interrupt());
        start_all(serve);
    });
    let job = Job { body, running: AtomicUsize::new(cpus - 1) };
    for (number, waiting) in JOBS.iter().enumerate().take(cpus).skip(1) {
        // The job outlives its use: this waits for it.
        waiting.store((&raw const job).cast_mut().cast(), Ordering::Release);
        send(number, WAKE_VECTOR);
    }
    body(0);
    while job.running.load(Ordering::Acquire) != 0 {
        spin_loop();
    }
}

/// Sends an interrupt to a processor.
pub fn send(number: usize, vector: u8) {
    apic::send_to(ids()[number], vector.into());
}

/// Runs what comes.
fn serve(number: usize) {
    loop {
        let job = JOBS[number].swap(ptr::null_mut(), Ordering::Acquire);
        if job.is_null() {
            // STI's shadow covers the HLT: a wake-up that is pending already ends it.
            interrupts::enable_and_hlt();
            interrupts::disable();
            continue;
        }
        // SAFETY: `run` waits until this is done with it.
        let job = unsafe { &*job };
        (job.body)(number);
        interrupts::disable();
        job.running.fetch_sub(1, Ordering::Release);
    }
}

/// Lets nobody pass before all have come; again and again.
#[derive(Debug)]
pub struct Barrier {
    cpus: usize,
    arrived: AtomicUsize,
    passed: AtomicUsize,
}

impl Barrier {
    /// For this many processors.
    pub const fn new(cpus: usize) -> Self {
        Self { cpus, arrived: AtomicUsize::new(0), passed: AtomicUsize::new(0) }
    }

    /// Waits for all others.
    pub fn wait(&self) {
        let passed = self.passed.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.cpus {
            self.arrived.store(0, Ordering::Relaxed);
            self.passed.store(passed.wrapping_add(1), Ordering::Release);
        } else {
            while self.passed.load(Ordering::Acquire) == passed {
                spin_loop();
            }
        }
    }
}
