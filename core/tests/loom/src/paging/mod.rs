//! The sharing of translated code: the core's protocol, with a vCPU of one page around it.

#[path = "../../../../src/paging/sharing/protocol.rs"]
mod protocol;
#[allow(dead_code, reason = "the models need no more of it")]
#[path = "../../../../src/paging/shared_code.rs"]
mod shared_code;
#[allow(dead_code, reason = "the models need no more of it")]
#[path = "../../../../src/paging/watch.rs"]
mod watch;

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering, fence};

pub use shared_code::SharedCode;
use shared_code::{Inbox, Request};
use watch::{chunks, pages};

/// The page that the models are about.
const PAGE: u64 = 0;

/// A word of RAM, as guests load and store it.
#[derive(Default)]
pub struct Word(AtomicU64);

impl Word {
    /// A guest's load.
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// A guest's store, to a page that holds no code.
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

/// A guest's MFENCE.
pub fn mfence() {
    fence(Ordering::SeqCst);
}

/// A vCPU as far as the protocol is concerned: its TLB holds a write tag of [`PAGE`] or not, and it has
/// translated the code there, a number, or not.
pub struct Vcpu {
    sharing: protocol::Sharing,
    tag: bool,
    block: Option<u64>,
}

impl Vcpu {
    /// One more, which does not execute yet.
    pub fn join(code: &Arc<SharedCode>) -> Self {
        let sharing = protocol::Sharing::join(code).expect("there is room");
        Self { sharing, tag: false, block: None }
    }

    /// It executes from now on.
    pub fn enter(&mut self) {
        self.sharing.enter();
        self.look();
    }

    /// It does not execute until it enters again.
    pub fn leave(&mut self) {
        self.sharing.leave();
    }

    /// Stores to the page: through the TLB if it may.
    pub fn store(&mut self, code: &Word, value: u64) {
        self.tag = self.tag || self.sharing.may_write(PAGE);
        code.store(value);
        if !self.tag {
            self.sharing.tell_written(PAGE, 1);
        }
    }

    /// Between instructions, once in a slice.
    pub fn look(&mut self) {
        if self.sharing.has_requests() {
            self.follow();
        }
    }

    /// Serialises.
    pub fn serialize(&mut self) {
        if self.sharing.may_be_stale() {
            self.follow();
        }
    }

    fn follow(&mut self) {
        let unsettled = self.sharing.take_unsettled();
        if unsettled.all || !unsettled.pages.is_empty() {
            self.forget();
        }
        let Some(Inbox { requests, everything, stop_all_writing }) = self.sharing.take_requests()
        else {
            return;
        };
        assert!(!everything && !stop_all_writing, "one page does not fill an inbox");
        for Request { page, written, stop_writing } in requests {
            if written != 0 {
                self.forget();
            }
            if stop_writing {
                self.tag = false;
                self.sharing.end_writing(page);
            }
        }
    }

    fn forget(&mut self) {
        if self.block.take().is_some() {
            self.sharing.end_watch(PAGE);
        }
    }

    /// Executes the code of the page: what was translated, or what is there now.
    pub fn execute(&mut self, code: &Word) -> u64 {
        if let Some(block) = self.block {
            return block;
        }
        if std::mem::take(&mut self.tag) {
            // It would not find its own stores; what it stored itself is no other's business.
            self.sharing.end_writing(PAGE);
        }
        self.sharing.begin_watch(PAGE, 1);
        *self.block.insert(code.load())
    }
}
