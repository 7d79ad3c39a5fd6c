//! The scenarios, each for a moment on threads of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::{Contender, Step, Vcpu};
use crate::work;

/// How long a scenario runs.
const MOMENT: Duration = Duration::from_millis(50);

/// Slices between two sections of an owner that has other things to do as well.
const PAUSE: u32 = 200;

/// How many more it waits for the others to execute again, so that there is somebody to stop: a
/// section beside vCPUs that still sleep from the one before costs nothing, and tells nothing.
const PATIENCE: u32 = 8000;

/// Parts of a sorted lot.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
}

impl Quantiles {
    /// Of `values`; nothing of none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (values.len() as f64 * part) as usize;
            values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
        };
        Self { p50: at(0.5), p99: at(0.99), worst: at(1.0) }
    }
}

/// Figures of one algorithm with so many vCPUs.
#[derive(Clone, Serialize)]
pub struct Contended {
    pub threads: usize,
    /// Nanoseconds from request to exclusive, of one owner beside vCPUs that compute and have been given
    /// time to execute since the last section.
    pub wait_ns: Quantiles,
    /// The part of its requests before which all of them had. A vCPU that had not still slept from the
    /// section before, which costs the next nothing, or its thread had no processor.
    pub beside_all: f64,
    /// Nanoseconds of a section whose block is known, and of one whose block has to be translated.
    pub section_ns: [f64; 2],
    /// Of one owner that does nothing else.
    pub sections_per_s: f64,
    /// Beside that one, what a computing vCPU keeps of its speed beside one that computes, too.
    pub kept: Option<f64>,
    /// Nanoseconds from request to exclusive where all want to own all the time.
    pub rival_wait_ns: Quantiles,
    /// Sections of the owner that got the fewest, of the mean.
    pub least_share: f64,
}

impl Contended {
    /// The medians of several rounds.
    pub fn median(rounds: &[Self]) -> Self {
        let of =
            |value: &dyn Fn(&Self) -> f64| Quantiles::of(rounds.iter().map(value).collect()).p50;
        let quantiles = |part: &dyn Fn(&Self) -> Quantiles| Quantiles {
            p50: of(&|round| part(round).p50),
            p99: of(&|round| part(round).p99),
            worst: of(&|round| part(round).worst),
        };
        Self {
            threads: rounds.first().map_or(0, |round| round.threads),
            wait_ns: quantiles(&|round| round.wait_ns),
            beside_all: of(&|round| round.beside_all),
            section_ns: [0, 1].map(|cold| of(&|round| round.section_ns[cold])),
            sections_per_s: of(&|round| round.sections_per_s),
            kept: rounds
                .iter()
                .all(|round| round.kept.is_some())
                .then(|| of(&|round| round.kept.unwrap_or_default())),
            rival_wait_ns: quantiles(&|round| round.rival_wait_ns),
            least_share: of(&|round| round.least_share),
        }
    }
}

/// Nanoseconds to enter and leave.
pub fn fast_path_ns<C: Contender>() -> f64 {
    const PASSES: u32 = 20_000;
    let mut vcpus = C::vcpus(1);
    let Some(vcpu) = vcpus.first_mut() else { return 0.0 };
    vcpu.attach();
    let mut time = || {
        let start = Instant::now();
        (0..PASSES).for_each(|_| vcpu.pass());
        start.elapsed().as_nanos() as f64 / f64::from(PASSES)
    };
    (0..50).map(|_| time()).fold(f64::MAX, f64::min)
}

/// All scenarios with so many threads.
pub fn contended<C: Contender>(threads: usize) -> Contended {
    let beside = scenario::<C>(threads, 1, Owner::NowAndThen);
    let steps = &beside.steps[0];
    let lengths = |cold: usize| {
        Quantiles::of(steps.iter().skip(cold).step_by(2).map(|step| step.section_ns).collect()).p50
    };
    let alone = scenario::<C>(threads, 0, Owner::AllTheTime);
    let against = scenario::<C>(threads, 1, Owner::AllTheTime);
    let rivals = scenario::<C>(threads, threads, Owner::AllTheTime);
    let counts: Vec<f64> = rivals.steps.iter().map(|steps| steps.len() as f64).collect();
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    let waits = |steps: &[Vec<Step>]| {
        Quantiles::of(steps.iter().flatten().map(|step| step.wait_ns).collect())
    };
    Contended {
        threads,
        wait_ns: waits(&beside.steps),
        beside_all: beside.beside_all as f64 / steps.len() as f64,
        section_ns: [lengths(0), lengths(1)],
        sections_per_s: against.steps[0].len() as f64 / against.seconds,
        kept: (threads > 1).then(|| against.slices_per_s() / alone.slices_per_s()),
        rival_wait_ns: waits(&rivals.steps),
        least_share: counts.into_iter().fold(f64::MAX, f64::min) / mean,
    }
}

#[derive(Clone, Copy)]
enum Owner {
    NowAndThen,
    AllTheTime,
}

/// What came of a scenario.
struct Outcome {
    seconds: f64,
    /// The sections of each owner.
    steps: Vec<Vec<Step>>,
    /// How many were requested behind a moment in which all the others had executed.
    beside_all: u64,
    /// The slices of each vCPU that computes.
    slices: Vec<u64>,
}

impl Outcome {
    /// Of a computing vCPU.
    fn slices_per_s(&self) -> f64 {
        self.slices.iter().sum::<u64>() as f64 / self.slices.len() as f64 / self.seconds
    }
}

/// Slices that each computing vCPU has executed.
struct Progress(Box<[Counter]>);

#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Progress {
    fn now(&self) -> Vec<u64> {
        self.0.iter().map(|Counter(slices)| slices.load(Ordering::Relaxed)).collect()
    }

    /// Whether each has executed a few since it was at these numbers.
    fn all_since(&self, before: &[u64]) -> bool {
        let mut pairs = self.0.iter().zip(before);
        pairs.all(|(Counter(slices), before)| slices.load(Ordering::Relaxed) > before + 2)
    }
}

/// `owners` of the threads own sections, the others compute.
fn scenario<C: Contender>(threads: usize, owners: usize, owner: Owner) -> Outcome {
    let over = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(Progress((owners..threads).map(|_| Counter::default()).collect()));
    let begin = Arc::new(Barrier::new(threads + 1));
    let mut vcpus = C::vcpus(threads);
    let computing = vcpus.split_off(owners);
    let met = Arc::new(AtomicU64::new(0));
    let owning: Vec<_> = vcpus
        .into_iter()
        .map(|mut vcpu| {
            let (over, begin, progress) = (over.clone(), begin.clone(), progress.clone());
            let met = met.clone();
            thread::spawn(move || {
                vcpu.attach();
                begin.wait();
                let mut steps = Vec::with_capacity(1 << 16);
                while !over.load(Ordering::Relaxed) {
                    let cold = matches!(owner, Owner::NowAndThen) && steps.len() % 2 == 1;
                    steps.push(vcpu.step_exclusive(|| work::look_up(cold), work::step));
                    if let Owner::NowAndThen = owner {
                        let before = progress.now();
                        let mut executed = 0;
                        vcpu.execute(|| {
                            work::slice();
                            executed += 1;
                            let wait = executed < PATIENCE && !progress.all_since(&before);
                            executed < PAUSE || wait
                        });
                        met.fetch_add(progress.all_since(&before).into(), Ordering::Relaxed);
                    }
                }
                steps
            })
        })
        .collect();
    let computing: Vec<_> = computing
        .into_iter()
        .enumerate()
        .map(|(number, mut vcpu)| {
            let (over, begin, progress) = (over.clone(), begin.clone(), progress.clone());
            thread::spawn(move || {
                vcpu.attach();
                begin.wait();
                let mut slices = 0;
                vcpu.execute(|| {
                    work::slice();
                    slices += 1;
                    progress.0[number].0.store(slices, Ordering::Relaxed);
                    !over.load(Ordering::Relaxed)
                });
                slices
            })
        })
        .collect();
    begin.wait();
    let start = Instant::now();
    thread::sleep(MOMENT);
    over.store(true, Ordering::Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    let steps = owning.into_iter().map(|thread| thread.join().unwrap_or_default()).collect();
    Outcome {
        seconds,
        steps,
        beside_all: met.load(Ordering::Relaxed),
        slices: computing.into_iter().map(|thread| thread.join().unwrap_or_default()).collect(),
    }
}
