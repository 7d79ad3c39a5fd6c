//! Where memory operands go: registers and displacements are solved for an address that was chosen.

use iced_x86::{
    CodeSize, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
    Register, UsedMemory,
};
use monovisor_core::state::SegmentRegister;

use crate::case::Case;
use crate::layout::{ARENA, ARENA_SIZE, Mode, PAGE};
use crate::numbers::Numbers;

/// Addresses that no processor of the guest's kind translates.
const NOT_CANONICAL: u64 = 0x1234_5678_9abc_def0;
const UNMAPPED: u64 = ARENA - 5 * PAGE;

/// Sets the case up so that its memory operands are somewhere worth looking at, and gives the
/// address of one.
pub fn place(
    case: &mut Case,
    instruction: &Instruction,
    info: &mut InstructionInfoFactory,
    numbers: &mut Numbers,
) -> u64 {
    limit_repetitions(case, instruction, numbers);
    let used: Vec<UsedMemory> = info.info(instruction).used_memory().to_vec();
    let mut last = ARENA;
    for memory in &used {
        let size = memory.memory_size().size().max(1) as u64;
        let target = target(case.mode, size, numbers);
        if solve(case, instruction, memory, target) {
            last = target;
        }
    }
    last
}

/// An address in the arena or at its edges.
fn target(mode: Mode, size: u64, numbers: &mut Numbers) -> u64 {
    let end = ARENA + ARENA_SIZE;
    let read_only = end - PAGE;
    // Some of the bytes are before the border.
    let crossing = |border: u64, numbers: &mut Numbers| border - 1 - numbers.below(size.max(2) - 1);
    match numbers.below(64) {
        0..18 => ARENA + numbers.below(2 * PAGE - size.min(PAGE)),
        18..44 => ARENA + (numbers.below(2 * PAGE - size.min(PAGE)) & !63),
        44..51 => crossing(ARENA + PAGE, numbers),
        51..54 => crossing(read_only, numbers),
        54..57 => read_only + numbers.below(PAGE),
        57 => crossing(end, numbers),
        58 => crossing(ARENA, numbers),
        59 | 60 => UNMAPPED + numbers.below(PAGE),
        61 => end + numbers.below(64),
        62 if mode == Mode::Long => NOT_CANONICAL,
        62 => ARENA,
        _ => numbers.operand(),
    }
}

/// Chooses the base register, the index register or the displacement such that the operand is at
/// `target`; whether that was possible.
fn solve(case: &mut Case, instruction: &Instruction, memory: &UsedMemory, target: u64) -> bool {
    let mask = match memory.address_size() {
        CodeSize::Code16 => 0xffff,
        CodeSize::Code32 => 0xffff_ffff,
        _ => u64::MAX,
    };
    let base = segment_base(case.mode, memory.segment());
    let offset = target.wrapping_sub(base).wrapping_sub(memory.displacement());
    let (index, scale) = (memory.index(), u64::from(memory.scale()));
    let indexed = number(index).map_or(0, |number| case.state.gpr[number]).wrapping_mul(scale);
    match (number(memory.base()), number(index)) {
        (Some(base), Some(index)) if base == index => {
            case.state.gpr[base] = (offset & mask) / (scale + 1);
        }
        (Some(base), _) => case.state.gpr[base] = offset.wrapping_sub(indexed) & mask,
        (None, Some(index)) => case.state.gpr[index] = (offset & mask) / scale,
        (None, None) => return displace(case, instruction, target.wrapping_sub(base)),
    }
    if case.mode != Mode::Long {
        case.state.gpr.iter_mut().for_each(|value| *value &= 0xffff_ffff);
    }
    true
}

/// Writes the displacement of an operand without registers, or relative to RIP.
fn displace(case: &mut Case, instruction: &Instruction, offset: u64) -> bool {
    let mut decoder = Decoder::with_ip(
        case.mode.bitness(),
        &case.code[..case.length as usize],
        case.state.rip,
        DecoderOptions::NONE,
    );
    let decoded = decoder.decode();
    let constants = decoder.get_constant_offsets(&decoded);
    if !constants.has_displacement() {
        return false;
    }
    let relative = instruction.is_ip_rel_memory_operand();
    let next = case.state.rip.wrapping_add(u64::from(case.length));
    let value = if relative { offset.wrapping_sub(next) } else { offset };
    let (at, size) = (constants.displacement_offset(), constants.displacement_size());
    case.code[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    true
}

/// The base of the segment that an operand is in, as its mode sees it.
pub fn segment_base(mode: Mode, register: Register) -> u64 {
    let segment = match register {
        Register::ES => SegmentRegister::Es,
        Register::CS => SegmentRegister::Cs,
        Register::SS => SegmentRegister::Ss,
        Register::FS => SegmentRegister::Fs,
        Register::GS => SegmentRegister::Gs,
        _ => SegmentRegister::Ds,
    };
    u64::from(mode.segment(segment).base)
}

/// The number of a general register of any size.
fn number(register: Register) -> Option<usize> {
    (register.is_gpr() && register != Register::None).then(|| register.full_register().number())
}

/// Counts and bit offsets that stay within the arena, most of the time.
fn limit_repetitions(case: &mut Case, instruction: &Instruction, numbers: &mut Numbers) {
    const RCX: usize = 1;
    if instruction.has_rep_prefix() || instruction.has_repne_prefix() {
        case.state.gpr[RCX] = match numbers.below(8) {
            0..4 => numbers.below(4),
            4..6 => numbers.below(300),
            _ => case.state.gpr[RCX],
        };
    }
    let bit_string = matches!(
        instruction.mnemonic(),
        Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc
    );
    if bit_string
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_kind() == OpKind::Register
        && !numbers.one_in(8)
        && let Some(number) = number(instruction.op1_register())
    {
        let near = numbers.below(1 << 13) as i64 - (1 << 12);
        case.state.gpr[number] = near as u64;
    }
    // An address from an index of a vector stays near its base.
    if instruction.is_vsib() {
        for value in case.state.ymm.as_flattened_mut() {
            if instruction.is_vsib32() {
                *value &= 0x0000_00ff_0000_00ff_0000_00ff_0000_00ff;
            } else {
                *value &= 0xff << 64 | 0xff;
            }
        }
    }
}
