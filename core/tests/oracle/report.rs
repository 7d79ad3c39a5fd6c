//! What a run tells: mismatches for a person, counts for `cargo xtask isa`.

use iced_x86::{Code, Formatter, Instruction, IntelFormatter};
use monovisor_core::instruction_group;
use monovisor_core::state::Register;
use serde_json::{Value, json};

use crate::both::{Mismatch, instruction};
use crate::case::{Case, X87};
use crate::compare::{self, Difference};
use crate::generate::Image;
use crate::layout::{ARENA, Mode};
use crate::{features, incomparable};

/// What became of an instruction's cases in one mode.
pub struct Count {
    pub group: &'static str,
    pub code: Code,
    pub mode: Mode,
    pub cases: usize,
    pub differs: bool,
}

/// Prints a mismatch: bytes, disassembly, state before, both results.
pub fn show(mismatch: &Mismatch) {
    let Mismatch { case, image, differences } = mismatch;
    let text = instruction(case).map_or("no instruction".to_owned(), |it| disassemble(&it));
    eprintln!("\n{:?} {:02x?}  {text}", case.mode, case.code());
    show_state(case, image);
    show_differences(differences);
}

/// Prints the state that a case starts from.
pub fn show_state(case: &Case, image: &Image) {
    for (register, value) in Register::ALL.into_iter().zip(case.state.gpr) {
        if value != 0 {
            eprintln!("    {} = {value:#x}", register.name());
        }
    }
    eprintln!("    rip = {:#x}", case.state.rip);
    eprintln!("    rflags = {}", compare::flags(case.state.rflags));
    for (number, [low, high]) in case.state.ymm.iter().enumerate() {
        if low | high != 0 {
            eprintln!("    ymm{number} = {high:032x}_{low:032x}");
        }
    }
    eprintln!("    mxcsr = {:#x}", case.state.mxcsr);
    if case.state.x87 != X87::INITIAL {
        eprintln!("    x87 = {:x?}", case.state.x87);
    }
    let noise = image.iter().any(|byte| *byte != 0);
    if noise || case.poke.iter().any(|byte| *byte != 0) {
        let at = ARENA + u64::from(case.poke_at);
        let elsewhere = if noise { " and random elsewhere" } else { "" };
        eprintln!("    [{at:#x}] = {:02x?}{elsewhere}", case.poke);
    }
}

pub fn show_differences(differences: &[Difference]) {
    for Difference { what, silicon, interpreter } in differences {
        eprintln!("  {what}: processor {silicon}, interpreter {interpreter}");
    }
}

pub fn disassemble(instruction: &Instruction) -> String {
    let mut text = String::new();
    IntelFormatter::new().format(instruction, &mut text);
    text
}

/// The counts of a run.
pub fn counts(counts: &[Count]) -> Value {
    let rows = counts.iter().map(|count| {
        json!({
            "group": count.group,
            "instruction": format!("{:?}", count.code),
            "bitness": count.mode.bitness(),
            "cases": count.cases,
            "differs": count.differs,
        })
    });
    rows.collect()
}

/// Every instruction that the decoder knows: whether the interpreter has it, and whether it can be
/// held against the processor.
pub fn instructions() -> Value {
    let rows = Code::values().filter(|code| *code != Code::INVALID).map(|code| {
        let mut instruction = Instruction::default();
        instruction.set_code(code);
        let features = code.cpuid_features().iter().map(|feature| format!("{feature:?}"));
        json!({
            "instruction": format!("{code:?}"),
            "mnemonic": format!("{:?}", code.mnemonic()),
            "features": features.collect::<Vec<_>>(),
            "offered": features::is_instruction_offered(&instruction),
            "group": instruction_group(code.mnemonic()),
            "incomparable": incomparable::reason(&instruction),
        })
    });
    rows.collect()
}
