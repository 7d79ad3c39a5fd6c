//! Litmus tests: a few loads and stores on each of some processors, again and again, and what they saw.
//!
//! Processors go through an array of places together: each waits a moment for the others before it
//! goes on to the next place, but never long, so that one whose thread the host does not run holds
//! nobody up.

use super::team::{self, Barrier};
use crate::{bench, println};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The most processors of one test.
const MOST: usize = 4;
/// Places that are gone through at once.
const PLACES: usize = 512;
/// How often a processor looks whether the others have come.
const PATIENCE: u32 = 1000;

/// What a processor's loads found.
pub type Seen = [u64; 2];

/// What a part returns in RAX and RDX.
#[repr(C)]
pub struct Found(u64, u64);

/// A processor's part, on the locations x and y.
pub type Part = extern "C" fn(x: *mut u64, y: *mut u64) -> Found;

/// A part of these instructions: RDI and RSI hold the addresses of x and y, RCX is 1, and what is in
/// RAX and RDX at the end, 0 at first, has been seen.
#[macro_export]
macro_rules! litmus_part {
    ($($line:literal),+ $(,)?) => {{
        #[unsafe(naked)]
        extern "C" fn part(x: *mut u64, y: *mut u64) -> $crate::smp::litmus::Found {
            ::core::arch::naked_asm!(
                "mov ecx, 1",
                "xor eax, eax",
                "xor edx, edx",
                $($line,)+
                "ret",
            )
        }
        part as $crate::smp::litmus::Part
    }};
}

/// What a test came to at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As if the processors had taken turns.
    Ordered,
    /// What an x86 processor may do beyond that.
    Relaxed,
    /// What it must not do.
    Forbidden,
}

/// A test: a processor for each part, and the judgement of what they saw, with the last values of x
/// and y.
pub struct Litmus {
    /// Its name in the literature, and the variant.
    pub name: &'static str,
    /// What the processors do.
    pub parts: &'static [Part],
    /// Judges.
    pub judge: fn(seen: &[Seen], x: u64, y: u64) -> Verdict,
}

/// Words between what is to be in cache lines of its own.
const APART: usize = 16;

/// Begins with a cache line.
#[repr(C, align(128))]
struct Aligned<T>(T);

/// x and y of each place.
static LOCATIONS: Aligned<[AtomicU64; PLACES * 2 * APART]> =
    Aligned([const { AtomicU64::new(0) }; PLACES * 2 * APART]);
/// What each processor has seen at each place.
static SEEN: [AtomicU64; PLACES * 2 * MOST] = [const { AtomicU64::new(0) }; PLACES * 2 * MOST];

/// How far each processor has come.
static PROGRESS: Aligned<[AtomicUsize; MOST * APART]> =
    Aligned([const { AtomicUsize::new(0) }; MOST * APART]);

/// Goes through some `rounds=` places, by default `rounds`, for each test, and prints how many had a
/// relaxed outcome. A forbidden one ends the guest.
pub fn run_all(tests: &[Litmus], rounds: u64) {
    let rounds = bench::argument("rounds", rounds);
    for test in tests {
        let batches = rounds.div_ceil(PLACES as u64);
        let relaxed: u64 = (0..batches).map(|_| test.batch()).sum();
        println!("{}: {relaxed} of {} relaxed", test.name, batches * PLACES as u64);
    }
}

impl Litmus {
    /// Goes through all places once; how many had a relaxed outcome.
    fn batch(&self) -> u64 {
        let cpus = self.parts.len();
        LOCATIONS.0.iter().for_each(|location| location.store(0, Ordering::Relaxed));
        PROGRESS.0.iter().for_each(|progress| progress.store(0, Ordering::Relaxed));
        let begin = Barrier::new(cpus);
        team::run(cpus, &|cpu| {
            begin.wait();
            for (number, place) in LOCATIONS.0.chunks_exact(2 * APART).enumerate() {
                meet(cpu, cpus, number + 1);
                let Found(first, second) =
                    (self.parts[cpu])(place[0].as_ptr(), place[APART].as_ptr());
                let seen = &SEEN[number * 2 * MOST + 2 * cpu..];
                seen[0].store(first, Ordering::Relaxed);
                seen[1].store(second, Ordering::Relaxed);
            }
        });
        let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let mut relaxed = 0;
        for (place, seen) in LOCATIONS.0.chunks_exact(2 * APART).zip(SEEN.chunks_exact(2 * MOST)) {
            let mut all = [[0; 2]; MOST];
            for (all, seen) in all.iter_mut().zip(seen.chunks_exact(2)) {
                *all = [get(&seen[0]), get(&seen[1])];
            }
            let (all, x, y) = (&all[..cpus], get(&place[0]), get(&place[APART]));
            match (self.judge)(all, x, y) {
                Verdict::Ordered => {}
                Verdict::Relaxed => relaxed += 1,
                Verdict::Forbidden => {
                    panic!("{}: forbidden: saw {all:?}, x = {x}, y = {y}", self.name)
                }
            }
        }
        relaxed
    }
}

/// Waits a moment until all processors have come to place `number`.
fn meet(cpu: usize, cpus: usize, number: usize) {
    PROGRESS.0[cpu * APART].store(number, Ordering::Release);
    for other in PROGRESS.0.iter().step_by(APART).take(cpus) {
        for _ in 0..PATIENCE {
            // Without PAUSE, at which a host may let another thread run.
            if other.load(Ordering::Acquire) >= number {
                break;
            }
        }
    }
}
