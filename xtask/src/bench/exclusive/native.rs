//! What a second processor of the host is worth: the work of two threads that share nothing. Virtual
//! processors may be two threads of one core, or have other guests beside them.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

/// Steps of each thread: some tenths of a second.
const STEPS: u64 = 200_000_000;

/// Seconds in which so many threads each do the work, in registers.
pub fn seconds(threads: usize) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    start.elapsed().as_secs_f64()
}

fn work() {
    let mut state = black_box(1_u64);
    for _ in 0..STEPS {
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7);
    }
    black_box(state);
}
