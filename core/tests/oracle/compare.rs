//! Whether two outcomes are the same, as far as they are defined.

use iced_x86::Instruction;

use crate::case::{Case, Outcome, PAGE_FAULT, Raised};
use crate::layout::{ARENA, Mode};
use crate::undefined;

/// A value that differs: its name, the processor's and the interpreter's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub what: String,
    pub silicon: String,
    pub interpreter: String,
}

impl Difference {
    /// There is nothing to compare with.
    pub fn lost() -> Self {
        Self { what: "what executed it is lost".to_owned(), ..Self::default() }
    }
}

/// The 80 bits of an x87 register.
const X87_BITS: u128 = (1 << 80) - 1;
/// Where the addresses end that Linux lets programs use.
const END_OF_PROGRAM: u64 = 0x7fff_ffff_f000;
/// The error code's bits for a page that is present, and for an entry with reserved bits.
const PRESENT: u32 = 1;
const RESERVED: u32 = 8;

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// An outcome without what is undefined or not architectural.
pub fn defined(outcome: &mut Outcome, case: &Case, instruction: Option<&Instruction>) {
    let Outcome { raised, state, .. } = outcome;
    let undefined = instruction.map_or(0, undefined::flags);
    if *raised == Raised::NOTHING {
        state.rflags &= !undefined;
    }
    if case.mode != Mode::Long {
        state.gpr[..8].iter_mut().for_each(|value| *value &= 0xffff_ffff);
    }
    state.x87.st.iter_mut().for_each(|value| *value &= X87_BITS);
    // Linux does not tell programs which pages there are beyond their own, nor does a paravirtual KVM.
    if raised.vector == PAGE_FAULT && raised.address >= END_OF_PROGRAM {
        raised.error_code &= !(PRESENT | RESERVED);
    }
}

/// Where two defined outcomes differ.
pub fn differences(silicon: &Outcome, interpreter: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    if silicon == interpreter {
        return found;
    }
    let mut put = |what: &str, silicon: String, interpreter: String| {
        if silicon != interpreter {
            found.push(Difference { what: what.to_owned(), silicon, interpreter });
        }
    };
    put("exception", raised(&silicon.raised), raised(&interpreter.raised));
    let (ours, theirs) = (&interpreter.state, &silicon.state);
    for (index, name) in NAMES.iter().enumerate() {
        put(name, hex(theirs.gpr[index]), hex(ours.gpr[index]));
    }
    put("rip", hex(theirs.rip), hex(ours.rip));
    put("rflags", flags(theirs.rflags), flags(ours.rflags));
    for number in 0..16 {
        let text = |[low, high]: [u128; 2]| format!("{high:032x}_{low:032x}");
        put(&format!("ymm{number}"), text(theirs.ymm[number]), text(ours.ymm[number]));
    }
    put("mxcsr", format!("{:#06x}", theirs.mxcsr), format!("{:#06x}", ours.mxcsr));
    put("x87", format!("{:x?}", theirs.x87), format!("{:x?}", ours.x87));
    let pairs = silicon.memory.chunks(16).zip(interpreter.memory.chunks(16));
    for (number, (theirs, ours)) in pairs.enumerate() {
        put(
            &format!("[{:#x}]", ARENA + number as u64 * 16),
            format!("{theirs:02x?}"),
            format!("{ours:02x?}"),
        );
    }
    found
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

/// Flags as a number and by name.
pub fn flags(value: u64) -> String {
    const FLAGS: [(u64, &str); 10] = [
        (1 << 16, "RF"),
        (1 << 18, "AC"),
        (0x800, "OF"),
        (0x400, "DF"),
        (0x100, "TF"),
        (0x80, "SF"),
        (0x40, "ZF"),
        (0x10, "AF"),
        (4, "PF"),
        (1, "CF"),
    ];
    let names = FLAGS.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name);
    format!("{value:#x} [{}]", names.collect::<Vec<_>>().join(" "))
}

fn raised(raised: &Raised) -> String {
    const MNEMONICS: [&str; 20] = [
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS", "#NP", "#SS",
        "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM",
    ];
    match *raised {
        Raised::NOTHING => "none".to_owned(),
        Raised::EXIT => "an exit to the host".to_owned(),
        Raised { vector: PAGE_FAULT, error_code, address } => {
            format!("#PF({error_code:#x}) at {address:#x}")
        }
        Raised { vector, error_code, .. } => match MNEMONICS.get(vector as usize) {
            Some(name) => format!("{name}({error_code:#x})"),
            None => format!("vector {vector}"),
        },
    }
}
