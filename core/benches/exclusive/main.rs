//! Three ways to let one vCPU act while no other executes, in one harness on the same work: QEMU
//! 3.0.1's with the look-up of the block before `start_exclusive`, the same with the look-up behind
//! it as from 5.0 on, and monovisor's gate. Prints JSON; `cargo xtask bench exclusive` shows it.
//!
//! A vCPU here is a thread that executes slices of less than a tenth of a microsecond and polls between
//! them, which is the same for all three. What is measured is in `measure`, the work in `work`; what the
//! gate does to the real interpreter, in `interpreter`.

mod contender;
mod gate;
mod idle;
mod interpreter;
mod measure;
mod qemu;
#[path = "../../tests/common/threads.rs"]
mod threads;
mod work;

use contender::Contender;
use interpreter::Interpreter;
use measure::{Contended, Quantiles};
use serde::Serialize;

/// Rounds, in which the contenders take turns; figures are medians over them.
const ROUNDS: usize = 5;

/// How many vCPUs, unless the command line has other numbers.
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// All that was measured.
#[derive(Serialize)]
struct Report {
    /// Processors of the host.
    processors: usize,
    /// Nanoseconds that a slice takes between two polls.
    slice_ns: f64,
    /// Nanoseconds of a look-up that finds the block, and of one that translates it.
    look_up_ns: [f64; 2],
    /// Nanoseconds of a vCPU's look whether work waits for it: under a lock, and at one word.
    idle_check_ns: [f64; 2],
    interpreter: Option<Interpreter>,
    contenders: Vec<Measured>,
}

/// One contender's figures.
#[derive(Serialize)]
struct Measured {
    name: &'static str,
    /// Nanoseconds to enter and to leave while nobody owns anything.
    fast_path_ns: f64,
    contended: Vec<Contended>,
}

fn measure<C: Contender>(threads: &[usize], rounds: &mut [Vec<Contended>]) -> f64 {
    for (&threads, rounds) in threads.iter().zip(rounds) {
        rounds.push(measure::contended::<C>(threads));
    }
    measure::fast_path_ns::<C>()
}

fn main() {
    let mut threads: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    threads.retain(|&threads| threads > 0);
    if threads.is_empty() {
        threads.extend(THREADS);
    }
    work::calibrate();
    let names = [qemu::LookUpFirst::NAME, qemu::StartFirst::NAME, gate::Gated::NAME];
    let contenders =
        [measure::<qemu::LookUpFirst>, measure::<qemu::StartFirst>, measure::<gate::Gated>];
    let mut fast = [const { Vec::new() }; 3];
    let mut rounds = [(); 3].map(|()| vec![Vec::new(); threads.len()]);
    for _ in 0..ROUNDS {
        for ((measure, fast), rounds) in contenders.iter().zip(&mut fast).zip(&mut rounds) {
            fast.push(measure(&threads, rounds));
        }
    }
    let contenders =
        names.into_iter().zip(fast).zip(rounds).map(|((name, fast), rounds)| Measured {
            name,
            fast_path_ns: Quantiles::of(fast).p50,
            contended: rounds.into_iter().map(|rounds| Contended::median(&rounds)).collect(),
        });
    let report = Report {
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        slice_ns: work::slice_ns(),
        look_up_ns: [false, true].map(work::look_up_ns),
        idle_check_ns: idle::check_ns(),
        interpreter: interpreter::measure(),
        contenders: contenders.collect(),
    };
    match serde_json::to_string(&report) {
        #[allow(clippy::print_stdout, reason = "it is what the program is for")]
        Ok(json) => println!("{json}"),
        Err(error) => eprintln!("the report can't be written: {error}"),
    }
}
