//! What the interpreter executes: 16-byte [`Op`]s, and the longer records that follow some of them.
//!
//! Invariant: a record that spans several slots is only ever read by the handler of its first slot,
//! which knows its type.

use super::dispatch::Flow;
use super::{Cpu, Leave};

/// Executes the op at the second argument. The three numbers travel in registers: the last result
/// and last source operand of arithmetic (their meaning is in [`super::flags`]), and the
/// instructions left in this slice.
pub(crate) type Handler =
    for<'a> unsafe extern "C" fn(&'a mut Cpu, *const Op, u64, u64, i64) -> Flow;

/// One decoded operation.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Op {
    pub handler: Handler,
    /// Four operands: byte offsets into the general registers, vector register numbers, or small
    /// constants, as the handler defines.
    pub a: u8,
    pub b: u8,
    pub c: u8,
    pub d: u8,
    /// A sign-extended immediate or displacement, or a distance in slots.
    pub imm: i32,
}

const _: () = assert!(size_of::<Op>() == 16);

impl Op {
    /// An op without operands.
    pub fn plain(handler: Handler) -> Self {
        Self { handler, a: 0, b: 0, c: 0, d: 0, imm: 0 }
    }

    /// An op whose eight payload bytes are one number.
    pub fn with_payload(handler: Handler, payload: u64) -> Self {
        let [a, b, c, d, i0, i1, i2, i3] = payload.to_le_bytes();
        Self { handler, a, b, c, d, imm: i32::from_le_bytes([i0, i1, i2, i3]) }
    }

    /// The number that [`with_payload`](Self::with_payload) stored.
    #[inline(always)]
    pub fn payload(&self) -> u64 {
        let low = u32::from_le_bytes([self.a, self.b, self.c, self.d]);
        u64::from(low) | (self.imm as u32 as u64) << 32
    }
}

/// The second slot of an op that ends a block with a branch: where its successors are, as distances
/// in bytes from this record. Until a successor is known the distance leads to a stub, which leaves
/// to have it looked up.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Links {
    /// Distance to the successor of a taken branch, of a jump or a call.
    pub taken: i32,
    /// Distance to the instruction that follows.
    pub not_taken: i32,
    /// Instructions in the block.
    pub count: u32,
    /// What [`super::flags::Kind`] the block leaves behind.
    pub kind: u8,
}

const _: () = assert!(size_of::<Links>() == 16);

impl Links {
    /// The distance of one slot.
    pub const SLOT: i32 = size_of::<Op>() as i32;
}

/// A second slot that holds a 64-bit constant and a segment: an address that [`Op`] has no room for.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct FarAddress {
    pub displacement: u64,
    /// Segment register number, or [`Detail::NO_SEGMENT`].
    pub segment: u8,
    /// Width of the address in bits: 16, 32 or 64.
    pub bits: u8,
}

const _: () = assert!(size_of::<FarAddress>() == 16);

/// What an instruction function needs to know: the four slots behind a call-out op.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Detail {
    pub function: fn(&mut Cpu, &Detail) -> Result<(), Leave>,
    /// Address of the instruction that follows.
    pub next_rip: u64,
    /// The immediate operand; for far pointers the selector is in bits 32 to 47, for ENTER the
    /// level.
    pub immediate: u64,
    pub displacement: u64,
    /// Byte offsets of the address's base and index, and the shift of the index.
    pub base: u8,
    pub index_register: u8,
    pub scale: u8,
    /// Segment register number of the memory operand.
    pub segment: u8,
    /// Register operands by position: byte offsets for general registers, numbers for others.
    pub registers: [u8; 4],
    /// Which operand is in memory, or [`Detail::NO_MEMORY`].
    pub memory: u8,
    /// Width of the address in bits: 16, 32 or 64.
    pub address_bits: u8,
    /// Operand width in bytes.
    pub width: u8,
    /// Length of the instruction in bytes.
    pub length: u8,
    pub prefixes: Prefixes,
    /// 16, 32 or 64.
    pub bitness: u8,
    /// How many instructions of its block precede this one.
    pub index: u8,
}

const _: () = assert!(size_of::<Detail>().is_multiple_of(size_of::<Op>()));

impl Detail {
    /// No memory operand.
    pub const NO_MEMORY: u8 = 0xff;
    /// The slots that a call-out takes: its own and its detail.
    pub const SLOTS: usize = 1 + size_of::<Self>() / size_of::<Op>();

    /// Address of the instruction itself.
    pub fn rip(&self) -> u64 {
        let rip = self.next_rip.wrapping_sub(u64::from(self.length));
        if self.bitness == 64 { rip } else { rip & 0xffff_ffff }
    }
}

bitflags::bitflags! {
    /// The prefixes that change what an instruction does.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Prefixes: u8 {
        const LOCK = 1;
        /// REP or REPE.
        const REP = 2;
        const REPNE = 4;
    }
}
