//! The atomics that the algorithms between processors stand on: `core`'s, or loom's where a model
//! is checked. The gate, its queues and its work take them from here, and so does the sharing of
//! translated code. What else threads share is no model's subject and uses `core`'s: RAM, kicks, the
//! interconnect.
//!
//! Invariant: each barrier and each wake-up that an algorithm needs has a name, a [`Site`]. Models
//! leave them out one by one, and each has to be missed.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence};

use alloc::boxed::Box;

use spin::RelaxStrategy;

/// A barrier or a wake-up without which an algorithm is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// A vCPU says that it executes, before it looks at the gate.
    EnterFence,
    /// A vCPU says that it is outside, before it looks whether an owner sleeps until then.
    LeaveFence,
    /// It wakes that owner.
    LeaveUnpark,
    /// A vCPU says that it waits, before it looks for sleeping owners, and at the gate again.
    WaitFence,
    /// It wakes the owner who sleeps until then.
    WaitUnpark,
    /// An owner closes the gate, before it looks who executes.
    OpenFence,
    /// It asks those to stop who do not look at the gate by themselves.
    OpenKick,
    /// An owner says whom it waits for, before it looks at them again and sleeps.
    AwaitFence,
    /// An owner says that it queues, before it looks at the gate again and sleeps.
    QueueFence,
    /// An owner opens the gate, before it looks who waits.
    CloseFence,
    /// It wakes them.
    CloseUnpark,
    /// Who posts work wakes a vCPU that sleeps,
    PostUnpark,
    /// and stops one that executes.
    PostKick,
    /// Who has done work wakes the one who waits for it.
    ReplyUnpark,
    /// A vCPU says that it watches a page, before it looks who writes to it, and reads its bytes.
    WatchFence,
    /// A vCPU says that it writes to a page, before it looks who watches it, and writes.
    WriteFence,
    /// Who has written to a page looks behind it who watches the page.
    TellFence,
    /// A vCPU says that it executes, before it looks into its inbox, and at anything else.
    ArriveFence,
    /// A watcher asks a writer to stop, before it looks whether that executes: who does not finds the
    /// request before it can write again.
    AskFence,
    /// Who has written to a page through a TLB, and has stopped, looks behind it who watches the page.
    StopFence,
    /// A vCPU that serialises has its stores seen, before it looks what others have written.
    SerializeFence,
}

impl Site {
    /// All of them.
    #[cfg(loom)]
    pub const ALL: [Self; 21] = [
        Self::EnterFence,
        Self::LeaveFence,
        Self::LeaveUnpark,
        Self::WaitFence,
        Self::WaitUnpark,
        Self::OpenFence,
        Self::OpenKick,
        Self::AwaitFence,
        Self::QueueFence,
        Self::CloseFence,
        Self::CloseUnpark,
        Self::PostUnpark,
        Self::PostKick,
        Self::ReplyUnpark,
        Self::WatchFence,
        Self::WriteFence,
        Self::TellFence,
        Self::ArriveFence,
        Self::AskFence,
        Self::StopFence,
        Self::SerializeFence,
    ];

    /// Whether it is in force: always, except in a model that has left it out.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn is_kept(self) -> bool {
        true
    }

    #[cfg(loom)]
    pub(crate) fn is_kept(self) -> bool {
        OMITTED.load(core::sync::atomic::Ordering::Relaxed) != self as usize
    }

    /// Leaves this one out of the models that follow in this process; `None` keeps all.
    #[cfg(loom)]
    pub fn omit(site: Option<Self>) {
        let index = site.map_or(usize::MAX, |site| site as usize);
        OMITTED.store(index, core::sync::atomic::Ordering::Relaxed);
    }
}

/// Not an atomic of the model: it does not change while one runs.
#[cfg(loom)]
static OMITTED: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(usize::MAX);

/// Tells the others `value` before anything of theirs is looked at. Two sides that each announce and
/// then look can't both miss the other.
#[inline(always)]
pub(crate) fn announce(word: &AtomicU64, value: u64, site: Site) {
    word.store(value, Ordering::Release);
    barrier(site);
}

/// A full fence: of two sides that each write before theirs and read behind it, one sees the other.
#[inline(always)]
pub(crate) fn barrier(site: Site) {
    if site.is_kept() {
        fence(Ordering::SeqCst);
    }
}

/// So many words of 0. What is never used of them is never touched.
#[cfg(not(loom))]
pub(crate) fn zeroes(count: usize) -> Box<[AtomicU64]> {
    let words = Box::<[AtomicU64]>::new_zeroed_slice(count);
    // SAFETY: an atomic integer of zeroed bytes is 0.
    unsafe { words.assume_init() }
}

/// So many words of 0.
#[cfg(loom)]
pub(crate) fn zeroes(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// How often a wait for the end of a section looks before its thread sleeps: five microseconds or so.
/// Sections are shorter. Models sleep at once.
pub(crate) const FOR_SECTION: u32 = if cfg!(loom) { 0 } else { 200 };

/// How often a wait for a vCPU that executes looks, if nothing is owed to that: it comes within a slice,
/// or its thread does not run, and then perhaps because this one does.
#[cfg(not(loom))]
pub(crate) const FOR_SLICE: u32 = 120;

/// How often a wait for a vCPU that is owed a quota looks: twice as long as it takes one to use up its quota.
/// To fall asleep just before costs both sides more, as the one that stops has to wake the other.
pub(crate) const FOR_QUOTA: u32 = if cfg!(loom) { 0 } else { 800 };

/// Looks so often whether something `holds`; whether it does.
pub(crate) fn spin_until(looks: u32, holds: impl Fn() -> bool) -> bool {
    for _ in 0..looks {
        if holds() {
            return true;
        }
        spin::relax::Spin::relax();
    }
    holds()
}

/// Keeps what processors write at the same time on cache lines of its own: pairs of lines, because
/// processors fetch them so.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> core::ops::Deref for Padded<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
