//! The x87 environment and state in memory, in the layouts of the 8087 to the 387: FNSTENV, FLDENV,
//! FNSAVE, FRSTOR. FXSAVE and its kin are not here.
//!
//! Selectors are saved as zero: the processor tells through CPUID that it has deprecated them.

use iced_x86::Mnemonic;

use super::control::{initialize, set_control_word};
use super::float80::{Float80, Kind};
use super::stack::EXCEPTIONS;
use super::{plain, require, wait};
use crate::execute::op::Detail;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave, segment_register};
use crate::state::Fpu;

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Fnstenv, |e| plain(e, fnstenv)),
    (Mnemonic::Fldenv, |e| plain(e, fldenv)),
    (Mnemonic::Fnsave, |e| plain(e, fnsave)),
    (Mnemonic::Frstor, |e| plain(e, frstor)),
];

/// The words of an environment.
const WORDS: usize = 7;
/// The bytes of a register in an image.
const REGISTER: usize = 10;
const LONGEST: usize = WORDS * 4 + 8 * REGISTER;

/// How an environment is laid out: words of 16 or 32 bits, and pointers as protected mode has them
/// or as real-address mode does.
#[derive(Clone, Copy)]
struct Layout {
    wide: bool,
    protected: bool,
}

impl Layout {
    fn of(cpu: &Cpu, detail: &Detail) -> Self {
        let length = usize::from(detail.width);
        let wide = length == WORDS * 4 || length == LONGEST;
        Self { wide, protected: cpu.state.has_descriptors() }
    }

    fn bytes(self) -> usize {
        WORDS * if self.wide { 4 } else { 2 }
    }

    /// The words, of which narrow layouts keep the low halves. What is reserved is set.
    fn write(self, fpu: &Fpu) -> [u32; WORDS] {
        const RESERVED: u32 = 0xffff_0000;
        let (instruction, data) = (fpu.instruction_pointer as u32, fpu.data_pointer as u32);
        let opcode = u32::from(fpu.opcode & 0x7ff);
        let [control, status, tags] = [fpu.control_word, fpu.status_word, full_tags(fpu)];
        let pointers = match self {
            Self { protected: true, .. } => [instruction, opcode << 16, data, RESERVED],
            Self { wide: true, .. } => [
                RESERVED | instruction & 0xffff,
                instruction >> 16 << 12 | opcode,
                RESERVED | data & 0xffff,
                data >> 16 << 12,
            ],
            _ => [instruction, instruction >> 4 & 0xf000 | opcode, data, data >> 4 & 0xf000],
        };
        let words = [control, status, tags].map(|word| RESERVED | u32::from(word));
        let mut image = [0; WORDS];
        image[..3].copy_from_slice(&words);
        image[3..].copy_from_slice(&pointers);
        image
    }

    fn read(self, fpu: &mut Fpu, image: [u32; WORDS]) {
        let [control, status, tags, instruction, code, data, operand] = image;
        let low = |word: u32| u64::from(word & 0xffff);
        let (instruction, opcode, data) = match self {
            Self { protected: true, wide: true } => (instruction.into(), code >> 16, data.into()),
            // The opcode is not kept.
            Self { protected: true, .. } => (low(instruction), 0, low(data)),
            Self { wide: true, .. } => {
                let high = |word: u32| u64::from(word >> 12 & 0xffff) << 16;
                (low(instruction) | high(code), code, low(data) | high(operand))
            }
            _ => {
                let high = |word: u32| u64::from(word >> 12 & 0xf) << 16;
                (low(instruction) | high(code), code, low(data) | high(operand))
            }
        };
        // The registers stay where they are, whichever is the top.
        fpu.set_top(status as u16 >> 11);
        fpu.status_word = status as u16;
        fpu.tag_word =
            (0..8).filter(|place| tags >> (2 * place) & 3 != 3).fold(0, |t, n| t | 1 << n);
        fpu.instruction_pointer = instruction;
        fpu.opcode = opcode as u16 & 0x7ff;
        fpu.data_pointer = data;
        set_control_word(fpu, control as u16);
    }

    fn encode(self, words: [u32; WORDS], bytes: &mut [u8]) {
        let step = self.bytes() / WORDS;
        for (place, word) in bytes.chunks_exact_mut(step).zip(words) {
            place.copy_from_slice(&word.to_le_bytes()[..step]);
        }
    }

    fn decode(self, bytes: &[u8]) -> [u32; WORDS] {
        let step = self.bytes() / WORDS;
        let mut words = [0; WORDS];
        for (place, word) in bytes.chunks_exact(step).zip(&mut words) {
            *word = place.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        words
    }
}

/// Two bits for each physical register: valid, zero, special or empty.
fn full_tags(fpu: &Fpu) -> u16 {
    (0..8_u8).fold(0, |tags, index| {
        let tag = match fpu.get(index).map(Float80::unpack) {
            None => 3,
            Some(value) => match value.kind {
                Kind::Zero => 1,
                Kind::Finite if !value.denormal => 0,
                _ => 2,
            },
        };
        tags | tag << (2 * ((fpu.top() + u16::from(index)) & 7))
    })
}

/// Writes `bytes`, of which those of the environment are words, at the memory operand once all of
/// them can be. The first word is looked at, then the whole range and its last byte, and then the
/// others, as processors do.
fn write(cpu: &mut Cpu, detail: &Detail, layout: Layout, bytes: &[u8]) -> Result<(), Leave> {
    let segment = segment_register(detail.segment);
    let (length, word) = (bytes.len() as u64, (layout.bytes() / WORDS) as u8);
    let linear = cpu.linear(detail, word.into(), true)?;
    cpu.probe_store(segment, linear, word)?;
    cpu.linear(detail, length, true)?;
    cpu.probe_write(segment, cpu.following(linear, length - 1), 1)?;
    let (words, registers) = bytes.split_at(if layout.wide { layout.bytes() } else { 0 });
    for (place, word) in words.as_chunks::<4>().0.iter().enumerate() {
        cpu.store(segment, cpu.following(linear, 4 * place as u64), u32::from_le_bytes(*word))?;
    }
    let linear = cpu.following(linear, words.len() as u64);
    for (place, pair) in registers.as_chunks::<2>().0.iter().enumerate() {
        cpu.store(segment, cpu.following(linear, 2 * place as u64), u16::from_le_bytes(*pair))?;
    }
    Ok(())
}

/// As [`write`], the other way.
fn read(cpu: &mut Cpu, detail: &Detail, layout: Layout, bytes: &mut [u8]) -> Result<(), Leave> {
    let segment = segment_register(detail.segment);
    let (length, word) = (bytes.len() as u64, (layout.bytes() / WORDS) as u64);
    let linear = cpu.linear(detail, word, false)?;
    if layout.wide {
        cpu.load::<u32>(segment, linear)?;
    } else {
        cpu.load::<u16>(segment, linear)?;
    }
    cpu.linear(detail, length, false)?;
    cpu.load::<u8>(segment, cpu.following(linear, length - 1))?;
    let (words, registers) = bytes.split_at_mut(if layout.wide { layout.bytes() } else { 0 });
    for (place, word) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *word = cpu.load::<u32>(segment, cpu.following(linear, 4 * place as u64))?.to_le_bytes();
    }
    let linear = cpu.following(linear, words.len() as u64);
    for (place, pair) in registers.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        *pair = cpu.load::<u16>(segment, cpu.following(linear, 2 * place as u64))?.to_le_bytes();
    }
    Ok(())
}

/// FNSTENV masks all exceptions behind it.
fn fnstenv(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    let layout = Layout::of(cpu, detail);
    let mut image = [0; WORDS * 4];
    let bytes = &mut image[..layout.bytes()];
    layout.encode(layout.write(&cpu.state.fpu), bytes);
    write(cpu, detail, layout, bytes)?;
    let fpu = &mut cpu.state.fpu;
    set_control_word(fpu, fpu.control_word | EXCEPTIONS);
    Ok(())
}

fn fldenv(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let layout = Layout::of(cpu, detail);
    let mut image = [0; WORDS * 4];
    let bytes = &mut image[..layout.bytes()];
    read(cpu, detail, layout, bytes)?;
    layout.read(&mut cpu.state.fpu, layout.decode(bytes));
    Ok(())
}

fn fnsave(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    let layout = Layout::of(cpu, detail);
    let mut image = [0; LONGEST];
    let (head, registers) = image.split_at_mut(layout.bytes());
    layout.encode(layout.write(&cpu.state.fpu), head);
    for (place, value) in registers.chunks_exact_mut(REGISTER).zip(cpu.state.fpu.st) {
        place.copy_from_slice(&value.to_le_bytes()[..REGISTER]);
    }
    write(cpu, detail, layout, &image[..layout.bytes() + 8 * REGISTER])?;
    initialize(&mut cpu.state.fpu);
    Ok(())
}

fn frstor(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let layout = Layout::of(cpu, detail);
    let mut image = [0; LONGEST];
    let bytes = &mut image[..layout.bytes() + 8 * REGISTER];
    read(cpu, detail, layout, bytes)?;
    let (head, registers) = bytes.split_at(layout.bytes());
    let fpu = &mut cpu.state.fpu;
    layout.read(fpu, layout.decode(head));
    for (value, place) in fpu.st.iter_mut().zip(registers.chunks_exact(REGISTER)) {
        *value = place.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte));
    }
    Ok(())
}
