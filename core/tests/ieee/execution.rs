//! One instruction on vectors, executed twice: with all exceptions masked, which handlers do by the host's
//! own means, and in portable code with those unmasked that must not occur.

use monovisor_core::state::{Register, XCr0Flags};

use super::common::{DATA, Machine, Outcome};
use super::instructions::Instruction;
use super::vectors::{Group, Vector};

/// Where operands are, 16 bytes apart, and where the result goes.
const RESULT: usize = 0x30;

/// IEEE's flags in the order of the generator's bits, by their bits in MXCSR and the x87's status word.
const FLAGS: [u16; 5] = [PRECISION, UNDERFLOW, OVERFLOW, ZERO_DIVIDE, INVALID];
const INVALID: u16 = 1;
const ZERO_DIVIDE: u16 = 1 << 2;
const OVERFLOW: u16 = 1 << 3;
const UNDERFLOW: u16 = 1 << 4;
const PRECISION: u16 = 1 << 5;
const IEEE: u16 = INVALID | ZERO_DIVIDE | OVERFLOW | UNDERFLOW | PRECISION;
const ALL: u16 = 0x3f;

pub struct Execution {
    instruction: &'static Instruction,
    rounding: u16,
    precision: u16,
    host: Machine,
    portable: Machine,
}

impl Execution {
    pub fn new(instruction: &'static Instruction, group: &Group) -> Self {
        let [host, mut portable] = [(); 2].map(|()| {
            let mut machine = Machine::new();
            machine.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
            machine.state.fpu.tag_word = 0;
            machine.state.gpr[Register::Rsi] = DATA;
            machine.assemble(&instruction.code());
            machine
        });
        portable.vcpu.use_portable_vectors();
        let (rounding, precision) = (group.rounding.1, group.precision.1);
        Self { instruction, rounding, precision, host, portable }
    }

    pub fn name(&self) -> &'static str {
        self.instruction.name
    }

    /// Executes the instruction on the vector's operands, or tells what is different.
    pub fn check(&mut self, vector: &Vector) -> Result<(), String> {
        let bits = (0..5).filter(|bit| vector.flags >> bit & 1 != 0);
        let flags = bits.fold(0, |flags, bit| flags | FLAGS[bit]);
        // Unmasked, an underflow is reported even of an exact result.
        let unmasked = (INVALID | ZERO_DIVIDE | OVERFLOW | PRECISION) & !flags;
        for (machine, masks) in [(&mut self.host, ALL), (&mut self.portable, ALL & !unmasked)] {
            let fpu = &mut machine.state.fpu;
            fpu.mxcsr = u32::from(masks << 7 | self.rounding << 13);
            fpu.control_word = 0x40 | masks | self.precision << 8 | self.rounding << 10;
            let mut memory = [0; RESULT + 16];
            for (place, &(operand, bits)) in memory.chunks_exact_mut(16).zip(&vector.operands) {
                place.copy_from_slice(&repeated(operand, bits).to_le_bytes());
            }
            machine.ram.write(DATA, &memory);
            if let Outcome::Raised(exception) = machine.execute() {
                return Err(format!("raised {exception:?}"));
            }
            let mut result = [0; 16];
            machine.ram.read(DATA + RESULT as u64, &mut result);
            let (expected, bits) = vector.result;
            let found = u128::from_le_bytes(result) & u128::MAX >> (128 - bits);
            let fpu = &machine.vcpu.state().fpu;
            let raised = (fpu.mxcsr as u16 | fpu.status_word) & IEEE;
            if (found, raised) != (expected, flags) {
                return Err(format!("is {found:x}, flags {raised:#x} instead of {flags:#x}"));
            }
        }
        Ok(())
    }
}

/// Floating-point numbers of up to eight bytes fill a vector; so packed instructions have one in each
/// element.
fn repeated(operand: u128, bits: u32) -> u128 {
    match bits {
        16 => operand * (u128::MAX / 0xffff),
        32 => operand * (u128::MAX / 0xffff_ffff),
        64 => operand * (u128::MAX / u128::from(u64::MAX)),
        _ => operand,
    }
}
