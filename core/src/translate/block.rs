//! A translated block, and what it is found by.

use crate::execute::emit::Mode;

/// Index of a block; [`NONE`] for none.
pub(super) type BlockId = u32;
/// No block, no link.
pub(super) const NONE: u32 = u32::MAX;

/// What two pieces of code must have in common to share a block. The same bytes at two addresses
/// are two blocks, because addresses are baked into ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Guest-physical address of the first byte.
    pub physical: u64,
    /// RIP of the first instruction.
    pub rip: u64,
    /// Base of the code segment; 0 in 64-bit mode.
    pub cs_base: u64,
    /// Limit of the code segment; 0 in 64-bit mode, where there is none.
    pub cs_limit: u32,
    pub mode: Mode,
}

impl Key {
    /// Linear address of the page that follows.
    pub fn next_page(&self) -> u64 {
        let linear = self.cs_base.wrapping_add(self.rip);
        let next = (linear | 0xfff).wrapping_add(1);
        if self.mode.bitness == 64 { next } else { next & 0xffff_ffff }
    }

    /// Bytes that the code segment's limit leaves.
    pub(super) fn bytes_to_limit(&self) -> usize {
        if self.mode.bitness == 64 {
            return usize::MAX;
        }
        let bytes = (u64::from(self.cs_limit) + 1).saturating_sub(self.rip);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Whether the two are in the same physical page, and in the same mode and code segment.
    pub(super) fn same_page(&self, other: &Self) -> bool {
        let Self { physical, rip: _, cs_base, cs_limit, mode } = *other;
        self.physical >> 12 == physical >> 12
            && (self.cs_base, self.cs_limit, self.mode) == (cs_base, cs_limit, mode)
    }

    /// Where in a table of `size` slots, a power of two, the key's chain is.
    pub(super) fn slot(&self, size: usize) -> usize {
        let mixed = (self.physical ^ self.rip.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (64 - size.trailing_zeros())) as usize
    }
}

/// A block in the cache. A freed one has no pages.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub key: Key,
    /// Its first op.
    pub first: u32,
    /// The physical pages that its bytes are in, with the chunks of 64 bytes they touch; a mask of
    /// 0 stands for no page.
    pub pages: [(u64, u64); 2],
    /// The next block in the same chain of the key table.
    pub next: BlockId,
    /// The next block of each page.
    pub next_in_page: [BlockId; 2],
    /// The first link that leads here: block × 2 + arm.
    pub incoming: u32,
    /// For each arm, where it leads.
    pub outgoing: [Link; 2],
}

/// An arm of a branch that leads to a block.
#[derive(Clone, Copy)]
pub(super) struct Link {
    /// The block it leads to.
    pub to: BlockId,
    /// The next link that leads there: block × 2 + arm.
    pub next: u32,
    /// The op slot that holds the branch's links.
    pub slot: u32,
    /// How far behind that the arm's stub is, in bytes.
    pub stub: i32,
}

impl Link {
    /// An arm that leads to its stub.
    pub const NONE: Self = Self { to: NONE, next: NONE, slot: 0, stub: 0 };
}
