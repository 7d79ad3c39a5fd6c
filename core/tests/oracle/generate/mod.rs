//! Cases: a random instruction with registers and memory that it makes something of.

pub mod encoding;
pub mod operands;

use iced_x86::{
    Code, CpuidFeature, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
};

use crate::case::{CODE_ROOM, Case, POKE, State, X87};
use crate::extended;
use crate::layout::{ARENA, ARENA_SIZE, CODE, Mode, PAGE};
use crate::numbers::Numbers;
use encoding::{Encodings, decode};

/// CF, PF, AF, ZF, SF, OF.
const STATUS_FLAGS: u64 = 0x8d5;
/// Bit 1, which is always set, and IF.
const FIXED_FLAGS: u64 = 0x202;
const DF: u64 = 0x400;
const AC: u64 = 1 << 18;
/// Bytes in front of the operand that differ from case to case, too.
const MARGIN: usize = 8;
/// MXCSR after reset: all exceptions masked.
pub const MXCSR: u32 = 0x1f80;

pub struct Generator {
    encodings: Encodings,
    info: InstructionInfoFactory,
    pub numbers: Numbers,
}

/// The arena before the cases of a batch.
pub type Image = [u8; ARENA_SIZE as usize];

impl Generator {
    pub fn new(encodings: Encodings, seed: u64) -> Self {
        Self { encodings, info: InstructionInfoFactory::new(), numbers: Numbers(seed) }
    }

    /// The instructions that it can make.
    pub fn codes(&self) -> impl Iterator<Item = (Code, Mode)> {
        self.encodings.codes()
    }

    /// An arena of operands.
    pub fn image(&mut self) -> Box<Image> {
        let mut image = Box::new([0; ARENA_SIZE as usize]);
        let mut at = 0;
        while at < image.len() {
            let bytes = self.numbers.lane().to_le_bytes();
            let length = bytes.len().min(image.len() - at);
            image[at..at + length].copy_from_slice(&bytes[..length]);
            at += length;
        }
        image
    }

    /// Cases of one instruction with different operands.
    pub fn cases(&mut self, code: Code, mode: Mode, count: usize, into: &mut Vec<Case>) {
        let Some((bytes, _)) = self.encodings.instruction(code, mode, &mut self.numbers) else {
            return;
        };
        into.extend((0..count).filter_map(|_| self.case(mode, &bytes)));
    }

    /// A random instruction with this code, and its bytes.
    pub fn instruction(
        &self,
        code: Code,
        mode: Mode,
        numbers: &mut Numbers,
    ) -> Option<(Vec<u8>, Instruction)> {
        self.encodings.instruction(code, mode, numbers)
    }

    /// A case of nothing yet, with random registers.
    pub fn blank(&mut self, mode: Mode) -> Case {
        let state = registers(mode, &mut self.numbers);
        Case { mode, length: 0, code: [0; CODE_ROOM], state, poke_at: 0, poke: [0; POKE] }
    }

    /// A case of the instruction with these bytes, of which displacements may be changed; `None` if
    /// it is a branch into itself.
    pub fn case(&mut self, mode: Mode, bytes: &[u8]) -> Option<Case> {
        let mut case = self.blank(mode);
        let numbers = &mut self.numbers;
        case.length = bytes.len() as u32;
        case.code[..bytes.len()].copy_from_slice(bytes);
        let end = if mode == Mode::Compatibility16 { PAGE } else { CODE + PAGE };
        case.state.rip = end - bytes.len() as u64;
        let instruction = decode(mode, bytes, case.state.rip).ok()?;
        if returns_to_itself(&instruction, case.state.rip, end) {
            return None;
        }
        let is_x87 = uses_x87(&instruction);
        if is_x87 {
            case.state.x87 = x87(numbers, extended::float);
        } else if uses_mmx(&instruction) {
            case.state.x87 = x87(numbers, |numbers| numbers.lane() & ((1 << 80) - 1));
        }
        let target = operands::place(&mut case, &instruction, &mut self.info, numbers);
        case.poke_at =
            (target.wrapping_sub(ARENA + MARGIN as u64)).min(ARENA_SIZE - POKE as u64) as u32;
        for chunk in case.poke.chunks_mut(16) {
            chunk.copy_from_slice(&numbers.lane().to_le_bytes());
        }
        if is_x87 {
            case.poke[MARGIN..][..16].copy_from_slice(&extended::memory(numbers).to_le_bytes());
        }
        Some(case)
    }
}

/// Whether a near branch has its target within the instruction.
fn returns_to_itself(instruction: &Instruction, start: u64, end: u64) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch | FlowControl::Call
    ) && matches!(
        instruction.op0_kind(),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    ) && (start..end).contains(&instruction.near_branch_target())
}

/// Whether the instruction's registers are the x87's.
fn uses_mmx(instruction: &Instruction) -> bool {
    let mm = |operand| instruction.op_register(operand).is_mm();
    // Those that may have their MMX operand in memory.
    let converts = matches!(instruction.mnemonic(), Mnemonic::Cvtpi2ps | Mnemonic::Cvtpi2pd);
    converts
        || instruction.cpuid_features().contains(&CpuidFeature::MMX)
        || (0..instruction.op_count()).any(mm)
}

/// Whether the instruction is one of the x87's.
fn uses_x87(instruction: &Instruction) -> bool {
    use CpuidFeature::{FPU, FPU287, FPU387};
    instruction.cpuid_features().iter().any(|feature| matches!(feature, FPU | FPU287 | FPU387))
}

/// An x87 in any state: any top of the stack, any registers empty, and sometimes an exception pending.
pub fn x87(numbers: &mut Numbers, register: fn(&mut Numbers) -> u128) -> X87 {
    /// Condition code and top of the stack.
    const FREE: u16 = 0x7f00;
    /// Exceptions, and the stack fault that is not masked by itself.
    const EXCEPTIONS: u16 = 0x3f;
    const STACK_FAULT: u16 = 0x40;
    /// Exception summary, and busy.
    const PENDING: u16 = 0x8080;
    let control = if numbers.one_in(2) { 0x37f } else { extended::control_word(numbers) };
    let mut state = X87 {
        control,
        status: numbers.next() as u16 & FREE,
        tags: if numbers.one_in(2) { numbers.next() as u8 } else { 0xff },
        st: std::array::from_fn(|_| register(numbers)),
    };
    match numbers.below(16) {
        0 => state.status |= numbers.next() as u16 & (EXCEPTIONS | STACK_FAULT),
        1..4 => state.status |= numbers.next() as u16 & (EXCEPTIONS & control | STACK_FAULT),
        _ => {}
    }
    match numbers.below(4) {
        // Room for a result or two.
        0 => state.tags &= !0xc0_u8.rotate_left(u32::from(state.status >> 11 & 7)),
        // Operands of one magnitude.
        1 => state.st[1] = state.st[0] ^ u128::from(numbers.next() & 1) << 79,
        _ => {}
    }
    if state.status & !state.control & EXCEPTIONS != 0 {
        state.status |= PENDING;
    }
    state
}

fn registers(mode: Mode, numbers: &mut Numbers) -> State {
    let mut gpr = [0; 16];
    for value in &mut gpr {
        *value = numbers.operand();
        if mode != Mode::Long {
            *value &= 0xffff_ffff;
        }
    }
    let mut rflags = FIXED_FLAGS | numbers.next() & STATUS_FLAGS;
    if numbers.one_in(4) {
        rflags |= DF;
    }
    if numbers.one_in(8) {
        rflags |= AC;
    }
    let mut ymm = [[0; 2]; 16];
    for value in ymm.as_flattened_mut() {
        *value = numbers.lane();
    }
    let mxcsr = if numbers.one_in(2) { MXCSR } else { numbers.next() as u32 & 0xffff };
    State { gpr, rip: 0, rflags, ymm, mxcsr, x87: X87::INITIAL }
}
