//! One vCPU among several: how its MMU keeps its translated code true to what the others write, and
//! lets them know what it writes. What they share is in `shared_code`, who tells whom in `protocol`.
//!
//! A page that any vCPU watches has a write tag in nobody's TLB, so each store to it takes the slow
//! path, which tells the watchers. A vCPU that begins to watch a page asks those that have been
//! writing to it to drop their tags, and waits for nobody: the page is *unsettled* meanwhile. Who is
//! asked drops the tag at its next look between instructions, and tells the watchers that the whole
//! page may have been written. Until then a watcher forgets its blocks of an unsettled page whenever
//! it serialises.
//!
//! Invariant (SDM, "Handling Self- and Cross-Modifying Code"): behind a serialising instruction and
//! the delivery of an event, no block is executed that differs from the bytes that were visible
//! before it.

mod protocol;

use alloc::sync::Arc;

use super::Mmu;
use super::shared_code::{Inbox, Request, SharedCode};

pub(super) use protocol::Sharing;
use protocol::Unsettled;

impl Mmu {
    /// Makes the vCPU one of several, before it executes. `false` if there are as many as was said.
    pub(crate) fn join(&mut self, code: &Arc<SharedCode>) -> bool {
        let Some(sharing) = Sharing::join(code) else { return false };
        self.flush_all();
        self.sharing = Some(sharing);
        self.locking.exclusive = false;
        true
    }

    /// How many locked operations that nothing else can do the host's bus lock serves, before one is
    /// refused: all if `u32::MAX`.
    pub(crate) fn allow_bus_locks(&mut self, count: u32) {
        self.locking.bus_locks = count;
    }

    /// Whether no other vCPU executes from now on, so that any locked operation can be done.
    pub(crate) fn set_exclusive(&mut self, exclusive: bool) {
        self.locking.exclusive = exclusive || self.sharing.is_none();
    }

    /// The vCPU executes from now on: other vCPUs may wait for what it does.
    #[inline]
    pub(crate) fn enter(&mut self) {
        if let Some(sharing) = &self.sharing {
            sharing.enter();
        }
    }

    /// The vCPU does not execute until it enters again.
    #[inline]
    pub(crate) fn leave(&mut self) {
        if let Some(sharing) = &self.sharing {
            sharing.leave();
        }
    }

    /// Whether other vCPUs have asked something: to be looked at once in a slice.
    #[inline]
    pub(crate) fn has_requests(&self) -> bool {
        self.sharing.as_ref().is_some_and(Sharing::has_requests)
    }

    /// Whether translated code may differ from what other vCPUs have written, to be looked at wherever
    /// the processor serialises: this vCPU's own stores are visible before.
    #[inline]
    pub(crate) fn may_be_stale(&self) -> bool {
        self.sharing.as_ref().is_some_and(Sharing::may_be_stale)
    }

    /// Serialises: if translated code may be stale, attention is wanted before the next instruction.
    #[inline]
    pub(crate) fn serialize(&mut self) {
        self.attention |= self.may_be_stale();
    }

    /// Follows the requests of other vCPUs, and records as written what may have been. Between
    /// instructions only.
    pub(crate) fn follow_others(&mut self) {
        if self.may_be_stale() {
            // In this order: whoever is found to be no writer any more has told before, in the inbox.
            self.forget_unsettled();
            self.follow_requests();
        }
    }

    #[cold]
    fn follow_requests(&mut self) {
        let Some(inbox) = self.sharing.as_ref().and_then(Sharing::take_requests) else { return };
        let Inbox { requests, everything, stop_all_writing } = inbox;
        if stop_all_writing {
            // Which pages these were is not known, so this vCPU stays among their writers.
            self.flush_all();
        }
        for Request { page, written, stop_writing } in requests {
            self.attention |= self.code.note(page, written);
            if stop_writing {
                self.stop_writing(page);
            }
        }
        if everything {
            self.code.everything = true;
            self.attention = true;
        }
    }

    #[cold]
    fn forget_unsettled(&mut self) {
        let Some(sharing) = &mut self.sharing else { return };
        let Unsettled { pages, all } = sharing.take_unsettled();
        if all {
            self.code.everything = true;
            self.attention = true;
        }
        for page in pages {
            self.attention |= self.code.note(page, u64::MAX);
        }
    }

    /// The `length` bytes at `physical`, in one page, are about to be read for translation.
    #[inline]
    pub(crate) fn begin_watch(&mut self, physical: u64, length: usize) {
        if let Some(sharing) = &mut self.sharing {
            sharing.begin_watch(physical, length as u32);
        }
    }

    /// Nothing of the page at `page` was translated after all, unless something was before.
    pub(crate) fn end_watch(&mut self, page: u64) {
        if self.code.mask(page) == 0 {
            self.unwatch(page);
        }
    }

    /// Watches no chunks of the page at `page` but these, some of those that were watched.
    pub(crate) fn watch_only(&mut self, page: u64, mask: u64) {
        if mask == 0 {
            self.unwatch(page);
        } else {
            self.code.restrict(page, mask);
        }
    }

    fn unwatch(&mut self, page: u64) {
        self.code.unwatch(page);
        if let Some(sharing) = &self.sharing {
            sharing.end_watch(page);
        }
    }

    /// Watches nothing any more.
    pub(crate) fn unwatch_all(&mut self) {
        if let Some(sharing) = &self.sharing {
            for page in self.code.pages() {
                sharing.end_watch(page);
            }
        }
        self.code.unwatch_all();
    }

    /// Whether a page may have a write tag as far as other vCPUs are concerned; if so, they know.
    #[inline]
    pub(super) fn may_write(&self, page: u64) -> bool {
        self.sharing.as_ref().is_none_or(|sharing| sharing.may_write(page))
    }

    /// Removes the write tags of a page. If other vCPUs watch it, they are told that it may have
    /// been written.
    pub(super) fn stop_writing(&mut self, page: u64) {
        if let Some(located) = self.regions.locate(&*self.memory, page) {
            for (filled, tlb) in self.filled.iter().zip(&mut self.tlbs) {
                filled.forbid_writes(tlb, located.host);
            }
        }
        if let Some(sharing) = &self.sharing {
            sharing.end_writing(page);
        }
    }

    /// Tells other vCPUs of a write to RAM within one page.
    #[inline]
    pub(crate) fn tell_written(&self, physical: u64, length: u32) {
        if let Some(sharing) = &self.sharing {
            sharing.tell_written(physical, length);
        }
    }
}
