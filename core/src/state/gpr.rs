//! The sixteen general registers, and a seventeenth word that is always zero.
//!
//! Invariant: `zero` is 0. An address without base or index names it, so that the sum of an
//! address has no branch.

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
}

impl Gpr {
    /// The byte offset of the always-zero word.
    pub(crate) const ZERO_OFFSET: u8 = 128;

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
