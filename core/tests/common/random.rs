//! Machines made of any bytes, and what must hold for each: what a run executes, single steps
//! execute too. Shared by the engine's tests and the fuzz targets of `core/fuzz`.
//!
//! What a machine starts from is `start`'s. Here are its devices, which answer with numbers that
//! depend on nothing but their order, and the comparison of two machines.

#![allow(dead_code, reason = "each user has a part of it")]

#[path = "random/start.rs"]
mod start;

use std::sync::Arc;

use monovisor_core::{CpuState, Engine, Exit, InstructionClock, Ram, Vcpu};

use start::{CODE, tables};
pub use start::{Mode, start};

const RAM_BYTES: usize = 1 << 20;
/// More steps without an instruction that retires than a run makes: for each iteration of a string
/// instruction on a device it leaves twice.
const MOST_STEPS: u32 = 1 << 14;
/// No block has more instructions.
pub const LONGEST_BLOCK: u64 = 64;

/// Bytes, one after the other; zeros when they are used up.
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A machine and its devices.
pub struct Machine {
    pub ram: Arc<Ram>,
    pub vcpu: Vcpu,
    /// What the devices were told.
    pub writes: Vec<(monovisor_core::Access, u64)>,
    reads: u64,
}

/// How far a machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Budget,
    Halted,
    Dead,
}

impl Machine {
    /// A machine in `mode`: registers from `source`, then code from what is left of it.
    pub fn new(mode: Mode, source: Source) -> Self {
        let (state, code) = start(mode, source);
        Self::with(&state, code)
    }

    /// A machine in any state, with the tables for it.
    pub fn with(state: &CpuState, code: &[u8]) -> Self {
        let ram = Arc::new(Ram::new(RAM_BYTES).expect("memory"));
        tables(&ram, state);
        ram.write(CODE, &code[..code.len().min(0x4000)]);
        let mut vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
        vcpu.set_state(state);
        Self { ram, vcpu, writes: Vec::new(), reads: 0 }
    }

    /// Does what an exit asks for; how the machine stands if that ends the run.
    pub fn serve(&mut self, exit: Exit) -> Option<Stop> {
        match exit {
            Exit::Read(access) => {
                self.reads += 1;
                let data = self.reads.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ access.address;
                self.vcpu.answer(data);
                None
            }
            Exit::Write(access, data) => {
                self.writes.push((access, data));
                None
            }
            Exit::Budget => Some(Stop::Budget),
            Exit::Halted => Some(Stop::Halted),
            Exit::TripleFault => Some(Stop::Dead),
            _ => None,
        }
    }

    /// Runs `budget` instructions or a little more.
    pub fn run(&mut self, budget: u64) -> Stop {
        let end = self.vcpu.retired() + budget;
        // Each exit but a few belongs to an instruction or an event.
        for _ in 0..4 * budget + 64 {
            let retired = self.vcpu.retired();
            if retired >= end {
                return Stop::Budget;
            }
            let exit = self.vcpu.run(end - retired);
            let overshoot = self.vcpu.retired().saturating_sub(end);
            assert!(overshoot < LONGEST_BLOCK, "{overshoot} instructions too many");
            if let Some(stop) = self.serve(exit) {
                return stop;
            }
        }
        Stop::Budget
    }

    /// Steps until another instruction has retired: a repetition may be left where `step` does not
    /// leave it.
    fn finish_instruction(&mut self) -> Stop {
        let retired = self.vcpu.retired();
        for _ in 0..MOST_STEPS {
            let exit = self.vcpu.step();
            if let Some(stop @ (Stop::Halted | Stop::Dead)) = self.serve(exit) {
                return stop;
            }
            if self.vcpu.retired() != retired {
                break;
            }
        }
        Stop::Budget
    }

    /// Steps until as many instructions have retired as on `other`, and the state is the same if it
    /// comes to be so.
    fn follow(&mut self, other: &mut Self) -> Stop {
        let goal = other.vcpu.retired();
        let mut idle = 0;
        let mut told = String::new();
        loop {
            let retired = self.vcpu.retired();
            assert!(retired <= goal, "not the same after {goal} instructions:\n{told}");
            if retired == goal {
                let same = self.vcpu.state() == other.vcpu.state()
                    && self.writes.len() == other.writes.len()
                    && self.reads == other.reads;
                // What retires nothing may be still to come, up to what `run` and
                // `finish_instruction` do of it: a step does one access at least.
                if same || idle > 4 * MOST_STEPS {
                    return Stop::Budget;
                }
                if told.is_empty() {
                    told = differences(other.vcpu.state(), self.vcpu.state());
                }
            }
            let exit = self.vcpu.step();
            let one = self.vcpu.retired() - retired;
            assert!(one <= 1, "a step of {one} instructions");
            idle = if one == 0 { idle + 1 } else { 0 };
            if let Some(stop @ (Stop::Halted | Stop::Dead)) = self.serve(exit) {
                return stop;
            }
        }
    }

    fn memory(&self) -> Vec<u8> {
        let mut bytes = vec![0; RAM_BYTES];
        self.ram.read(0, &mut bytes);
        bytes
    }

    /// Fails unless both machines are in the same state.
    fn compare(&mut self, other: &mut Self) {
        assert_eq!(self.vcpu.retired(), other.vcpu.retired(), "retired: run, steps");
        if self.vcpu.state() != other.vcpu.state() {
            panic!("{}", differences(self.vcpu.state(), other.vcpu.state()));
        }
        assert_eq!(self.writes, other.writes, "device writes: run, steps");
    }

    /// Fails unless both machines have the same in memory.
    fn compare_memory(&self, other: &Self) {
        let (left, right) = (self.memory(), other.memory());
        if left == right {
            return;
        }
        let different = left.iter().zip(&right).position(|(left, right)| left != right);
        let address = different.expect("they are not equal");
        panic!("{address:#x} is {:#x} after run, {:#x} after steps", left[address], right[address]);
    }
}

/// Runs the machine that `bytes` describe, and steps its twin.
pub fn run_and_steps_agree(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mode = Mode::ALL[usize::from(source.byte()) % Mode::ALL.len()];
    let budgets: [u64; 4] = std::array::from_fn(|_| u64::from(source.byte()));
    let events = source.byte();
    let (state, code) = start(mode, source);
    let (mut runs, mut steps) = (Machine::with(&state, code), Machine::with(&state, code));
    for (index, budget) in budgets.into_iter().enumerate() {
        let mut stop = runs.run(budget * 4 + 1);
        if stop == Stop::Budget {
            stop = runs.finish_instruction();
        }
        steps.follow(&mut runs);
        runs.compare(&mut steps);
        if stop == Stop::Dead {
            break;
        }
        for vcpu in [&mut runs.vcpu, &mut steps.vcpu] {
            match events >> (2 * index) & 3 {
                1 => vcpu.inject_nmi(),
                2 if vcpu.interruptible() => vcpu.inject(0x40 + index as u8),
                _ => {}
            }
        }
    }
    runs.compare_memory(&steps);
}

/// What is not the same after run and steps, a line each.
fn differences(run: &CpuState, steps: &CpuState) -> String {
    let (run, steps) = (format!("{run:#x?}"), format!("{steps:#x?}"));
    let lines = run.lines().zip(steps.lines()).enumerate();
    let different = lines.filter(|(_, (run, steps))| run != steps);
    let told = different.map(|(line, (run, steps))| {
        format!("line {line} of the state: run {}, steps {}", run.trim(), steps.trim())
    });
    told.collect::<Vec<_>>().join("\n")
}
