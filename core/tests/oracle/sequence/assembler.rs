//! Bytes of the instructions that patterns are made of: opcode, ModRM and SIB bytes, prefixes. What a
//! pattern means by them is its own matter.

use crate::layout::Mode;

/// Prefixes that change the size of operands and of addresses.
const OPERAND_SIZE: u8 = 0x66;
const ADDRESS_SIZE: u8 = 0x67;

/// The operand that a ModRM byte names beside the register.
#[derive(Clone, Copy, Debug)]
pub enum Rm {
    /// A register by its number; of bytes, 4 to 7 are AH to BH where no prefix says otherwise.
    Register(u8),
    Memory {
        base: u8,
        /// A register and the shift of its value.
        index: Option<(u8, u8)>,
        displacement: i32,
    },
}

impl Rm {
    /// The memory so many bytes behind this.
    pub fn behind(self, distance: i32) -> Self {
        match self {
            Self::Register(_) => self,
            Self::Memory { base, index, displacement } => {
                Self::Memory { base, index, displacement: displacement.wrapping_add(distance) }
            }
        }
    }
}

/// How wide an instruction of the general registers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Byte,
    Word,
    Double,
    Quad,
}

impl Width {
    /// The widths that compilers compute in.
    pub fn wide(mode: Mode) -> &'static [Self] {
        match mode {
            Mode::Long => &[Self::Double, Self::Quad],
            Mode::Compatibility32 => &[Self::Double],
            Mode::Compatibility16 => &[Self::Word, Self::Double],
        }
    }

    pub fn bytes(self) -> usize {
        1 << self as usize
    }

    /// An opcode whose lowest bit says whether the operands are wider than a byte.
    pub fn opcode(self, opcode: u8) -> u8 {
        opcode | u8::from(self != Self::Byte)
    }

    /// The bytes of an immediate operand, which is no wider than 32 bits.
    pub fn immediate(self, value: u64) -> Vec<u8> {
        value.to_le_bytes()[..self.bytes().min(4)].to_vec()
    }
}

/// The prefix by which operands of the general registers are as wide as that.
fn operand_size(mode: Mode, width: Width) -> &'static [u8] {
    match (width, mode) {
        (Width::Word, Mode::Long | Mode::Compatibility32) => &[OPERAND_SIZE],
        (Width::Double, Mode::Compatibility16) => &[OPERAND_SIZE],
        _ => &[],
    }
}

/// An instruction of so wide operands that its opcode names.
pub fn implied(mode: Mode, width: Width, opcode: u8) -> Vec<u8> {
    let wide = if width == Width::Quad { &[0x48][..] } else { &[] };
    [operand_size(mode, width), wide, &[opcode]].concat()
}

/// An instruction of the general registers.
pub fn general(mode: Mode, width: Width, opcode: &[u8], reg: u8, rm: Rm) -> Vec<u8> {
    legacy(mode, operand_size(mode, width), width == Width::Quad, opcode, reg, rm)
}

/// An instruction with these prefixes and REX.W.
pub fn legacy(mode: Mode, prefixes: &[u8], wide: bool, opcode: &[u8], reg: u8, rm: Rm) -> Vec<u8> {
    let (mut bytes, operands) = operands(mode, reg, rm);
    bytes.extend(prefixes);
    let [r, x, b] = extensions(reg, rm);
    let rex = u8::from(wide) << 3 | r << 2 | x << 1 | b;
    if rex != 0 {
        bytes.push(0x40 | rex);
    }
    bytes.extend(opcode);
    bytes.extend(operands);
    bytes
}

/// What a VEX prefix says beside the registers.
#[derive(Clone, Copy, Debug)]
pub struct Vex {
    /// 0 to 3 for none, 66, F3 and F2.
    pub pp: u8,
    /// 1 to 3 for 0F, 0F 38 and 0F 3A.
    pub map: u8,
    pub wide: bool,
    /// 256 bits.
    pub long: bool,
}

/// An instruction with a VEX prefix; `source` is VEX.vvvv, 0 where there is none.
pub fn vex(mode: Mode, vex: Vex, opcode: u8, reg: u8, source: u8, rm: Rm) -> Vec<u8> {
    let (mut bytes, operands) = operands(mode, reg, rm);
    let [r, x, b] = extensions(reg, rm);
    let Vex { pp, map, wide, long } = vex;
    let last = u8::from(wide) << 7 | (!source & 15) << 3 | u8::from(long) << 2 | pp;
    let extension = (!(r << 2 | x << 1 | b) & 7) << 5;
    bytes.extend([0xc4, extension | map, last, opcode]);
    bytes.extend(operands);
    bytes
}

/// The fourth bits of the registers, for R, X and B.
fn extensions(reg: u8, rm: Rm) -> [u8; 3] {
    match rm {
        Rm::Register(number) => [reg >> 3, 0, number >> 3],
        Rm::Memory { base, index, .. } => {
            [reg >> 3, index.map_or(0, |(number, _)| number >> 3), base >> 3]
        }
    }
}

/// The prefix that the address needs, if any; ModRM, SIB and displacement.
fn operands(mode: Mode, reg: u8, rm: Rm) -> (Vec<u8>, Vec<u8>) {
    const SIB: u8 = 4;
    let reg = (reg & 7) << 3;
    let (base, index, displacement) = match rm {
        Rm::Register(number) => return (Vec::new(), vec![0xc0 | reg | number & 7]),
        Rm::Memory { base, index, displacement } => (base, index, displacement),
    };
    let is_narrow = mode == Mode::Compatibility16;
    let pair = if is_narrow { pair(base, index, displacement) } else { None };
    let short = i8::try_from(displacement).ok();
    let form = reg | if short.is_some() { 0x40 } else { 0x80 };
    let mut bytes = match (pair, index) {
        (Some(pair), _) => vec![form | pair],
        (None, None) if base & 7 != SIB => vec![form | base & 7],
        (None, None) => vec![form | SIB, SIB << 3 | base & 7],
        (None, Some((number, shift))) => {
            vec![form | SIB, shift << 6 | (number & 7) << 3 | base & 7]
        }
    };
    match short {
        Some(short) => bytes.push(short as u8),
        None if pair.is_some() => bytes.extend((displacement as i16).to_le_bytes()),
        None => bytes.extend(displacement.to_le_bytes()),
    }
    let prefix = is_narrow && pair.is_none();
    (if prefix { vec![ADDRESS_SIZE] } else { Vec::new() }, bytes)
}

/// How a ModRM byte names registers whose sum is an address of 16 bits, if it can.
fn pair(base: u8, index: Option<(u8, u8)>, displacement: i32) -> Option<u8> {
    i16::try_from(displacement).ok()?;
    const BX: u8 = 3;
    const BP: u8 = 5;
    const SI: u8 = 6;
    const DI: u8 = 7;
    match (base, index) {
        (SI, Some((BX, 0))) => Some(0),
        (DI, Some((BX, 0))) => Some(1),
        (SI, None) => Some(4),
        (DI, None) => Some(5),
        (BP, None) => Some(6),
        (BX, None) => Some(7),
        _ => None,
    }
}
