//! Operands of the instruction at hand: what they are, and how they are packed for an op or described
//! for a call-out.

use iced_x86::{Code, OpKind, Register as Name};

use super::{Emit, Function};
use crate::execute::address::{Address, Base, Far, Indexed};
use crate::execute::forward::{Carried, LastResult, Place};
use crate::execute::op::{Detail, FarAddress, Prefixes};
use crate::paging::repeats_highest;
use crate::state::{Gpr, SegmentRegister};

/// A memory operand, packed for an op.
pub(crate) struct Packed {
    /// 0, 1, 2: [`Base`], [`Indexed`], [`Far`].
    pub form: usize,
    pub base: u8,
    pub index: u8,
    pub(super) scale: u8,
    pub(super) displacement: i32,
    pub(super) far: FarAddress,
}

impl Packed {
    /// The same operand with another base register.
    pub fn with_base(self, base: u8) -> Self {
        Self { base, ..self }
    }

    /// The same operand with another displacement, where it has one in the op.
    pub fn with_displacement(self, displacement: i32) -> Self {
        Self { displacement, ..self }
    }

    /// The payload of a slot that has this address where an op has it, and `a` as well.
    pub fn payload(&self, a: u8) -> u64 {
        let low = u32::from_le_bytes([a, self.base, self.index, self.scale]);
        u64::from(low) | u64::from(self.displacement as u32) << 32
    }

    /// The index in [`ByAddress`](super::ByAddress).
    pub(super) fn address_form(&self, carried: &Carried) -> usize {
        let last_result = |register| carried.place(register, 3) == LastResult::INDEX;
        match self.form {
            0 if last_result(self.base) => 3,
            1 if last_result(self.base) => 4,
            1 if last_result(self.index) => 5,
            form => form,
        }
    }
}

impl Emit {
    /// The memory operand of the instruction at hand.
    pub fn packed_address(&self) -> Packed {
        let instruction = &self.instruction;
        let (base, index, scale) = self.base_and_index();
        let displacement = instruction.memory_displacement64();
        let segment = instruction.memory_segment();
        let based = matches!(segment, Name::FS | Name::GS);
        // In 64-bit mode an absent base has the default segment DS, and RSP and RBP have SS: an
        // explicit override of either differs only in which fault a bad address raises.
        let default = if matches!(base, 0x20 | 0x28) { Name::SS } else { Name::DS };
        let simple = self.mode.bitness == 64
            && self.address_bits() == 64
            && !based
            && segment == default
            && displacement as i64 == i64::from(displacement as i32);
        let form = match () {
            () if !simple => 2,
            () if index != Gpr::ZERO_OFFSET => 1,
            () => 0,
        };
        Packed {
            form,
            base,
            index,
            scale,
            displacement: displacement as i32,
            far: FarAddress {
                displacement,
                segment: segment_number(segment),
                bits: self.address_bits(),
            },
        }
    }

    /// The stack slot at RSP + `displacement`.
    pub fn stack_slot(&self, displacement: i32) -> Packed {
        let far = FarAddress { displacement: 0, segment: 0, bits: 64 };
        Packed { form: 0, base: 0x20, index: Gpr::ZERO_OFFSET, scale: 0, displacement, far }
    }

    fn base_and_index(&self) -> (u8, u8, u8) {
        let instruction = &self.instruction;
        let offset = |name: Name| match name {
            Name::None | Name::RIP | Name::EIP => Gpr::ZERO_OFFSET,
            name => register_operand(name.full_register()),
        };
        let scale = instruction.memory_index_scale().trailing_zeros() as u8;
        (offset(instruction.memory_base()), offset(instruction.memory_index()), scale)
    }

    fn address_bits(&self) -> u8 {
        let instruction = &self.instruction;
        let base = instruction.memory_base();
        let index = instruction.memory_index();
        let named = if base != Name::None { base } else { index };
        match named.size() {
            2 => return 16,
            4 => return 32,
            8 => return 64,
            _ => {}
        }
        if let Some(bits) = self.string_address_bits().or_else(|| counter_bits(instruction.code()))
        {
            return bits;
        }
        match instruction.memory_displ_size() {
            2 => 16,
            4 if self.mode.bitness != 64 => 32,
            _ => self.mode.bitness,
        }
    }

    /// Width of the implicit addresses of a string instruction, or of its counter.
    pub fn string_address_bits(&self) -> Option<u8> {
        (0..self.instruction.op_count()).find_map(|position| {
            match self.instruction.op_kind(position) {
                OpKind::MemorySegSI | OpKind::MemorySegDI | OpKind::MemoryESDI => Some(16),
                OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI => Some(32),
                OpKind::MemorySegRSI | OpKind::MemorySegRDI | OpKind::MemoryESRDI => Some(64),
                _ => None,
            }
        })
    }

    /// log2 of the width in bytes of operand `position`.
    pub fn width(&self, position: u32) -> usize {
        let bytes = match self.instruction.op_kind(position) {
            OpKind::Register => self.instruction.op_register(position).size(),
            OpKind::Memory => self.instruction.memory_size().size(),
            _ => 1,
        };
        bytes.trailing_zeros() as usize
    }

    /// Byte offset or number of register operand `position`.
    pub fn register(&self, position: u32) -> u8 {
        register_operand(self.instruction.op_register(position))
    }

    pub fn is_register(&self, position: u32) -> bool {
        self.instruction.op_kind(position) == OpKind::Register
    }

    pub fn is_memory(&self, position: u32) -> bool {
        self.instruction.op_kind(position) == OpKind::Memory
    }

    pub fn is_immediate(&self, position: u32) -> bool {
        is_immediate(self.instruction.op_kind(position))
    }

    /// Immediate operand `position`, sign-extended.
    pub fn immediate(&self, position: u32) -> u64 {
        self.instruction.immediate(position)
    }

    pub fn is_locked(&self) -> bool {
        self.instruction.has_lock_prefix()
    }

    /// Whether a branch to the constant `target` does not fault: it is canonical, or within the code
    /// segment.
    pub fn reaches(&self, target: u64) -> bool {
        match self.mode.bitness {
            64 => repeats_highest(target, self.mode.linear_bits.into()),
            _ => target <= u64::from(self.cs_limit),
        }
    }

    /// All operands, for a call-out.
    pub(super) fn describe(&self, function: Function) -> Detail {
        let instruction = &self.instruction;
        let mut registers = [Gpr::ZERO_OFFSET; 4];
        let mut memory = Detail::NO_MEMORY;
        let mut immediate = 0;
        let mut width = 0;
        for position in 0..instruction.op_count().min(4) {
            match instruction.op_kind(position) {
                OpKind::Register => {
                    let name = instruction.op_register(position);
                    registers[position as usize] = register_operand(name);
                    if position == 0 {
                        width = name.size() as u8;
                    }
                }
                OpKind::Memory => memory = position as u8,
                OpKind::FarBranch16 => {
                    immediate = u64::from(instruction.far_branch16())
                        | u64::from(instruction.far_branch_selector()) << 32;
                }
                OpKind::FarBranch32 => {
                    immediate = u64::from(instruction.far_branch32())
                        | u64::from(instruction.far_branch_selector()) << 32;
                }
                OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                    immediate = instruction.near_branch_target();
                }
                OpKind::Immediate8_2nd => immediate |= instruction.immediate(position) << 32,
                kind if is_immediate(kind) => immediate = instruction.immediate(position),
                _ => {}
            }
        }
        if memory == 0 {
            width = instruction.memory_size().size() as u8;
        }
        let (base, index_register, scale) = self.base_and_index();
        let mut prefixes = Prefixes::empty();
        prefixes.set(Prefixes::LOCK, instruction.has_lock_prefix());
        prefixes.set(Prefixes::REP, instruction.has_rep_prefix());
        prefixes.set(Prefixes::REPNE, instruction.has_repne_prefix());
        Detail {
            function,
            next_rip: instruction.next_ip(),
            immediate,
            displacement: instruction.memory_displacement64(),
            base,
            index_register,
            scale,
            segment: segment_number(instruction.memory_segment()),
            registers,
            memory,
            address_bits: self.address_bits(),
            width,
            length: instruction.len() as u8,
            prefixes,
            bitness: self.mode.bitness,
            index: self.index,
        }
    }
}

/// Width of the counter of LOOPcc and JrCXZ.
fn counter_bits(code: Code) -> Option<u8> {
    use Code as C;
    Some(match code {
        C::Jcxz_rel8_16 | C::Jcxz_rel8_32 => 16,
        C::Loop_rel8_16_CX | C::Loop_rel8_32_CX => 16,
        C::Loope_rel8_16_CX | C::Loope_rel8_32_CX => 16,
        C::Loopne_rel8_16_CX | C::Loopne_rel8_32_CX => 16,
        C::Jecxz_rel8_16 | C::Jecxz_rel8_32 | C::Jecxz_rel8_64 => 32,
        C::Loop_rel8_16_ECX | C::Loop_rel8_32_ECX | C::Loop_rel8_64_ECX => 32,
        C::Loope_rel8_16_ECX | C::Loope_rel8_32_ECX | C::Loope_rel8_64_ECX => 32,
        C::Loopne_rel8_16_ECX | C::Loopne_rel8_32_ECX | C::Loopne_rel8_64_ECX => 32,
        C::Jrcxz_rel8_16 | C::Jrcxz_rel8_64 => 64,
        C::Loop_rel8_16_RCX | C::Loop_rel8_64_RCX => 64,
        C::Loope_rel8_16_RCX | C::Loope_rel8_64_RCX => 64,
        C::Loopne_rel8_16_RCX | C::Loopne_rel8_64_RCX => 64,
        _ => return None,
    })
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// The byte offset of a general register, the number of any other.
fn register_operand(name: Name) -> u8 {
    match name {
        Name::AH | Name::CH | Name::DH | Name::BH => (name.number() as u8 - 4) * 8 + 1,
        // The decoder numbers SPL and those after it behind BH.
        name if name.is_gpr8() && name.number() >= 8 => (name.number() as u8 - 4) * 8,
        name if name.is_gpr() => name.number() as u8 * 8,
        name => name.number() as u8,
    }
}

fn segment_number(name: Name) -> u8 {
    let segment = match name {
        Name::ES => SegmentRegister::Es,
        Name::CS => SegmentRegister::Cs,
        Name::SS => SegmentRegister::Ss,
        Name::FS => SegmentRegister::Fs,
        Name::GS => SegmentRegister::Gs,
        _ => SegmentRegister::Ds,
    };
    segment as u8
}

const _: () = assert!(<Base>::SLOTS == 1 && <Indexed>::SLOTS == 1 && Far::SLOTS == 2);
