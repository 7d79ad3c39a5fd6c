//! Instruction bytes: which heads an opcode can have, found by a walk over the opcode maps, and
//! random instructions with such a head.
//!
//! Nothing here lists instructions. What a head means is told by the decoder; so an instruction that
//! the interpreter learns is generated from then on.

use std::collections::BTreeMap;

use iced_x86::{Code, Decoder, DecoderError, DecoderOptions, Instruction};

use crate::layout::Mode;
use crate::numbers::Numbers;

/// Longest legal instruction.
pub const LONGEST: usize = 15;

/// Bytes before the opcode that are part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// One of 66, F3 and F2, and REX.W.
    Legacy { mandatory: Option<u8>, wide: bool },
    /// VEX.pp, L and W.
    Vex { pp: u8, long: bool, wide: bool },
}

/// An opcode with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub prefix: Prefix,
    /// 0 for one-byte opcodes, 1 to 3 for 0F, 0F 38 and 0F 3A.
    pub map: u8,
    pub opcode: u8,
    /// A ModRM byte that selects the instruction.
    pub modrm: u8,
}

/// What an encoding is free to choose.
#[derive(Clone, Default)]
pub struct Free {
    /// Prefixes in front of everything.
    pub prefixes: Vec<u8>,
    /// REX.R, X and B in bits 2, 1 and 0; in VEX inverted.
    pub extension: u8,
    /// VEX.vvvv, not inverted.
    pub second_source: u8,
    /// REX without any bit set, which selects SPL and its like.
    pub bare_rex: bool,
}

impl Head {
    /// The bytes up to the ModRM byte, which is `modrm`.
    pub fn bytes(&self, free: &Free, modrm: u8) -> Vec<u8> {
        let mut bytes = free.prefixes.clone();
        match self.prefix {
            Prefix::Legacy { mandatory, wide } => {
                bytes.extend(mandatory);
                let rex = u8::from(wide) << 3 | free.extension;
                if rex != 0 || free.bare_rex {
                    bytes.push(0x40 | rex);
                }
                bytes.extend(match self.map {
                    0 => &[][..],
                    1 => &[0x0f],
                    2 => &[0x0f, 0x38],
                    _ => &[0x0f, 0x3a],
                });
            }
            Prefix::Vex { pp, long, wide } => {
                let source = !free.second_source & 15;
                let last = source << 3 | u8::from(long) << 2 | pp;
                if self.map == 1 && !wide && free.extension & 3 == 0 && !free.bare_rex {
                    bytes.extend([0xc5, (!free.extension & 4) << 5 | last]);
                } else {
                    let extension = (!free.extension & 7) << 5;
                    bytes.extend([0xc4, extension | self.map, u8::from(wide) << 7 | last]);
                }
            }
        }
        bytes.extend([self.opcode, modrm]);
        bytes
    }

    /// An instruction with this head, if there is any.
    fn sample(&self, mode: Mode) -> Option<Instruction> {
        let mut bytes = self.bytes(&Free::default(), self.modrm);
        bytes.resize(LONGEST, 0);
        decode(mode, &bytes, 0).ok().or_else(|| {
            // A vector of indices, the mask and the destination must be three registers: bytes that the
            // first try has as zero name others here.
            let free = Free { second_source: 6, ..Free::default() };
            let mut bytes = self.bytes(&free, self.modrm);
            bytes.resize(LONGEST, 0x29);
            decode(mode, &bytes, 0).ok().filter(Instruction::is_vsib)
        })
    }

    /// All heads of a mode, whether they mean something or not.
    pub fn all(mode: Mode) -> impl Iterator<Item = Self> {
        let wide = if mode == Mode::Long { &[false, true][..] } else { &[false] };
        let mut prefixes: Vec<(Prefix, u8)> = Vec::new();
        for mandatory in [None, Some(0x66), Some(0xf3), Some(0xf2)] {
            for &wide in wide {
                prefixes.extend((0..4).map(|map| (Prefix::Legacy { mandatory, wide }, map)));
            }
        }
        for pp in 0..4 {
            for long in [false, true] {
                for wide in [false, true] {
                    prefixes.extend((1..4).map(|map| (Prefix::Vex { pp, long, wide }, map)));
                }
            }
        }
        prefixes.into_iter().flat_map(|(prefix, map)| {
            (0..=255).flat_map(move |opcode| {
                (0..=255).map(move |modrm| Self { prefix, map, opcode, modrm })
            })
        })
    }

    /// Whether the opcode byte begins something else in its map: a prefix or an escape.
    pub fn is_escape(&self, mode: Mode) -> bool {
        let vex = matches!(self.prefix, Prefix::Vex { .. });
        match (self.map, self.opcode) {
            (0, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 | 0x0f) => true,
            (0, 0x40..=0x4f) => mode == Mode::Long,
            // VEX and EVEX, or LES, LDS and BOUND.
            (0, 0xc4 | 0xc5 | 0x62) => mode == Mode::Long || self.modrm >= 0xc0,
            // XOP, or POP.
            (0, 0x8f) => self.modrm & 0x38 != 0,
            (1, 0x38 | 0x3a) => !vex,
            _ => false,
        }
    }
}

/// Decodes the first instruction of `bytes` as a processor of the mode would, at `rip`.
pub fn decode(mode: Mode, bytes: &[u8], rip: u64) -> Result<Instruction, DecoderError> {
    let mut decoder = Decoder::with_ip(mode.bitness(), bytes, rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    match decoder.last_error() {
        DecoderError::None => Ok(instruction),
        error => Err(error),
    }
}

/// The heads of each instruction, by mode.
pub struct Encodings {
    heads: BTreeMap<(Code, Mode), Vec<Head>>,
}

impl Encodings {
    /// Finds the heads of the instructions that `wanted` accepts.
    pub fn find(modes: &[Mode], wanted: impl Fn(&Instruction) -> bool) -> Self {
        let mut heads: BTreeMap<(Code, Mode), Vec<Head>> = BTreeMap::new();
        for &mode in modes {
            for head in Head::all(mode).filter(|head| sample(head.modrm) && !head.is_escape(mode)) {
                let Some(instruction) = head.sample(mode) else { continue };
                if wanted(&instruction) {
                    heads.entry((instruction.code(), mode)).or_default().push(head);
                }
            }
        }
        Self { heads }
    }

    /// The instructions that were found, with the modes that have them.
    pub fn codes(&self) -> impl Iterator<Item = (Code, Mode)> {
        self.heads.keys().copied()
    }

    /// A random instruction with this code, and its bytes.
    pub fn instruction(
        &self,
        code: Code,
        mode: Mode,
        numbers: &mut Numbers,
    ) -> Option<(Vec<u8>, Instruction)> {
        let heads = self.heads.get(&(code, mode))?;
        for _ in 0..64 {
            let head = heads[numbers.below(heads.len() as u64) as usize];
            let (free, modrm) = random(&head, mode, numbers);
            let mut bytes = head.bytes(&free, modrm);
            while bytes.len() < LONGEST {
                // Small displacements and immediates beside arbitrary ones.
                let word = numbers.operand().to_le_bytes();
                bytes.extend(&word[..1 + numbers.below(8) as usize]);
            }
            bytes.truncate(LONGEST);
            if let Ok(instruction) = decode(mode, &bytes, 0)
                && instruction.code() == code
            {
                bytes.truncate(instruction.len());
                return Some((bytes, instruction));
            }
        }
        None
    }
}

/// ModRM bytes that tell apart what can be told apart: each /digit with memory, without and with a SIB
/// byte, and with each register, which selects instructions of the x87 and of groups.
fn sample(modrm: u8) -> bool {
    modrm >= 0xc0 || matches!(modrm & 0xc7, 3 | 4)
}

/// Prefixes and registers for an instruction with this head.
fn random(head: &Head, mode: Mode, numbers: &mut Numbers) -> (Free, u8) {
    let long = mode == Mode::Long;
    let mut free = Free::default();
    if numbers.one_in(6) {
        free.prefixes.push([0x64, 0x65, 0x26, 0x2e, 0x36, 0x3e][numbers.below(6) as usize]);
    }
    if numbers.one_in(8) {
        free.prefixes.push(0x67);
    }
    if numbers.one_in(8) && matches!(head.prefix, Prefix::Legacy { .. }) {
        free.prefixes.push([0xf0, 0xf0, 0xf2, 0xf3][numbers.below(4) as usize]);
    }
    if long {
        free.extension = if numbers.one_in(2) { 0 } else { numbers.below(8) as u8 };
        free.bare_rex = numbers.one_in(8);
    }
    free.second_source = match head.prefix {
        Prefix::Vex { .. } if numbers.one_in(4) => 0,
        Prefix::Vex { .. } => numbers.below(if long { 16 } else { 8 }) as u8,
        Prefix::Legacy { .. } => 0,
    };
    let any = numbers.next() as u8;
    let reg = if numbers.one_in(8) { head.modrm & 0x38 } else { any & 0x38 };
    let modrm = if head.modrm >= 0xc0 { 0xc0 | any & 7 } else { (any % 0xc0) & 0xc7 };
    (free, reg | modrm)
}
