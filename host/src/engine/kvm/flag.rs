//! `immediate_exit`, the flag in the pages shared with KVM that makes KVM_RUN return at once, as those who
//! write it agree on it. `core/tests/loom` has a model of it, which takes its atomics from above.
//!
//! Invariant: it is exchanged, never stored. So its values are in one order for all, and whoever exchanges
//! it knows what was done before each exchange that came before. Whoever clears it then finds every kick
//! that has found it set.

use super::atomic::{AtomicU8, Ordering};

/// Before the thread looks for kicks, and enters.
pub fn clear(flag: &AtomicU8) {
    exchange(flag, 0);
}

/// Whether it was clear.
pub fn set(flag: &AtomicU8) -> bool {
    exchange(flag, 1) == 0
}

/// Has KVM_RUN return for a kick that has been written: by a `signal` to the thread, unless the flag was
/// set. Then whoever set it signals, or the thread has not cleared it yet, and will find the kick.
pub fn ring(flag: &AtomicU8, signal: impl FnOnce()) {
    if set(flag) {
        signal();
    }
}

fn exchange(flag: &AtomicU8, value: u8) -> u8 {
    flag.swap(value, Ordering::AcqRel)
}
