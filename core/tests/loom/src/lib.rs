//! The core's algorithms between processors, on loom's atomics. The models are in `tests`.

extern crate alloc;

#[path = "../../../src/exclusive/mod.rs"]
pub mod exclusive;
#[path = "../../../src/sync.rs"]
pub mod sync;

/// What those below want of the core's `memory`.
mod memory {
    pub(crate) const PAGE_SIZE: u64 = 4096;
}

pub mod paging;
