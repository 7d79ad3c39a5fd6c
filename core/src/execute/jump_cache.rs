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
    /// No block starts at this address: it is not canonical, and no narrower mode reaches it.
    const EMPTY: Self = Self { rip: 1 << 63, op: core::ptr::null() };

    /// Where the entry for `rip` is.
    #[inline(always)]
    pub fn slot(rip: u64) -> usize {
        (rip ^ rip >> 10) as usize % SIZE
    }
}

/// The jumps of one privilege level.
pub(crate) struct JumpCache {
    entries: Box<[JumpEntry]>,
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
    pub const NOWHERE: &'static [JumpEntry; SIZE] = &[JumpEntry::EMPTY; SIZE];

    pub fn new() -> Self {
        Self {
            entries: alloc::vec![JumpEntry::EMPTY; SIZE].into_boxed_slice(),
            used: Vec::new(),
            more: false,
            places: Gibibytes::NONE,
        }
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
        let entry = &mut self.entries[JumpEntry::slot(rip)];
        if entry.op == op {
            *entry = JumpEntry::EMPTY;
        }
    }

    /// Whether a jump may be remembered to an address in the page of any size that contains `rip`.
    pub fn may_lead_near(&self, rip: u64) -> bool {
        self.places.may_contain(rip)
    }

    pub fn clear(&mut self) {
        self.places = Gibibytes::NONE;
        if core::mem::take(&mut self.more) {
            self.entries.fill(JumpEntry::EMPTY);
        }
        for slot in &self.used {
            self.entries[usize::from(*slot)] = JumpEntry::EMPTY;
        }
        self.used.clear();
    }
}
