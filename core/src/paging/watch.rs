//! Which bytes of guest RAM hold translated code, in chunks of 64, and which of them have been
//! written since the vCPU last looked. That the write tags of such pages are absent from the TLBs is
//! seen to by `Mmu`.

use alloc::boxed::Box;
use alloc::vec;

use heapless::Vec;

use crate::memory::PAGE_SIZE;

/// Bytes of a chunk; 64 chunks make a page.
const CHUNK_SHIFT: u32 = 6;

/// Slots in the table, a power of two; a quarter stays empty to keep the searches short.
const SLOTS: usize = 4096;
const CAPACITY: usize = SLOTS / 4 * 3;

/// Written pages that are recorded one by one.
const WRITTEN: usize = 16;

/// The pages with translated code: an open-addressed table from page to a mask of its chunks.
#[derive(Debug)]
pub(crate) struct CodeWatch {
    /// The page's address with bit 0 set, and its mask; zeros where a slot is empty.
    slots: Box<[[u64; 2]]>,
    count: usize,
    /// Pages that were written, and which of their watched chunks.
    pub(crate) written: Vec<(u64, u64), WRITTEN>,
    /// More was written than `written` can hold.
    pub(crate) everything: bool,
}

impl CodeWatch {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![[0; 2]; SLOTS].into_boxed_slice(),
            count: 0,
            written: Vec::new(),
            everything: false,
        }
    }

    /// The chunks of the page at `page` that are watched.
    #[inline(always)]
    pub(crate) fn mask(&self, page: u64) -> u64 {
        if self.count == 0 { 0 } else { self.find(page).map_or(0, |slot| self.slots[slot][1]) }
    }

    /// Watches more chunks of a page: `false` if the table is full.
    pub(super) fn add(&mut self, page: u64, mask: u64) -> bool {
        match self.find(page) {
            Ok(slot) => self.slots[slot][1] |= mask,
            Err(_) if mask == 0 => {}
            Err(_) if self.count == CAPACITY => return false,
            Err(slot) => {
                self.slots[slot] = [page | 1, mask];
                self.count += 1;
            }
        }
        true
    }

    /// Whether `pages` pages more can be watched.
    pub(crate) fn has_room(&self, pages: usize) -> bool {
        self.count + pages <= CAPACITY
    }

    /// Watches no other chunks of a watched page than these.
    pub(super) fn restrict(&mut self, page: u64, mask: u64) {
        if let Ok(slot) = self.find(page) {
            self.slots[slot][1] = mask;
        }
    }

    /// The pages that are watched.
    pub(super) fn pages(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.iter().filter(|[key, _]| *key != 0).map(|[key, _]| key & !1)
    }

    /// Forgets a page.
    pub(super) fn unwatch(&mut self, page: u64) {
        let Ok(mut hole) = self.find(page) else { return };
        self.count -= 1;
        // Close the gap, so that no search ends at it before its goal.
        let mut slot = hole;
        loop {
            slot = (slot + 1) % SLOTS;
            let [key, _] = self.slots[slot];
            if key == 0 {
                break;
            }
            let from_home = slot.wrapping_sub(Self::home(key)) % SLOTS;
            let from_hole = slot.wrapping_sub(hole) % SLOTS;
            if from_home >= from_hole {
                self.slots[hole] = self.slots[slot];
                hole = slot;
            }
        }
        self.slots[hole] = [0; 2];
    }

    /// Forgets all pages.
    pub(super) fn unwatch_all(&mut self) {
        self.slots.fill([0; 2]);
        self.count = 0;
    }

    /// Records a write to these chunks of the page at `page`; whether any of them is watched.
    #[inline]
    pub(super) fn note(&mut self, page: u64, chunks: u64) -> bool {
        let touched = self.mask(page) & chunks;
        if touched == 0 {
            return false;
        }
        if let Some((_, written)) = self.written.iter_mut().find(|(other, _)| *other == page) {
            *written |= touched;
        } else if self.written.push((page, touched)).is_err() {
            self.everything = true;
        }
        true
    }

    /// The slot of `page`, or the empty one where it would go.
    #[inline(always)]
    fn find(&self, page: u64) -> Result<usize, usize> {
        let key = page | 1;
        let mut slot = Self::home(key);
        // Ends: at least a quarter of the slots is empty.
        loop {
            match self.slots[slot % SLOTS][0] {
                found if found == key => return Ok(slot),
                0 => return Err(slot),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    #[inline(always)]
    fn home(key: u64) -> usize {
        // Fibonacci hashing: the top bits of the product are the well-mixed ones.
        ((key >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.trailing_zeros())) as usize
    }
}

/// The parts of `length` bytes at `physical` that lie in one page each: address and length.
pub(crate) fn pages(physical: u64, length: u64) -> impl Iterator<Item = (u64, u32)> {
    let end = physical.saturating_add(length);
    let mut start = physical;
    core::iter::from_fn(move || {
        let next = (start | (PAGE_SIZE - 1)).saturating_add(1).min(end);
        let part = (start < end).then_some((start, (next - start) as u32))?;
        start = next;
        Some(part)
    })
}

/// The chunks that `length` bytes at `physical` touch, within its page.
#[inline(always)]
pub(crate) fn chunks(physical: u64, length: u32) -> u64 {
    let offset = physical as u32 & 0xfff;
    let first = offset >> CHUNK_SHIFT;
    let last = (offset + length.max(1) - 1).min(0xfff) >> CHUNK_SHIFT;
    u64::MAX << first & u64::MAX >> (63 - last)
}
