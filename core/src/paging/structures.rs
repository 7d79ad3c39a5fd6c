//! The paging-structure cache (SDM, "Paging-Structure Caches"): for each 2 MiB of linear addresses,
//! where its page table is and what the levels above it permit. With it a TLB miss on a 4 KiB page
//! reads one entry of eight bytes instead of four.
//!
//! Invariant: an entry is made by a complete walk in which every upper level had its accessed flag
//! set, and is gone after any invalidation, as the architecture has it for INVLPG too.

use super::walk::Accumulated;

const ENTRIES: usize = 256;
const GENERATION_BITS: u32 = 21;

/// A page table that is in RAM.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageTable {
    /// Host address.
    pub(super) host: usize,
    /// What the entries above it add up to.
    pub(super) above: Accumulated,
}

#[derive(Debug)]
pub(super) struct StructureCache {
    /// The linear address of the 2 MiB region, and in its low bits the generation.
    tags: [u64; ENTRIES],
    tables: [PageTable; ENTRIES],
    /// The generation of valid entries; never 0.
    generation: u64,
}

impl StructureCache {
    pub(super) const fn new() -> Self {
        let table = PageTable { host: 0, above: Accumulated::NOTHING };
        Self { tags: [0; ENTRIES], tables: [table; ENTRIES], generation: 1 }
    }

    #[inline(always)]
    fn place(&self, linear: u64) -> (usize, u64) {
        let region = linear >> GENERATION_BITS;
        (region as usize % ENTRIES, region << GENERATION_BITS | self.generation)
    }

    #[inline(always)]
    pub(super) fn get(&self, linear: u64) -> Option<PageTable> {
        let (index, tag) = self.place(linear);
        (self.tags[index] == tag).then(|| self.tables[index])
    }

    pub(super) fn insert(&mut self, linear: u64, table: PageTable) {
        let (index, tag) = self.place(linear);
        self.tags[index] = tag;
        self.tables[index] = table;
    }

    /// Forgets everything.
    pub(super) fn flush(&mut self) {
        self.generation += 1;
        if self.generation >> GENERATION_BITS != 0 {
            self.tags = [0; ENTRIES];
            self.generation = 1;
        }
    }
}
