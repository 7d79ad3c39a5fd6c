//! One vCPU's part in the sharing of code: whom it tells and asks, and what it has to look at when. It
//! knows no TLB and no block: those are its MMU's, in `sharing`, which does what this says.
//!
//! Here, and in `shared_code`, is all that a model checks. Why each fence is there is told at its
//! [`Site`].

use alloc::sync::Arc;

use heapless::Vec;

use crate::paging::chunks;
use crate::paging::shared_code::{Inbox, Request, Set, SharedCode};
use crate::sync::{Site, barrier};

/// Unsettled pages that are known one by one.
const UNSETTLED: usize = 64;

/// A vCPU's place among others.
pub(in crate::paging) struct Sharing {
    code: Arc<SharedCode>,
    number: usize,
    unsettled: Unsettled,
}

/// Pages with translated code that another vCPU may have written to unseen.
#[derive(Default)]
pub(in crate::paging) struct Unsettled {
    pub(in crate::paging) pages: Vec<u64, UNSETTLED>,
    /// There are more.
    pub(in crate::paging) all: bool,
}

impl Sharing {
    /// One more vCPU; none if there are as many as was said.
    pub(in crate::paging) fn join(code: &Arc<SharedCode>) -> Option<Self> {
        let number = code.join()?;
        Some(Self { code: code.clone(), number, unsettled: Unsettled::default() })
    }

    /// It executes from now on: it looks into its inbox behind this, before anything else.
    #[inline]
    pub(in crate::paging) fn enter(&self) {
        self.code.enter(self.number);
    }

    /// It does not execute until it enters again.
    #[inline]
    pub(in crate::paging) fn leave(&self) {
        self.code.leave(self.number);
    }

    /// Whether others have asked something: one relaxed load.
    #[inline(always)]
    pub(in crate::paging) fn has_requests(&self) -> bool {
        self.code.has_requests(self.number)
    }

    /// Whether translated code may differ from what others have written. What this vCPU has written
    /// itself is visible before.
    #[inline]
    pub(in crate::paging) fn may_be_stale(&self) -> bool {
        let Self { code, number, unsettled } = self;
        barrier(Site::SerializeFence);
        code.has_requests(*number) || unsettled.all || !unsettled.pages.is_empty()
    }

    /// Takes what others have asked.
    pub(in crate::paging) fn take_requests(&self) -> Option<Inbox> {
        self.code.take_requests(self.number)
    }

    /// Takes the pages whose code has to be forgotten because others may have written to them unseen;
    /// to be called before the requests are taken: whoever is found to be no writer any more has told
    /// before, in the inbox.
    pub(in crate::paging) fn take_unsettled(&mut self) -> Unsettled {
        let mut unsettled = core::mem::take(&mut self.unsettled);
        let Self { code, number, .. } = self;
        unsettled.pages.retain(|&page| code.has_others(page, Set::Writers, *number));
        unsettled
    }

    /// The `length` bytes at `physical`, in one page, are about to be read for translation.
    pub(in crate::paging) fn begin_watch(&mut self, physical: u64, length: u32) {
        let Self { code, number, unsettled } = self;
        let page = physical & !0xfff;
        code.add_chunks(page, chunks(physical, length));
        code.add(page, Set::Watchers, *number);
        let mut settled = true;
        for writer in code.others(page, Set::Writers, *number) {
            code.post(writer, Request { page, written: 0, stop_writing: true });
            barrier(Site::AskFence);
            settled &= !code.is_inside(writer);
        }
        if !settled && !unsettled.pages.contains(&page) && unsettled.pages.push(page).is_err() {
            unsettled.all = true;
        }
    }

    /// No code of the page at `page` is translated any more.
    pub(in crate::paging) fn end_watch(&self, page: u64) {
        self.code.remove(page, Set::Watchers, self.number);
    }

    /// Whether a page may have a write tag as far as others are concerned; if so, they know.
    #[inline]
    pub(in crate::paging) fn may_write(&self, page: u64) -> bool {
        let Self { code, number, .. } = self;
        if code.has_others(page, Set::Watchers, *number) {
            return false;
        }
        // Whoever begins to watch from now on finds this vCPU among the writers, and asks it to stop.
        if code.contains(page, Set::Writers, *number) {
            return true;
        }
        code.add(page, Set::Writers, *number);
        !code.has_others(page, Set::Watchers, *number)
    }

    /// The page has no write tag any more: whoever watches it is told that all of it may have been
    /// written.
    pub(in crate::paging) fn end_writing(&self, page: u64) {
        let Self { code, number, .. } = self;
        if code.contains(page, Set::Writers, *number) {
            barrier(Site::StopFence);
            for watcher in code.others(page, Set::Watchers, *number) {
                code.post(watcher, Request { page, written: u64::MAX, stop_writing: false });
            }
            code.remove(page, Set::Writers, *number);
        }
    }

    /// Tells others of a write to RAM within one page.
    #[inline]
    pub(in crate::paging) fn tell_written(&self, physical: u64, length: u32) {
        self.code.written(physical, length, Some(self.number));
    }
}
