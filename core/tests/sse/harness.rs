//! The comparison: an instruction on many operands, by the interpreter, with the host's vector unit and
//! in portable code, and by the host's processor. Registers, memory, flags, MXCSR and whether #XM was raised must agree.

use monovisor_core::state::{RFlags, Register, Vector};

use crate::common::{CODE, DATA, Machine, Outcome};
use crate::native::{Native, Operands};
use crate::values::Random;

const STATUS: u64 = 0x8d5;
/// ModRM of XMM0 (or EAX) and XMM1 (or ECX).
pub const REGISTERS: u8 = 0xc1;
/// ModRM of XMM0 (or EAX) and [RSI].
pub const MEMORY: u8 = 0x06;

/// Which second operands an instruction has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    Both,
    Register,
    Memory,
}
pub use Forms::{Both, Memory as OnlyMemory, Register as OnlyRegister};

/// An instruction: its name, its bytes up to ModRM, and its forms.
pub type Row<'a> = (&'a str, &'a [u8], Forms);

/// Executes `instruction` on `count` sets of operands, with every exception masked.
pub fn compare(name: &str, instruction: &[u8], count: u32) {
    compare_with(name, instruction, count, Random::mxcsr);
}

/// Executes `instruction` on `count` sets of operands, each with an MXCSR that `mxcsr` gives.
pub fn compare_with(name: &str, instruction: &[u8], count: u32, mxcsr: fn(&mut Random) -> u32) {
    let native = Native::new(instruction);
    let mut machines = [Machine::new(), Machine::new()];
    // The second does without what this host's vector unit has beyond SSE2.
    machines[1].vcpu.use_portable_vectors();
    machines.iter_mut().for_each(|machine| machine.assemble(instruction));
    let mut random = Random(instruction.iter().fold(7, |seed, &byte| seed * 31 + u64::from(byte)));
    for _ in 0..count {
        let operands = Operands {
            xmm: [random.vector(), random.vector()],
            memory: random.vector(),
            rax: random.general(),
            rcx: random.general(),
            rdx: random.general(),
            rflags: random.next() & STATUS | 0x202,
            mxcsr: mxcsr(&mut random),
            ..Operands::default()
        };
        let expected = native.execute(&operands);
        for machine in &mut machines {
            let found = interpret(machine, &operands);
            assert_eq!(found, expected, "{name} ({instruction:x?}) of {operands:x?}");
        }
    }
}

fn interpret(machine: &mut Machine, operands: &Operands) -> Operands {
    let state = &mut machine.state;
    state.rip = CODE;
    state.fpu.xmm[..2].copy_from_slice(&operands.xmm);
    state.gpr[Register::Rax] = operands.rax;
    state.gpr[Register::Rcx] = operands.rcx;
    state.gpr[Register::Rdx] = operands.rdx;
    state.gpr[Register::Rsi] = DATA;
    state.rflags = RFlags::from_bits_retain(operands.rflags);
    state.fpu.mxcsr = operands.mxcsr;
    machine.ram.write(DATA, &operands.memory.to_le_bytes());
    let raised = match machine.execute() {
        Outcome::Completed => false,
        Outcome::Raised(exception) if exception.vector == Vector::SimdFloatingPoint => true,
        Outcome::Raised(exception) => panic!("{exception:?} of {operands:x?}"),
    };
    let state = machine.vcpu.state();
    let mut memory = [0; 16];
    machine.ram.read(DATA, &mut memory);
    Operands {
        xmm: [state.fpu.xmm[0], state.fpu.xmm[1]],
        memory: u128::from_le_bytes(memory),
        rax: state.gpr[Register::Rax],
        rcx: state.gpr[Register::Rcx],
        rdx: state.gpr[Register::Rdx],
        rflags: state.rflags.bits(),
        mxcsr_after: state.fpu.mxcsr,
        raised,
        ..*operands
    }
}

/// Executes each row in its forms.
pub fn compare_all(rows: &[Row], count: u32) {
    compare_immediates(rows, &[], count);
}

/// Executes each row in its forms with these immediates.
pub fn compare_immediates(rows: &[Row], immediates: &[u8], count: u32) {
    each_form(rows, immediates, |name, code| compare(name, code, count));
}

/// Calls `check` with the bytes of each form of each row.
pub fn each_form(rows: &[Row], immediates: &[u8], mut check: impl FnMut(&str, &[u8])) {
    for &(name, opcode, forms) in rows {
        for (modrm, other) in [(REGISTERS, OnlyMemory), (MEMORY, OnlyRegister)] {
            let code = [opcode, &[modrm]].concat();
            match immediates {
                _ if forms == other => {}
                [] => check(name, &code),
                _ => {
                    immediates.iter().for_each(|&byte| check(name, &[&code[..], &[byte]].concat()))
                }
            }
        }
    }
}
