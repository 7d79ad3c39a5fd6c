//! A sequence instruction by instruction, as the interpreter executes it: whether it comes to an end, whether
//! it can be compared, and which flags are undefined at its end.

use std::collections::HashMap;

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use monovisor_core::Exit;
use monovisor_core::state::RFlags;

use crate::case::{Case, MOST_CODE, Outcome};
use crate::generate::Image;
use crate::generate::encoding::decode;
use crate::incomparable;
use crate::interpreter::Interpreter;
use crate::undefined::{self, status_flags};

/// Most instructions that a sequence may execute.
const MOST_STEPS: u64 = 600;

/// How a sequence has come to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    /// Instructions that were completed.
    pub retired: u64,
    /// Status flags that are undefined behind the last one.
    pub undefined: u64,
}

/// Why a sequence cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// It does not end.
    Endless,
    /// It has a flag decide that is undefined.
    Undefined,
    /// It executes what cannot be compared.
    Incomparable(&'static str),
}

/// The interpreter in single steps.
pub struct Tracer {
    interpreter: Interpreter,
    /// Why instructions are not compared.
    reasons: HashMap<Code, Option<&'static str>>,
}

impl Tracer {
    pub fn new() -> Self {
        Self { interpreter: Interpreter::new(), reasons: HashMap::new() }
    }

    /// Executes the sequence; `look` is called before each instruction.
    pub fn run(
        &mut self,
        image: &Image,
        case: &Case,
        out: &mut Outcome,
        mut look: impl FnMut(&mut Interpreter, &[u8]),
    ) -> Result<Trace, Unfit> {
        let mut trace = Trace::default();
        self.interpreter.begin(image, case);
        let before = self.interpreter.vcpu.retired();
        let mut exit;
        let mut steps = 0;
        loop {
            let state = self.interpreter.vcpu.state();
            let (rip, is_traced) = (state.rip, state.rflags.contains(RFlags::TRAP_FLAG));
            let place = rip.wrapping_sub(case.start()) as usize;
            let Some(bytes) = case.code().get(place..).filter(|bytes| !bytes.is_empty()) else {
                // The trap of the last instruction, or the fault or the breakpoint that is there.
                exit = self.interpreter.vcpu.step();
                break;
            };
            let bytes = &bytes[..bytes.len().min(MOST_CODE - 1)];
            let instruction = decode(case.mode, bytes, rip).ok();
            if let Some(instruction) = &instruction
                && let Some(reason) = self.reason(instruction)
            {
                return Err(Unfit::Incomparable(reason));
            }
            // A trap would come before that is overwritten.
            if is_traced && instruction.is_some_and(|it| differs_in_part(&it)) {
                return Err(Unfit::Incomparable(incomparable::IN_PART));
            }
            look(&mut self.interpreter, &bytes[..instruction.map_or(bytes.len(), |it| it.len())]);
            exit = self.interpreter.vcpu.step();
            trace.retired = self.interpreter.vcpu.retired() - before;
            if exit != Exit::Budget || self.interpreter.vcpu.state().cpl() != 3 {
                break;
            }
            if let Some(instruction) = instruction {
                trace.undefined = behind(&instruction, trace.undefined).ok_or(Unfit::Undefined)?;
            }
            steps += 1;
            if steps == MOST_STEPS {
                return Err(Unfit::Endless);
            }
        }
        self.interpreter.end(exit, out);
        out.settle(case);
        Ok(trace)
    }

    fn reason(&mut self, instruction: &Instruction) -> Option<&'static str> {
        // What differs in part is overwritten by the pattern that has it.
        let reason = || incomparable::reason(instruction).filter(|it| *it != incomparable::IN_PART);
        *self.reasons.entry(instruction.code()).or_insert_with(reason)
    }
}

/// The undefined flags behind an instruction, if there were these before it; `None` if it reads one.
fn behind(instruction: &Instruction, before: u64) -> Option<u64> {
    if status_flags(instruction.rflags_read()) & before != 0 {
        return None;
    }
    // A shift or a repetition by none leaves the flags.
    let by_cl = (0..instruction.op_count()).any(|operand| {
        instruction.op_kind(operand) == OpKind::Register
            && instruction.op_register(operand) == Register::CL
    });
    let counted = by_cl && is_shift(instruction)
        || instruction.has_rep_prefix()
        || instruction.has_repne_prefix();
    // What the manual leaves undefined is kept by some processors, as it was.
    let defined = instruction.rflags_modified() & !instruction.rflags_undefined();
    let written = if counted { 0 } else { status_flags(defined) };
    Some(before & !written | undefined::flags(instruction))
}

/// Whether it stores what processors differ in.
fn differs_in_part(instruction: &Instruction) -> bool {
    use Mnemonic::{Fnsave, Fnstenv, Fxsave, Fxsave64};
    matches!(instruction.mnemonic(), Fnsave | Fnstenv | Fxsave | Fxsave64)
}

fn is_shift(instruction: &Instruction) -> bool {
    use Mnemonic::{Rcl, Rcr, Rol, Ror, Sal, Sar, Shl, Shld, Shr, Shrd};
    matches!(instruction.mnemonic(), Rcl | Rcr | Rol | Ror | Sal | Sar | Shl | Shld | Shr | Shrd)
}
