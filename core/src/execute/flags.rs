//! Lazy status flags: the last result and source operand, from which each flag can be computed when
//! somebody asks. What the two numbers mean is their [`Kind`], which is static within a block.
//!
//! Every function here takes the kind as a value; where it is a constant, the compiler leaves just
//! the comparison that is needed.

use crate::memory::Width;

/// How to read the result and source words: a class, and the operand width as log2 of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub u8);

/// What kind of operation left the two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// The source word holds the flags themselves, in RFLAGS's places.
    Known,
    /// result = left + source.
    Add,
    /// result = left - source.
    Sub,
    /// CF, OF and AF are clear.
    Logic,
    /// result = left + 1; CF is bit 0 of the source word.
    Inc,
    /// result = left - 1; CF is bit 0 of the source word.
    Dec,
    /// CF is bit 0 and OF is bit 1 of the source word; AF is set, as shifts leave it.
    Given,
    /// The source word holds the carry (or borrow) out of each bit.
    Carries,
}

pub(crate) const CF: u64 = 1;
pub(crate) const PF: u64 = 1 << 2;
pub(crate) const AF: u64 = 1 << 4;
pub(crate) const ZF: u64 = 1 << 6;
pub(crate) const SF: u64 = 1 << 7;
pub(crate) const OF: u64 = 1 << 11;
/// The six status flags.
pub(crate) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

impl Kind {
    /// The flags themselves are in the source word.
    pub const KNOWN: Self = Self::new(Class::Known, 0);
    /// How many kinds there are: 8 classes of 4 widths.
    pub const COUNT: usize = 32;

    pub const fn new(class: Class, width_log2: u8) -> Self {
        Self((class as u8) << 2 | width_log2)
    }

    /// The kind of an operation of class `class` on operands of width `W`.
    pub const fn of<W: Width>(class: Class) -> Self {
        Self::new(class, W::BYTES.trailing_zeros() as u8)
    }

    #[inline(always)]
    const fn class(self) -> Class {
        match self.0 >> 2 & 7 {
            0 => Class::Known,
            1 => Class::Add,
            2 => Class::Sub,
            3 => Class::Logic,
            4 => Class::Inc,
            5 => Class::Dec,
            6 => Class::Given,
            _ => Class::Carries,
        }
    }

    #[inline(always)]
    const fn bits(self) -> u32 {
        8 << (self.0 & 3)
    }

    #[inline(always)]
    const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    #[inline(always)]
    const fn sign_bit(self) -> u64 {
        1 << (self.bits() - 1)
    }

    #[inline(always)]
    const fn signed(self, value: u64) -> i64 {
        let shift = 64 - self.bits();
        ((value << shift) as i64) >> shift
    }

    /// The left operand of an addition or subtraction.
    #[inline(always)]
    const fn left(self, res: u64, src: u64) -> u64 {
        match self.class() {
            Class::Add => res.wrapping_sub(src) & self.mask(),
            _ => res.wrapping_add(src) & self.mask(),
        }
    }

    #[inline(always)]
    pub const fn carry(self, res: u64, src: u64) -> bool {
        match self.class() {
            Class::Known | Class::Inc | Class::Dec | Class::Given => src & 1 != 0,
            Class::Add => res < src,
            Class::Sub => self.left(res, src) < src,
            Class::Logic => false,
            Class::Carries => src & self.sign_bit() != 0,
        }
    }

    #[inline(always)]
    pub const fn zero(self, res: u64, src: u64) -> bool {
        match self.class() {
            Class::Known => src & ZF != 0,
            _ => res == 0,
        }
    }

    #[inline(always)]
    pub const fn sign(self, res: u64, src: u64) -> bool {
        match self.class() {
            Class::Known => src & SF != 0,
            _ => res & self.sign_bit() != 0,
        }
    }

    #[inline(always)]
    pub const fn overflow(self, res: u64, src: u64) -> bool {
        let left = self.left(res, src);
        match self.class() {
            Class::Known => src & OF != 0,
            Class::Add => (left ^ res) & (src ^ res) & self.sign_bit() != 0,
            Class::Sub => (left ^ src) & (left ^ res) & self.sign_bit() != 0,
            Class::Logic => false,
            Class::Inc => res == self.sign_bit(),
            Class::Dec => res == self.sign_bit() - 1,
            Class::Given => src & 2 != 0,
            Class::Carries => (src ^ src << 1) & self.sign_bit() != 0,
        }
    }

    #[inline(always)]
    pub const fn parity(self, res: u64, src: u64) -> bool {
        match self.class() {
            Class::Known => src & PF != 0,
            _ => (res as u8).count_ones().is_multiple_of(2),
        }
    }

    #[inline(always)]
    const fn auxiliary(self, res: u64, src: u64) -> bool {
        match self.class() {
            Class::Known => src & AF != 0,
            Class::Add | Class::Sub => (self.left(res, src) ^ res ^ src) & 0x10 != 0,
            Class::Logic => false,
            Class::Given => true,
            Class::Inc => res & 0xf == 0,
            Class::Dec => res & 0xf == 0xf,
            Class::Carries => src & 8 != 0,
        }
    }

    /// The six flags in RFLAGS's places.
    #[inline(always)]
    pub const fn word(self, res: u64, src: u64) -> u64 {
        if matches!(self.class(), Class::Known) {
            return src & STATUS;
        }
        self.carry(res, src) as u64
            | (self.parity(res, src) as u64) << 2
            | (self.auxiliary(res, src) as u64) << 4
            | (self.zero(res, src) as u64) << 6
            | (self.sign(res, src) as u64) << 7
            | (self.overflow(res, src) as u64) << 11
    }

    /// Whether condition `code` (the low four bits of Jcc, SETcc, CMOVcc) holds.
    #[inline(always)]
    pub const fn condition(self, code: u8, res: u64, src: u64) -> bool {
        let holds = match code >> 1 {
            0 => self.overflow(res, src),
            1 => self.carry(res, src),
            2 => self.zero(res, src),
            3 => match self.class() {
                Class::Sub => self.left(res, src) <= src,
                _ => self.carry(res, src) | self.zero(res, src),
            },
            4 => self.sign(res, src),
            5 => self.parity(res, src),
            6 => self.less(res, src),
            _ => match self.class() {
                Class::Sub => self.signed(self.left(res, src)) <= self.signed(src),
                _ => self.less(res, src) | self.zero(res, src),
            },
        };
        holds != (code & 1 != 0)
    }

    #[inline(always)]
    const fn less(self, res: u64, src: u64) -> bool {
        match self.class() {
            Class::Sub => self.signed(self.left(res, src)) < self.signed(src),
            Class::Logic => self.sign(res, src),
            _ => self.sign(res, src) != self.overflow(res, src),
        }
    }
}
