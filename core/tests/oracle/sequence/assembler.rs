//! Bytes of the instructions that patterns are made of: opcode, ModRM and SIB bytes, prefixes. What a
//! pattern means by them is its own matter.

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
    pub const WIDE: [Self; 2] = [Self::Double, Self::Quad];

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

/// An instruction of the general registers.
pub fn general(width: Width, opcode: &[u8], reg: u8, rm: Rm) -> Vec<u8> {
    let prefix = if width == Width::Word { &[0x66][..] } else { &[] };
    legacy(prefix, width == Width::Quad, opcode, reg, rm)
}

/// An instruction with these prefixes and REX.W.
pub fn legacy(prefixes: &[u8], wide: bool, opcode: &[u8], reg: u8, rm: Rm) -> Vec<u8> {
    let mut bytes = prefixes.to_vec();
    let [r, x, b] = extensions(reg, rm);
    let rex = u8::from(wide) << 3 | r << 2 | x << 1 | b;
    if rex != 0 {
        bytes.push(0x40 | rex);
    }
    bytes.extend(opcode);
    operands(&mut bytes, reg, rm);
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
pub fn vex(vex: Vex, opcode: u8, reg: u8, source: u8, rm: Rm) -> Vec<u8> {
    let [r, x, b] = extensions(reg, rm);
    let Vex { pp, map, wide, long } = vex;
    let last = u8::from(wide) << 7 | (!source & 15) << 3 | u8::from(long) << 2 | pp;
    let extension = (!(r << 2 | x << 1 | b) & 7) << 5;
    let mut bytes = vec![0xc4, extension | map, last, opcode];
    operands(&mut bytes, reg, rm);
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

/// ModRM, SIB and displacement.
fn operands(bytes: &mut Vec<u8>, reg: u8, rm: Rm) {
    const SIB: u8 = 4;
    let reg = (reg & 7) << 3;
    match rm {
        Rm::Register(number) => bytes.push(0xc0 | reg | number & 7),
        Rm::Memory { base, index, displacement } => {
            let short = i8::try_from(displacement).ok();
            let mode = if short.is_some() { 0x40 } else { 0x80 };
            match index {
                None if base & 7 != SIB => bytes.push(mode | reg | base & 7),
                None => bytes.extend([mode | reg | SIB, SIB << 3 | base & 7]),
                Some((number, shift)) => {
                    bytes.extend([mode | reg | SIB, shift << 6 | (number & 7) << 3 | base & 7]);
                }
            }
            match short {
                Some(short) => bytes.push(short as u8),
                None => bytes.extend(displacement.to_le_bytes()),
            }
        }
    }
}
