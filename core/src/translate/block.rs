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
    /// Base of the code segment.
    pub cs_base: u64,
    pub mode: Mode,
}

impl Key {
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
