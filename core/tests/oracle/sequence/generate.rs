//! Whole sequences: patterns and random instructions, straight or in a loop, and the state that they
//! start from.

use super::builder::Builder;
use super::code::{self, Branch, Code};
use super::mix::Mix;
use super::patterns::{self, counted_loop};
use super::{vectors, x87};
use crate::case::{CODE_ROOM, Case};
use crate::generate::{self, Generator};
use crate::layout::Mode;
use crate::numbers::Numbers;

/// Least and most instructions that are aimed at. Patterns are not cut off.
const LEAST: u64 = 2;
const MOST: u64 = 24;
/// CF, PF, AF, ZF, SF, OF.
const DF: u64 = 0x400;
const AC: u64 = 1 << 18;

/// What a sequence is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taste {
    General,
    Vectors,
    X87,
    Mixed,
}

/// Sequences with the states that they start from.
pub struct Sequences {
    mix: Mix,
}

impl Sequences {
    pub fn new(generator: &Generator) -> Self {
        Self { mix: Mix::new(generator) }
    }

    /// A sequence and its case; `None` if it has become too long.
    pub fn make(&mut self, modes: &[Mode], generator: &mut Generator) -> Option<(Code, Case)> {
        let mut numbers = Numbers(generator.numbers.next());
        let mode = match numbers.below(10) {
            0 => Mode::Compatibility16,
            1 | 2 => Mode::Compatibility32,
            _ => Mode::Long,
        };
        let mode = if modes.contains(&mode) { mode } else { Mode::Long };
        let mut case = generator.blank(mode);
        Builder::addresses(mode, &mut numbers, &mut case.state.gpr);
        state(&mut case, &mut numbers);
        let gpr = case.state.gpr;
        let taste = match numbers.below(9) {
            0..4 => Taste::General,
            4 | 5 => Taste::Vectors,
            6 => Taste::X87,
            _ => Taste::Mixed,
        };
        let wanted = LEAST + numbers.below(MOST - LEAST);
        let mut b = Builder::new(mode, &mut numbers);
        while (b.len() as u64) < wanted {
            if b.numbers.one_in(6) {
                counted_loop(&mut b, |b| {
                    for _ in 0..=b.numbers.below(3) {
                        self.piece(taste, b, generator, &gpr);
                    }
                });
            } else {
                self.piece(taste, &mut b, generator, &gpr);
            }
            if b.numbers.one_in(2) {
                b.land();
            }
        }
        let code = b.finish();
        fill(&mut case, &code)?;
        Some((code, case))
    }

    fn piece(&mut self, taste: Taste, b: &mut Builder, generator: &mut Generator, gpr: &[u64; 16]) {
        let patterns = match (taste, b.numbers.below(8)) {
            (Taste::Vectors, 0..6) => vectors::PATTERNS,
            (Taste::X87, 0..6) => x87::PATTERNS,
            (Taste::Mixed, 0..6) | (_, 7) => return self.mix.write(b, generator, gpr),
            (_, 6) if b.numbers.one_in(3) => x87::PATTERNS,
            (_, 6) => vectors::PATTERNS,
            _ => patterns::PATTERNS,
        };
        b.one_of(patterns)(b);
        if b.numbers.one_in(64) {
            b.branch(Branch::Jump);
        }
    }
}

/// Puts the sequence's bytes into the case.
pub fn fill(case: &mut Case, code: &Code) -> Option<()> {
    let bytes = code.bytes().filter(|bytes| !bytes.is_empty() && bytes.len() <= CODE_ROOM)?;
    case.code = [0; CODE_ROOM];
    case.code[..bytes.len()].copy_from_slice(&bytes);
    case.length = bytes.len() as u32;
    case.state.rip = code::end(code.mode) - bytes.len() as u64;
    Some(())
}

/// Fewer states than a single instruction is tried in would end the sequence at once.
fn state(case: &mut Case, numbers: &mut Numbers) {
    if !numbers.one_in(8) {
        case.state.rflags &= !AC;
    }
    if !numbers.one_in(4) {
        case.state.rflags &= !DF;
    }
    if !numbers.one_in(4) {
        case.state.mxcsr = generate::MXCSR | case.state.mxcsr & 0xe03f;
    }
    if numbers.one_in(2) {
        case.state.x87 = generate::x87(numbers, crate::extended::float);
        if !numbers.one_in(8) {
            case.state.x87.control |= 0x3f;
            case.state.x87.status &= !0x80ff;
        }
    }
}
