//! The sixteen general registers, and two words that only the interpreter's operations name.
//!
//! Invariant: `zero` is 0, and `scratch` is 0 between instructions. An address without base or
//! index names `zero`, so that the sum of an address has no branch; an instruction of two
//! operations passes a value from one to the other in `scratch`.

use core::ops::{Index, IndexMut};

/// A general register, by its number in an instruction's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the manuals name them")]
pub enum Register {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

impl Register {
    /// All general registers, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// The manual's name in lower case.
    pub fn name(self) -> &'static str {
        [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11",
            "r12", "r13", "r14", "r15",
        ][self as usize]
    }
}

/// The general registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Gpr {
    registers: [u64; 16],
    zero: u64,
    scratch: u64,
}

impl Gpr {
    /// The byte offset of the always-zero word.
    pub(crate) const ZERO_OFFSET: u8 = 128;
    /// The byte offset of the scratch word.
    pub(crate) const SCRATCH_OFFSET: u8 = 136;

    /// Restores the invariant of the two hidden words.
    pub(crate) fn clear_hidden(&mut self) {
        (self.zero, self.scratch) = (0, 0);
    }

    /// The registers in the order of their numbers.
    pub fn as_array(&self) -> &[u64; 16] {
        &self.registers
    }
}

impl Index<Register> for Gpr {
    type Output = u64;

    #[inline]
    fn index(&self, register: Register) -> &u64 {
        &self.registers[register as usize]
    }
}

impl IndexMut<Register> for Gpr {
    #[inline]
    fn index_mut(&mut self, register: Register) -> &mut u64 {
        &mut self.registers[register as usize]
    }
}
