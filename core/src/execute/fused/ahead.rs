//! What follows the instruction at hand in its block: whether it makes a group with it, and whether it
//! lets the status flags be seen.

use iced_x86::{EncodingKind, Instruction, Mnemonic, OpKind};

use crate::execute::emit::{Emit, Mode};

/// The instructions of a block from the one at hand on.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'a> {
    instructions: &'a [Instruction],
    mode: Mode,
}

impl<'a> Ahead<'a> {
    pub fn new(instructions: &'a [Instruction], mode: Mode) -> Self {
        Self { instructions, mode }
    }

    /// The instruction `distance` behind the one at hand.
    pub fn get(&self, distance: usize) -> Option<&'a Instruction> {
        self.instructions.get(distance)
    }

    /// Goes on to the instruction `distance` behind the one at hand, by way of those between.
    pub fn go_on(&self, emit: &mut Emit, distance: usize) {
        self.instructions[1..=distance].iter().for_each(|next| emit.go_on(next));
    }

    /// Whether the flags that instruction `distance` leaves are overwritten before anything reads them
    /// or can fault.
    pub fn flags_are_dead_behind(&self, distance: usize) -> bool {
        overwrite_flags(&self.instructions[distance + 1..], self.mode)
    }
}

/// Whether there is the kind of prefix that the instruction is encoded with: VEX is where `mode` says. What
/// has EVEX in front may have the name of an instruction that is there.
pub(crate) fn is_encodable(instruction: &Instruction, mode: Mode) -> bool {
    match instruction.code().encoding() {
        EncodingKind::Legacy => true,
        EncodingKind::VEX => mode.vex,
        _ => false,
    }
}

/// Whether these instructions overwrite the flags before anything reads them or can fault.
fn overwrite_flags(instructions: &[Instruction], mode: Mode) -> bool {
    for instruction in instructions {
        let computes_address = instruction.mnemonic() == Mnemonic::Lea;
        let pure = computes_address
            || (0..instruction.op_count()).all(|position| {
                let kind = instruction.op_kind(position);
                kind != OpKind::Register && kind < OpKind::MemorySegSI
                    || kind == OpKind::Register && instruction.op_register(position).is_gpr()
            });
        if !pure || !is_encodable(instruction, mode) {
            return false;
        }
        match instruction.mnemonic() {
            Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Xor
            | Mnemonic::Cmp
            | Mnemonic::Test
            | Mnemonic::Neg
            | Mnemonic::Mul
            | Mnemonic::Andn
            | Mnemonic::Bextr
            | Mnemonic::Blsi
            | Mnemonic::Blsmsk
            | Mnemonic::Blsr
            | Mnemonic::Bzhi
            | Mnemonic::Lzcnt
            | Mnemonic::Popcnt
            | Mnemonic::Tzcnt => return true,
            // With one operand it is a function, which looks at the flags before.
            Mnemonic::Imul if instruction.op_count() > 1 => return true,
            // They leave CF alone, which nobody reads either.
            Mnemonic::Inc | Mnemonic::Dec => {}
            // A count of zero leaves all flags, and may be in CL.
            Mnemonic::Shl | Mnemonic::Shr | Mnemonic::Sar
                if instruction.op1_kind() == OpKind::Immediate8
                    && instruction.immediate8() & 0x1f != 0 =>
            {
                return true;
            }
            Mnemonic::Mov
            | Mnemonic::Movzx
            | Mnemonic::Movsx
            | Mnemonic::Movsxd
            | Mnemonic::Not
            | Mnemonic::Lea
            | Mnemonic::Rol
            | Mnemonic::Ror
            | Mnemonic::Bswap
            | Mnemonic::Mulx
            | Mnemonic::Rorx
            | Mnemonic::Sarx
            | Mnemonic::Shlx
            | Mnemonic::Shrx => {}
            _ => return false,
        }
    }
    false
}
