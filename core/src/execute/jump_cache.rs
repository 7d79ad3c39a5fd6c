//! Where indirect and page-crossing jumps lead: a direct-mapped cache from RIP to the first op of a
//! block, looked up by handlers.
//!
//! Invariant: an entry is true for the privilege level and the translations it was made under. There
//! is one cache per TLB, and they are emptied together.

use alloc::boxed::Box;

use heapless::Vec;

use super::op::Op;
use crate::memory::PAGE_SIZE;
use crate::paging::Gibibytes;

const SIZE: usize = 1024;

/// One remembered jump.
#[derive(Clone, Copy)]
pub(crate) struct JumpEntry {
    pub rip: u64,
    pub op: *const Op,
}

// SAFETY: the pointer is only followed by the vCPU whose cache it leads into.
unsafe impl Sync for JumpEntry {}

impl JumpEntry {
    /// What is in a slot that remembers nothing: its address belongs into another, so that no
    /// look-up finds it.
    const fn empty(slot: usize) -> Self {
        Self { rip: if slot == 0 { 1 } else { 0 }, op: core::ptr::null() }
    }

    /// Where the entry for `rip` is.
    #[inline(always)]
    pub const fn slot(rip: u64) -> usize {
        (rip ^ rip >> 10) as usize % SIZE
    }
}

/// Entries that remember nothing.
const EMPTY: [JumpEntry; SIZE] = {
    let mut entries = [JumpEntry::empty(0); SIZE];
    let mut slot = 0;
    while slot < SIZE {
        entries[slot] = JumpEntry::empty(slot);
        assert!(JumpEntry::slot(entries[slot].rip) != slot);
        slot += 1;
    }
    entries
};

/// The jumps of one privilege level.
pub(crate) struct JumpCache {
    entries: Box<[JumpEntry; SIZE]>,
    /// The first entries that were used since the cache was last empty, so that a guest that empties
    /// its TLB often does not pay for all of them.
    used: Vec<u16, 32>,
    /// Others were used, too.
    more: bool,
    /// Where the RIPs are that were remembered since.
    places: Gibibytes,
}

impl JumpCache {
    /// The entries of a cache that remembers nothing.
    pub const NOWHERE: &'static [JumpEntry; SIZE] = &EMPTY;

    pub fn new() -> Self {
        Self { entries: Box::new(EMPTY), used: Vec::new(), more: false, places: Gibibytes::NONE }
    }

    pub fn as_ptr(&self) -> *const JumpEntry {
        self.entries.as_ptr()
    }

    pub fn remember(&mut self, rip: u64, op: *const Op) {
        let slot = JumpEntry::slot(rip);
        self.entries[slot] = JumpEntry { rip, op };
        // The block may go on in the page behind.
        self.places.add(rip);
        self.places.add(rip.wrapping_add(PAGE_SIZE));
        self.more |= self.used.push(slot as u16).is_err();
    }

    /// Forgets the jump to a block that is freed.
    pub fn forget(&mut self, rip: u64, op: *const Op) {
        let slot = JumpEntry::slot(rip);
        if self.entries[slot].op == op {
            self.entries[slot] = JumpEntry::empty(slot);
        }
    }

    /// Whether a jump may be remembered to an address in the page of any size that contains `rip`.
    pub fn may_lead_near(&self, rip: u64) -> bool {
        self.places.may_contain(rip)
    }

    pub fn clear(&mut self) {
        self.places = Gibibytes::NONE;
        if core::mem::take(&mut self.more) {
            *self.entries = EMPTY;
        }
        for slot in &self.used {
            self.entries[usize::from(*slot)] = JumpEntry::empty(usize::from(*slot));
        }
        self.used.clear();
    }
}
