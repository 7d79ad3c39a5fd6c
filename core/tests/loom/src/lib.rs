//! The core's algorithms between processors, and what the host adds for KVM's, on loom's atomics. The models
//! are in `tests`.

extern crate alloc;

#[path = "../../../src/exclusive/mod.rs"]
pub mod exclusive;
#[path = "../../../../host/src/engine/kvm/flag.rs"]
pub mod flag;
#[path = "../../../src/sync.rs"]
pub mod sync;

/// What `flag` is made of.
use loom::sync::atomic;

/// What those below want of the core's `memory`.
mod memory {
    pub(crate) const PAGE_SIZE: u64 = 4096;
}

pub mod paging;
