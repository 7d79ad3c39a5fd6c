//! The code cache: all blocks of one vCPU, in storage that is taken once.
//!
//! Ops are appended and never moved. Freeing a block only makes it unreachable: it leaves the
//! tables, and every link to it is undone. When the storage is full, everything is flushed.
//!
//! Invariant: whatever the tables or a link lead to is a live block, and the bytes of every live
//! block are watched.

use alloc::boxed::Box;
use alloc::vec;
use core::mem::MaybeUninit;

use super::block::{Block, BlockId, Key, Link, NONE};
use crate::execute::control_transfer::links::cross_page;
use crate::execute::emit::Origin;
use crate::execute::op::{Links, Op};
use crate::paging::{Mmu, chunks};

/// Ops that fit: 8 MiB of them, and as many origins. Memory that is never used is never touched.
const OPS: usize = 1 << 19;
/// Blocks that fit.
const BLOCKS: usize = 1 << 16;
/// Slots of the tables by key and by page.
const SLOTS: usize = 1 << 14;

/// The translated blocks of one vCPU.
pub(crate) struct Cache {
    ops: Box<[MaybeUninit<Op>]>,
    origins: Box<[MaybeUninit<Origin>]>,
    blocks: Box<[MaybeUninit<Block>]>,
    /// Ops and blocks in use; those below are initialised.
    op_count: usize,
    block_count: usize,
    by_key: Box<[BlockId]>,
    by_page: Box<[BlockId]>,
    /// How often everything has been flushed.
    pub flushes: u64,
}

/// A block to execute.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// Its first op.
    pub op: *const Op,
    /// Its bytes are in two pages. Whoever goes there looks at the mapping of both: no link leads
    /// to it.
    pub crosses: bool,
}

/// A new block's place in the guest.
pub(crate) struct Extent {
    /// Guest-physical address of the page of the second part, if there is one.
    pub second_page: Option<u64>,
    /// Bytes of guest code.
    pub bytes: u32,
}

impl Cache {
    pub fn new() -> Self {
        Self {
            ops: Box::new_uninit_slice(OPS),
            origins: Box::new_uninit_slice(OPS),
            blocks: Box::new_uninit_slice(BLOCKS),
            op_count: 0,
            block_count: 0,
            by_key: vec![NONE; SLOTS].into_boxed_slice(),
            by_page: vec![NONE; SLOTS].into_boxed_slice(),
            flushes: 0,
        }
    }

    fn block(&self, id: BlockId) -> &Block {
        assert!((id as usize) < self.block_count, "block ids come from the tables");
        // SAFETY: blocks below the count are initialised.
        unsafe { self.blocks[id as usize].assume_init_ref() }
    }

    fn block_mut(&mut self, id: BlockId) -> &mut Block {
        assert!((id as usize) < self.block_count, "block ids come from the tables");
        // SAFETY: blocks below the count are initialised.
        unsafe { self.blocks[id as usize].assume_init_mut() }
    }

    /// The block with this key; `second` tells the physical page behind the key's.
    ///
    /// # Errors
    /// What `second` raises.
    pub fn find<E>(
        &self,
        key: &Key,
        mut second: impl FnMut() -> Result<u64, E>,
    ) -> Result<Option<Found>, E> {
        let mut id = self.by_key[key.slot(SLOTS)];
        while id != NONE {
            let block = self.block(id);
            if block.key == *key {
                let (page, mask) = block.pages[1];
                if mask == 0 || second()? == page {
                    let op = self.ops[block.first as usize].as_ptr();
                    return Ok(Some(Found { op, crosses: mask != 0 }));
                }
            }
            id = block.next;
        }
        Ok(None)
    }

    /// Whether a block of `ops`, with bytes in two pages, fits without a flush.
    pub fn has_room(&self, ops: usize, mmu: &Mmu) -> bool {
        self.op_count + ops <= OPS && self.block_count < BLOCKS && mmu.code.has_room(2)
    }

    /// Adds a block that there is room for, and watches its bytes.
    pub fn insert(
        &mut self,
        key: Key,
        extent: &Extent,
        (ops, origins): (&[Op], &[Origin]),
        mmu: &mut Mmu,
    ) -> Found {
        let pages = pages(key.physical, extent);
        for (page, mask) in pages {
            if mask != 0 && !mmu.watch(page, mask) {
                // Not where the caller has looked for room. What is not watched does not stay.
                mmu.code.everything = true;
                mmu.attention = true;
            }
        }
        let first = self.op_count;
        let place = first..first + ops.len();
        self.ops[place.clone()].write_copy_of_slice(ops);
        self.origins[place].write_copy_of_slice(origins);
        self.op_count += ops.len();

        let id = self.block_count as BlockId;
        let slot = key.slot(SLOTS);
        let mut block = Block {
            key,
            first: first as u32,
            pages,
            next: self.by_key[slot],
            next_in_page: [NONE; 2],
            incoming: NONE,
            outgoing: [Link::NONE; 2],
        };
        for (part, (page, mask)) in pages.into_iter().enumerate() {
            if mask != 0 {
                let slot = page_slot(page);
                block.next_in_page[part] = self.by_page[slot];
                self.by_page[slot] = id << 1 | part as u32;
            }
        }
        self.blocks[id as usize].write(block);
        self.block_count += 1;
        self.by_key[slot] = id;
        Found { op: self.ops[first].as_ptr(), crosses: pages[1].1 != 0 }
    }

    /// The first word of each slot in use from number `from` on: handlers of ops, and what leads the records
    /// between them.
    pub fn first_words(&self, from: usize) -> impl Iterator<Item = usize> {
        let slots = self.ops[..self.op_count].get(from..).unwrap_or_default();
        // SAFETY: slots below the count are initialised, and each record begins with a word of them.
        slots.iter().map(|slot| unsafe { slot.as_ptr().cast::<usize>().read() })
    }

    /// The block that `op` is in, the op's number in the cache, and where it came from.
    fn locate(&self, op: *const Op) -> (BlockId, usize, Origin) {
        let index = self.index(op);
        // SAFETY: origins below the count are initialised, and `index` has checked that.
        let origin = unsafe { self.origins[index].assume_init() };
        let (mut low, mut high) = (0, self.block_count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.block(middle as BlockId).first as usize <= index {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low as BlockId, index, origin)
    }

    fn index(&self, op: *const Op) -> usize {
        let index = (op as usize).wrapping_sub(self.ops.as_ptr() as usize) / size_of::<Op>();
        assert!(index < self.op_count, "handlers leave with ops of the cache");
        index
    }

    /// RIP of the instruction that `op` belongs to, and the op's origin.
    pub fn origin(&self, op: *const Op) -> (u64, Origin) {
        let (id, _, origin) = self.locate(op);
        (self.block(id).key.rip.wrapping_add(u64::from(origin.offset)), origin)
    }

    /// How many instructions of its block precede that of `op`.
    pub fn instructions_before(&self, op: *const Op) -> u8 {
        // SAFETY: origins below the count are initialised, and `index` has checked that.
        unsafe { self.origins[self.index(op)].assume_init() }.index
    }

    /// Whether `op` is the first of its instruction. For the first of a block that may be denied.
    pub fn begins_instruction(&self, op: *const Op) -> bool {
        let index = self.index(op);
        // SAFETY: origins below the count are initialised, and `index` has checked that.
        let offset = |index: usize| unsafe { self.origins[index].assume_init() }.offset;
        index == 0 || offset(index - 1) != offset(index)
    }

    /// RIP of what `op` leads to: the first op of a block, or an exit of one.
    pub fn entry_rip(&self, op: *const Op) -> u64 {
        let (id, index, origin) = self.locate(op);
        if origin.offset == Origin::EXIT {
            // SAFETY: `locate` has checked that the op is in use.
            unsafe { self.ops[index].assume_init_ref() }.payload()
        } else {
            // The first op need not be the first instruction's: NOP has none, and a fused pair has its
            // branch's place.
            debug_assert_eq!(index, self.block(id).first as usize);
            self.block(id).key.rip
        }
    }

    /// Makes an arm of a branch lead to `target`. `stub` is where it leads now, `links` how many
    /// slots before that its links are.
    pub fn link(&mut self, stub: *const Op, links: usize, arm: usize, target: Found) {
        let (from, index, _) = self.locate(stub);
        let (to, first, _) = self.locate(target.op);
        if target.crosses {
            // The jump cache, which is emptied with the TLBs, remembers it from now on.
            // SAFETY: `locate` has checked that the op is in use.
            unsafe { self.ops[index].assume_init_mut() }.handler = cross_page;
            return;
        }
        // The page was mapped anew since the branch was looked up, and no TLB emptied.
        if !self.block(from).key.same_page(&self.block(to).key) {
            return;
        }
        let slot = index - links;
        self.set_distance(slot, arm, (first as i32 - slot as i32) * Links::SLOT);
        let incoming = self.block(to).incoming;
        self.block_mut(from).outgoing[arm] =
            Link { to, next: incoming, slot: slot as u32, stub: links as i32 * Links::SLOT };
        self.block_mut(to).incoming = from << 1 | arm as u32;
    }

    fn set_distance(&mut self, slot: usize, arm: usize, distance: i32) {
        // SAFETY: `slot` holds links, as its caller has found.
        let links = unsafe { &mut *self.ops[slot].as_mut_ptr().cast::<Links>() };
        match arm {
            0 => links.taken = distance,
            _ => links.not_taken = distance,
        }
    }

    /// Frees the blocks with bytes in the `written` chunks of the page at `page`. `freed` is told RIP
    /// and first op of each.
    pub fn invalidate(
        &mut self,
        page: u64,
        written: u64,
        mmu: &mut Mmu,
        mut freed: impl FnMut(u64, *const Op),
    ) {
        let mut link = self.by_page[page_slot(page)];
        let mut left = 0;
        while link != NONE {
            let (id, part) = (link >> 1, (link & 1) as usize);
            let block = *self.block(id);
            link = block.next_in_page[part];
            let (block_page, mask) = block.pages[part];
            if block_page != page {
                continue;
            }
            if mask & written != 0 {
                freed(block.key.rip, self.ops[block.first as usize].as_ptr());
                self.free(id);
            } else {
                left |= mask;
            }
        }
        mmu.watch_only(page, left);
    }

    /// Makes a block unreachable.
    fn free(&mut self, id: BlockId) {
        let block = *self.block(id);
        self.unchain(id, &block);
        for part in 0..2 {
            if block.pages[part].1 != 0 {
                self.unlink_from_page(id, part, &block);
            }
        }
        // Links that lead here go back to their stubs.
        let mut link = block.incoming;
        while link != NONE {
            let (from, arm) = (link >> 1, (link & 1) as usize);
            link = self.block(from).outgoing[arm].next;
            self.unlink(from, arm);
        }
        // Links that lead from here leave the lists of their targets.
        for arm in 0..2 {
            let Link { to, next, .. } = self.block(id).outgoing[arm];
            if to != NONE {
                self.forget_incoming(to, id << 1 | arm as u32, next);
            }
        }
        let block = self.block_mut(id);
        block.pages = [(0, 0); 2];
        block.incoming = NONE;
        block.outgoing = [Link::NONE; 2];
    }

    fn unchain(&mut self, id: BlockId, block: &Block) {
        let slot = block.key.slot(SLOTS);
        if self.by_key[slot] == id {
            self.by_key[slot] = block.next;
            return;
        }
        let mut before = self.by_key[slot];
        while self.block(before).next != id {
            before = self.block(before).next;
        }
        self.block_mut(before).next = block.next;
    }

    fn unlink_from_page(&mut self, id: BlockId, part: usize, block: &Block) {
        let slot = page_slot(block.pages[part].0);
        let this = id << 1 | part as u32;
        let next = block.next_in_page[part];
        if self.by_page[slot] == this {
            self.by_page[slot] = next;
            return;
        }
        let mut before = self.by_page[slot];
        loop {
            let after = self.block(before >> 1).next_in_page[(before & 1) as usize];
            if after == this {
                break;
            }
            before = after;
        }
        self.block_mut(before >> 1).next_in_page[(before & 1) as usize] = next;
    }

    /// Leads an arm back to its stub.
    fn unlink(&mut self, from: BlockId, arm: usize) {
        let Link { slot, stub, .. } = self.block(from).outgoing[arm];
        self.block_mut(from).outgoing[arm] = Link::NONE;
        self.set_distance(slot as usize, arm, stub);
    }

    fn forget_incoming(&mut self, to: BlockId, link: u32, next: u32) {
        if self.block(to).incoming == link {
            self.block_mut(to).incoming = next;
            return;
        }
        let mut before = self.block(to).incoming;
        loop {
            let after = self.block(before >> 1).outgoing[(before & 1) as usize].next;
            if after == link {
                break;
            }
            before = after;
        }
        self.block_mut(before >> 1).outgoing[(before & 1) as usize].next = next;
    }

    /// Frees everything.
    pub fn flush(&mut self, mmu: &mut Mmu) {
        self.op_count = 0;
        self.block_count = 0;
        self.by_key.fill(NONE);
        self.by_page.fill(NONE);
        self.flushes += 1;
        mmu.unwatch_all();
    }
}

fn page_slot(page: u64) -> usize {
    ((page >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.trailing_zeros())) as usize
}

/// The pages and chunks of a block.
fn pages(physical: u64, extent: &Extent) -> [(u64, u64); 2] {
    let page = physical & !0xfff;
    let in_first = (0x1000 - (physical & 0xfff) as u32).min(extent.bytes);
    let second = match extent.second_page {
        Some(page) if extent.bytes > in_first => (page, chunks(page, extent.bytes - in_first)),
        _ => (0, 0),
    };
    [(page, chunks(physical, in_first)), second]
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;
    use crate::Ram;
    use crate::execute::emit::Mode;

    #[test]
    fn a_block_that_is_not_watched_does_not_stay() {
        let mut mmu = Mmu::new(Arc::new(Ram::new(0x1000).expect("so little memory")));
        let pages = (1..).map(|number| number << 12);
        pages.take_while(|&page| mmu.watch(page, 1)).for_each(drop);
        let key = Key { physical: 0, rip: 0, cs_base: 0, cs_limit: 0, mode: Mode::LONG };
        let extent = Extent { second_page: None, bytes: 1 };
        Cache::new().insert(key, &extent, (&[], &[]), &mut mmu);
        assert!(mmu.code.everything && mmu.attention);
    }
}
