//! The ways in which the interpreter executes a sequence: as blocks that are made for it, as blocks
//! that are there and linked, in slices that end anywhere, in blocks that begin anywhere, and without the host's newer vector
//! instructions. All must end alike.

use monovisor_core::Exit;

use crate::case::{BREAKPOINT, Case, Outcome};
use crate::generate::Image;
use crate::interpreter::Interpreter;

/// Instructions of a run that is not to be interrupted.
const WHOLE: u64 = 1 << 16;
/// Runs before a sequence is taken for one that does not end.
const MOST_RUNS: u32 = 5000;

/// A way to execute a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In blocks that are translated for it.
    New,
    /// In blocks that are there, with the links between them.
    Again,
    /// So many instructions at a time.
    Sliced(u64),
    /// In blocks behind so many single steps, which begin anywhere.
    Behind(u64),
    /// In portable code.
    Portable,
}

/// The processors that it takes.
pub struct Ways {
    pub interpreter: Interpreter,
    portable: Interpreter,
}

impl Ways {
    pub fn new() -> Self {
        Self { interpreter: Interpreter::new(), portable: Interpreter::portable() }
    }

    /// Executes the sequence; the instructions that were completed.
    pub fn run(&mut self, way: Way, image: &Image, case: &Case, out: &mut Outcome) -> u64 {
        let interpreter = match way {
            Way::Portable => &mut self.portable,
            _ => &mut self.interpreter,
        };
        let slice = match way {
            Way::Sliced(slice) => slice,
            _ => WHOLE,
        };
        interpreter.begin(image, case);
        let before = interpreter.vcpu.retired();
        let mut exit = Exit::Budget;
        let steps = if let Way::Behind(steps) = way { steps } else { 0 };
        for _ in 0..steps {
            exit = interpreter.vcpu.step();
            if exit != Exit::Budget {
                break;
            }
        }
        for _ in 0..MOST_RUNS {
            if !matches!(exit, Exit::Budget | Exit::Pause) {
                break;
            }
            exit = interpreter.vcpu.run(slice);
        }
        interpreter.end(exit, out);
        // The kernel's HLT is none of the sequence's, nor is an INT3 beside it.
        let halted = u64::from(exit == Exit::Halted);
        let landed = u64::from(out.raised.vector == BREAKPOINT);
        out.settle(case);
        interpreter.vcpu.retired() - before - halted - landed
    }
}
