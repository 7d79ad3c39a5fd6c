//! A vCPU's look whether work waits for it: QEMU takes the queue's lock for it since 5.1, after the
//! look without turned out to be a race; monovisor's queue is one word.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;

use monovisor_core::exclusive::Work;

use crate::threads::Threads;
use crate::work::time_ns;

/// Nanoseconds with a lock, and without.
pub fn check_ns() -> [f64; 2] {
    const CHECKS: u32 = 100_000;
    let queue: Mutex<VecDeque<u64>> = Mutex::default();
    let (_, gate) = Threads::with_gate(1);
    let work = Work::<u64>::new(gate);
    let locked = time_ns(CHECKS, || {
        black_box(black_box(&queue).lock().is_ok_and(|queue| queue.is_empty()));
    });
    let word = time_ns(CHECKS, || {
        black_box(black_box(&work).waits_for(0));
    });
    [locked, word]
}
