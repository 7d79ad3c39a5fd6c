//! What vCPUs do: arithmetic that takes as long as the real thing, without touching memory.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

/// What the parts take, in nanoseconds, on a quiet processor: a slice of the interpreter, a look-up
/// that finds a block and one that translates it, and one instruction.
const SLICE_NS: f64 = 82.0;
const WARM_NS: f64 = 40.0;
const COLD_NS: f64 = 2000.0;
const STEP_NS: f64 = 20.0;

/// Iterations in a nanosecond.
static PER_NS: OnceLock<f64> = OnceLock::new();

#[inline(never)]
fn spin(iterations: u64) {
    let mut value = black_box(1_u64);
    for _ in 0..iterations {
        value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7);
    }
    black_box(value);
}

fn spin_ns(ns: f64) {
    spin((ns * PER_NS.get().copied().unwrap_or(1.0)) as u64);
}

/// Finds out how fast this processor is.
pub fn calibrate() {
    const ITERATIONS: u64 = 100_000;
    let times = (0..50).map(|_| time_ns(1, || spin(ITERATIONS)));
    let _ = PER_NS.set(ITERATIONS as f64 / times.fold(f64::MAX, f64::min));
}

/// Nanoseconds of one call, the least of a few times.
pub fn time_ns(calls: u32, call: impl Fn()) -> f64 {
    let time = || {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..5).map(|_| time()).fold(f64::MAX, f64::min)
}

/// Executes until the next poll.
pub fn slice() {
    spin_ns(SLICE_NS);
}

/// Finds a block, or translates it.
pub fn look_up(cold: bool) {
    spin_ns(if cold { COLD_NS } else { WARM_NS });
}

/// Executes one instruction.
pub fn step() {
    spin_ns(STEP_NS);
}

/// What a slice takes.
pub fn slice_ns() -> f64 {
    time_ns(1000, slice)
}

/// What a look-up takes.
pub fn look_up_ns(cold: bool) -> f64 {
    time_ns(1000, || look_up(cold))
}
