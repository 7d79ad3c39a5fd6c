//! A sequence that differs: whether one of its instructions does so alone, and the shortest sequence with
//! the least state that still shows it, also as the beginning of a test.

use std::mem::replace;

use iced_x86::{Decoder, DecoderOptions};
use monovisor_core::state::Register;

use super::Comparison;
use super::code::{Code, Leads};
use super::generate::fill;
use crate::both::{self, Answer};
use crate::case::{CODE_ROOM, Case, Outcome, POKE, Raised};
use crate::compare;
use crate::generate::Image;
use crate::generate::encoding::decode;
use crate::incomparable;
use crate::layout::{ARENA, ARENA_SIZE, Mode};
use crate::report;
use crate::shrink::shrink;

use super::code;

const TF: u64 = 0x100;

/// A sequence that differs.
pub struct Found {
    pub code: Code,
    pub case: Case,
    pub image: Box<Image>,
}

/// Why it does.
pub enum Cause {
    /// One of its instructions differs alone, for the reason with this number.
    Explained(usize),
    /// One of its instructions differs alone.
    Instruction(Box<(Case, Image)>),
    /// All of its instructions agree alone.
    Sequence,
}

impl Comparison<'_> {
    /// Asks for each instruction of a sequence alone, from the state that the interpreter has before it.
    pub fn diagnose(&mut self, found: &Found) -> Cause {
        let Found { case, image, .. } = found;
        let mut alone: Vec<(Case, Box<Image>)> = Vec::new();
        let mut out = Box::new(Outcome::NONE);
        let mut last = 0;
        // One that cannot be traced has been found by its shrinking; there is nothing to ask.
        let _ = self.tracer.run(image, case, &mut out, |interpreter, bytes| {
            let rip = interpreter.vcpu.state().rip;
            // The parts of a repetition are one instruction.
            if replace(&mut last, rip) == rip {
                return;
            }
            let mut one = *case;
            let mut memory = image.clone();
            interpreter.snapshot(&mut one.state, &mut memory);
            one.code = [0; CODE_ROOM];
            one.code[..bytes.len()].copy_from_slice(bytes);
            one.length = bytes.len() as u32;
            one.state.rip = code::end(case.mode) - bytes.len() as u64;
            keep_address(&mut one, rip);
            one.poke.copy_from_slice(&memory[..POKE]);
            one.poke_at = 0;
            // A trap is no matter of one instruction.
            one.state.rflags &= !TF;
            self.both.silicon.adapt(&mut one);
            alone.push((one, memory));
        });
        for (case, image) in alone {
            match self.both.answer(&image, &case) {
                Answer::Same => {}
                Answer::Explained(reason) => return Cause::Explained(reason),
                // What it stores is not as it stays.
                Answer::Differs(_) if is_incomparable(&case) => {}
                Answer::Differs(_) => return Cause::Instruction(Box::new((case, *image))),
            }
        }
        Cause::Sequence
    }

    /// Whether a sequence differs as a whole.
    fn differs(&mut self, found: &Found) -> bool {
        !self.ask(&found.image, &found.case).is_empty()
            && matches!(self.diagnose(found), Cause::Sequence)
    }

    /// Makes a mismatch small, and prints it.
    pub fn show(&mut self, found: Found, cause: Cause) {
        if let Cause::Instruction(alone) = cause {
            let (case, image) = *alone;
            eprintln!("\nAn instruction of a sequence:");
            return report::show(&self.both.shrink(&image, &case));
        }
        let found = self.smallest(found);
        show(&found);
        for (between, differences) in self.ask(&found.image, &found.case) {
            eprintln!("  {between}:");
            report::show_differences(&differences);
        }
        self.show_test(&found);
    }

    /// The same with fewer instructions and less state.
    fn smallest(&mut self, mut found: Found) -> Found {
        loop {
            let before = found.code.elements.len();
            let mut count = before.div_ceil(2);
            while count > 0 {
                let mut first = 0;
                while first + count <= found.code.elements.len() {
                    match self.without(&found, first, count) {
                        Some(smaller) => found = smaller,
                        None => first += 1,
                    }
                }
                count /= 2;
            }
            let Found { code, mut case, mut image } = found;
            let length = case.length;
            shrink(&mut case, &mut image, |image, case| {
                let smaller = Found { code: code.clone(), case: *case, image: Box::new(*image) };
                case.length == length && self.differs(&smaller)
            });
            found = Found { code, case, image };
            if found.code.elements.len() == before {
                return found;
            }
        }
    }

    fn without(&mut self, found: &Found, first: usize, count: usize) -> Option<Found> {
        let code = found.code.without(first, count);
        let mut case = found.case;
        fill(&mut case, &code)?;
        let smaller = Found { code, case, image: found.image.clone() };
        self.differs(&smaller).then_some(smaller)
    }

    /// Prints a test of what the processor has done, unless tests have no guest of the mode.
    fn show_test(&mut self, found: &Found) {
        let Found { case, image, .. } = found;
        let guest = match case.mode {
            Mode::Long => "long_mode",
            Mode::Compatibility32 => "compatibility",
            Mode::Compatibility16 => return,
        };
        let mut stepped = Box::new(Outcome::NONE);
        let Ok(trace) = self.tracer.run(image, case, &mut stepped, |_, _| {}) else { return };
        self.both.silicon.begin(image, std::slice::from_ref(case));
        let Ok(theirs) = self.both.silicon.finish()[0] else { return };
        print_test(guest, case, theirs, !trace.undefined);
    }
}

fn is_incomparable(case: &Case) -> bool {
    both::instruction(case).is_some_and(|it| incomparable::reason(&it).is_some())
}

/// Has an operand that is relative to RIP stay where it was when the instruction was at `before`.
fn keep_address(case: &mut Case, before: u64) {
    let bytes = &case.code[..case.length as usize];
    let (bitness, rip) = (case.mode.bitness(), case.state.rip);
    let mut decoder = Decoder::with_ip(bitness, bytes, rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let constants = decoder.get_constant_offsets(&instruction);
    if instruction.is_ip_rel_memory_operand() && constants.has_displacement() {
        let address = instruction.memory_displacement64().wrapping_sub(rip).wrapping_add(before);
        let displacement = address.wrapping_sub(instruction.next_ip()) as u32;
        let at = constants.displacement_offset();
        case.code[at..at + 4].copy_from_slice(&displacement.to_le_bytes());
    }
}

fn show(found: &Found) {
    let Found { code, case, image } = found;
    eprintln!("\n{:?}, {} instructions:", case.mode, code.elements.len());
    let mut at = 0;
    for element in &code.elements {
        let note = match element.leads {
            Leads::To { target, .. } => format!("   ; to instruction {target}"),
            _ => String::new(),
        };
        // A branch is one instruction, whose bytes depend on its place.
        let end = at + element.bytes.len().max(1);
        while at < end {
            let start = case.start() + at as u64;
            let Ok(instruction) = decode(case.mode, &case.code()[at..], start) else { break };
            let bytes = &case.code()[at..at + instruction.len()];
            let text = report::disassemble(&instruction);
            eprintln!("  {start:x}  {text}{note}   {bytes:02x?}");
            at += instruction.len();
        }
    }
    report::show_state(case, image);
}

/// A value of a register for a test, whose operands are at `DATA`.
fn value(value: u64) -> String {
    match value.checked_sub(ARENA) {
        Some(offset) if offset < ARENA_SIZE => format!("DATA + {offset:#x}"),
        _ => format!("{value:#x}"),
    }
}

/// Prints the sequence as a test in the manner of `core/tests`.
fn print_test(guest: &str, case: &Case, theirs: &Outcome, flags: u64) {
    eprintln!("  #[test]\n  fn as_the_processor_does() {{");
    eprintln!("      let mut guest = Guest::{guest}();");
    for register in Register::ALL {
        let before = case.state.gpr[register as usize];
        if before == 0 && register != Register::Rsp {
            continue;
        }
        eprintln!("      guest.set(Register::{register:?}, {});", value(before));
    }
    let before = case.state.rflags & !0x200;
    eprintln!("      guest.state.rflags = RFlags::from_bits_retain({before:#x});");
    for (number, [low, _]) in case.state.ymm.iter().enumerate().filter(|it| it.1[0] != 0) {
        eprintln!("      guest.state.fpu.xmm[{number}] = {low:#x};");
    }
    if case.poke.iter().any(|byte| *byte != 0) {
        let (at, bytes) = (case.poke_at, case.poke);
        eprintln!("      guest.ram.write(DATA + {at:#x}, &{bytes:#04x?});");
    }
    let end = if theirs.raised == Raised::NOTHING { "Done" } else { "Fault(…)" };
    eprintln!("      assert_eq!(guest.run(&{:02x?}), End::{end});", case.code());
    for register in Register::ALL {
        let (before, after) =
            (case.state.gpr[register as usize], theirs.state.gpr[register as usize]);
        if before != after {
            eprintln!("      assert_eq!(guest.get(Register::{register:?}), {});", value(after));
        }
    }
    let after = compare::flags(theirs.state.rflags & flags & 0x8d5);
    eprintln!("      // status flags: {after}\n  }}");
}
