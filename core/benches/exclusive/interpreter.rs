//! The gate in the running interpreter: how long a request takes there, and what polling costs it.
//!
//! The guest sums up words in memory, in real mode: a load, an addition, a store and a branch, as
//! the inner loop of much code. Its translated blocks are short, so that polls are as dear as they get.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use monovisor_core::state::SegmentRegister;
use monovisor_core::{Exit, InstructionClock, Ram, Vcpu};
use serde::Serialize;

use crate::measure::Quantiles;
use crate::threads::Threads;

/// `add eax, [bx]; mov [bx + 4], eax; inc cx; jmp` back. What it adds is never 0.
const CODE: [u8; 10] = [0x66, 0x03, 0x07, 0x66, 0x89, 0x47, 0x04, 0x41, 0xeb, 0xf6];

/// Sections whose wait is measured.
const SECTIONS: usize = 5000;

/// Time between two of them: longer than what a vCPU is owed. If it has not executed by then, as long
/// as this more.
const BETWEEN: Duration = Duration::from_micros(20);
const PATIENCE: Duration = Duration::from_millis(2);

/// Instructions of one measurement of speed, how many times two vCPUs are compared, and how many times
/// two new ones are made, whose memory and code lie elsewhere.
const INSTRUCTIONS: u64 = 500_000;
const TURNS: usize = 50;
const PAIRS: usize = 20;

/// The interpreter's figures.
#[derive(Serialize)]
pub struct Interpreter {
    /// Nanoseconds from request to exclusive, of an owner beside one vCPU.
    wait_ns: Quantiles,
    /// Millions of instructions a second without a gate.
    mips: f64,
    /// What of it is left behind a gate that nobody closes: the median of runs that take turns.
    kept: f64,
}

/// A vCPU about to execute the guest, and its memory.
fn vcpu() -> Option<(Vcpu, Arc<Ram>)> {
    let ram = Arc::new(Ram::new(1 << 20)?);
    ram.write(0x7c00, &CODE);
    ram.write(0, &[1]);
    let mut vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
    let mut state = vcpu.state().clone();
    state.segments[SegmentRegister::Cs].base = 0;
    state.rip = 0x7c00;
    vcpu.set_state(&state);
    Some((vcpu, ram))
}

/// Measures both; nothing if the host has no memory.
pub fn measure() -> Option<Interpreter> {
    let wait_ns = Quantiles::of(waits_ns()?);
    let (mips, kept) = speed()?;
    Some(Interpreter { wait_ns, mips, kept })
}

fn waits_ns() -> Option<Vec<f64>> {
    let (threads, gate) = Threads::with_gate(2);
    let (place, mut owner) = (gate.claim(0)?, gate.claim(1)?);
    let (mut vcpu, ram) = vcpu()?;
    vcpu.take_place(place);
    let over = Arc::new(AtomicBool::new(false));
    let executing = thread::spawn({
        let (threads, over) = (threads.clone(), over.clone());
        move || {
            threads.attach(0);
            while !over.load(Ordering::Relaxed) {
                assert_eq!(vcpu.run(1_000_000), Exit::Budget, "the guest does nothing else");
            }
        }
    });
    threads.attach(1);
    let count = || {
        let mut bytes = [0; 4];
        ram.read(4, &mut bytes);
        bytes
    };
    let wait = || {
        let (start, before) = (Instant::now(), count());
        while start.elapsed() < BETWEEN || count() == before && start.elapsed() < PATIENCE {
            spin_loop();
        }
    };
    // The thread is to have begun.
    thread::sleep(Duration::from_millis(20));
    let mut waits = Vec::with_capacity(SECTIONS);
    for _ in 0..SECTIONS {
        wait();
        let requested = Instant::now();
        let section = owner.open();
        waits.push(requested.elapsed().as_nanos() as f64);
        drop(section);
    }
    over.store(true, Ordering::Relaxed);
    executing.join().ok()?;
    Some(waits)
}

fn speed() -> Option<(f64, f64)> {
    let (threads, gate) = Threads::with_gate(1);
    threads.attach(0);
    let mips = |vcpu: &mut Vcpu| {
        let start = Instant::now();
        vcpu.run(INSTRUCTIONS);
        INSTRUCTIONS as f64 / start.elapsed().as_secs_f64() / 1e6
    };
    let (mut speeds, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let [(mut alone, _), (mut behind, _)] = [vcpu()?, vcpu()?];
        behind.take_place(gate.claim(0)?);
        for _ in 0..TURNS {
            // On both sides of the other, so that a processor that changes its clock favours neither.
            let [before, with, after] = [mips(&mut alone), mips(&mut behind), mips(&mut alone)];
            let without = f64::midpoint(before, after);
            speeds.push(without);
            kept.push(with / without);
        }
    }
    Some((Quantiles::of(speeds).p50, Quantiles::of(kept).p50))
}
