//! Instructions of all groups at random, bent so that most of them do not end the sequence: memory
//! operands lie in the arena, and addresses stay in their registers.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::builder::Builder;
use super::code::{Element, Leads};
use crate::generate::Generator;
use crate::generate::operands::segment_base;
use crate::layout::{ARENA, Mode, PAGE};
use crate::numbers::Numbers;
use crate::undefined;
use iced_x86::Code;

/// How often another instruction is tried.
const TRIES: usize = 24;

/// What a mix is made of.
pub struct Mix {
    /// By mode.
    codes: [Vec<Code>; 3],
    info: InstructionInfoFactory,
}

impl Mix {
    /// Of all that `generator` knows, but transfers of control, and what a sequence has in patterns of
    /// its own or could not be compared behind.
    pub fn new(generator: &Generator) -> Self {
        let of = |mode| generator.codes().filter(|it| it.1 == mode).map(|it| it.0).collect();
        let codes = Mode::ALL.map(of);
        Self { codes, info: InstructionInfoFactory::new() }
    }

    /// Writes one.
    pub fn write(&mut self, b: &mut Builder, generator: &mut Generator, gpr: &[u64; 16]) {
        for _ in 0..TRIES {
            let codes = &self.codes[b.mode as usize];
            let code = b.one_of(codes);
            let Some((bytes, instruction)) = generator.instruction(code, b.mode, b.numbers) else {
                continue;
            };
            let wild = b.numbers.one_in(40);
            if !is_welcome(&instruction) || !wild && self.does_harm(&instruction, b) {
                continue;
            }
            let element = place(bytes, &instruction, b.mode, gpr, b.numbers);
            if element.is_none() && !wild {
                continue;
            }
            if instruction.rflags_read() != 0 {
                b.read_flags();
            }
            if undefined::flags(&instruction) != 0 {
                b.undefine_flags();
            }
            if let Some(element) = element {
                return b.push_element(element);
            }
        }
    }

    /// Whether a register is written that sequences rely on.
    fn does_harm(&mut self, instruction: &Instruction, b: &Builder) -> bool {
        let info = self.info.info(instruction);
        info.used_registers().iter().any(|used| {
            let writes =
                !matches!(used.access(), OpAccess::None | OpAccess::Read | OpAccess::CondRead);
            let register = used.register();
            writes
                && register.is_gpr()
                && b.reserved() >> register.full_register().number() & 1 != 0
                && !(register.full_register() == Register::RSP
                    && instruction.is_stack_instruction())
        })
    }
}

/// Instructions that end most sequences, or belong to patterns.
fn is_welcome(instruction: &Instruction) -> bool {
    // AMD's processors keep the segments of what the x87 has executed last, which the interpreter says by
    // CPUID that it has deprecated.
    use Mnemonic::{Enter, Hlt, Leave, Popa, Popad, Popf, Popfd, Popfq, Pusha, Pushad};
    use Mnemonic::{Fnsave, Fnstenv};
    let privileged = instruction.is_privileged() || instruction.mnemonic() == Hlt;
    let repeated = instruction.is_string_instruction()
        && (instruction.has_rep_prefix() || instruction.has_repne_prefix());
    instruction.flow_control() == FlowControl::Next
        && !privileged
        && !repeated
        && !instruction.is_vsib()
        && !matches!(
            instruction.mnemonic(),
            Fnsave | Fnstenv | Enter | Leave | Popa | Popad | Popf | Popfd | Popfq | Pusha | Pushad
        )
}

/// The instruction with its memory operand in the arena, as far as its registers are addresses.
fn place(
    mut bytes: Vec<u8>,
    instruction: &Instruction,
    mode: Mode,
    gpr: &[u64; 16],
    numbers: &mut Numbers,
) -> Option<Element> {
    let has_memory =
        (0..instruction.op_count()).any(|op| instruction.op_kind(op) == OpKind::Memory);
    if !has_memory || instruction.mnemonic() == Mnemonic::Lea {
        return Some(Element::plain(bytes));
    }
    let mut decoder = Decoder::with_ip(mode.bitness(), &bytes, 0, DecoderOptions::NONE);
    let decoded = decoder.decode();
    let constants = decoder.get_constant_offsets(&decoded);
    let (at, size) = (constants.displacement_offset(), constants.displacement_size());
    let address = ARENA + (numbers.below(2 * PAGE - 64) & if numbers.one_in(3) { !0 } else { !31 });
    if instruction.is_ip_rel_memory_operand() && size == 4 {
        return Some(Element { bytes, leads: Leads::Relative { at, address } });
    }
    let registers = [
        (instruction.memory_base(), 1),
        (instruction.memory_index(), u64::from(instruction.memory_index_scale())),
    ];
    let segment = segment_base(mode, instruction.memory_segment());
    let (mut pointers, mut sum) = (0, segment);
    for (register, scale) in registers.into_iter().filter(|it| it.0 != Register::None) {
        let number = register.is_gpr().then(|| register.full_register().number())?;
        let is_index = Builder::index(mode) == Some(number as u8);
        pointers += usize::from(!is_index);
        if !is_index && !Builder::pointers(mode).contains(&(number as u8)) {
            return None;
        }
        sum = sum.wrapping_add(gpr[number].wrapping_mul(scale));
    }
    // As large as addresses are, or there for what is near.
    if size >= 2 {
        if size == 2 && address.wrapping_sub(segment) > 0xffff {
            return None;
        }
        let value = address.wrapping_sub(sum);
        bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    } else if pointers != 1 || segment != segment_base(mode, Register::DS) {
        return None;
    }
    Some(Element::plain(bytes))
}
