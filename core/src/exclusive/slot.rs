//! What the others see of one participant: a word that says what it does, and what it is owed.
//!
//! Invariant: only the holder of a slot's [`Outside`](super::Outside) writes its word.

#[cfg(not(loom))]
use crate::sync::FOR_SLICE;
use crate::sync::{AtomicBool, AtomicU64, FOR_QUOTA, Ordering, Padded};

/// Not executing, and free to do so.
pub(super) const OUT: u64 = 0;
/// Executing, or about to.
pub(super) const IN: u64 = 2;
/// The gate's first word: below it are the two above, so that a queueing owner's turn, which is
/// even, is none of them.
pub(super) const FIRST_TURN: u64 = 4;

/// The public part of a participant.
#[derive(Default)]
pub(super) struct Slot {
    /// [`OUT`]; [`IN`]; the odd phase of the section that the participant waits out; or the even
    /// turn at which it will own a section itself.
    pub word: AtomicU64,
    /// Polls that the participant may execute for before it has to stop. It counts them down, on a
    /// cache line that no waiting owner takes away.
    pub owed: Padded<AtomicU64>,
    /// Somebody holds the slot.
    pub claimed: AtomicBool,
}

impl Slot {
    /// Whether the section of this phase may go on as far as this slot is concerned. A vCPU that
    /// waited out an *earlier* section is as good as executing: it will, without asking again.
    pub fn is_stopped(&self, phase: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        let executes = word == IN || (word % 2 == 1 && word != phase);
        !executes
    }

    /// How often an owner looks whether it has stopped before it sleeps. In models it sleeps at once.
    pub fn patience(&self) -> u32 {
        #[cfg(not(loom))]
        if self.word.load(Ordering::Relaxed) == IN && self.owed.load(Ordering::Relaxed) == 0 {
            return FOR_SLICE;
        }
        FOR_QUOTA
    }

    /// Whether it sleeps until the section of this phase is over, or until the turn after it.
    pub fn waits_for_end_of(&self, phase: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word == phase || word == phase + 1
    }
}
