//! The protocol: who may execute, who owns a section, who sleeps and is woken.
//!
//! Here are the transitions; `token` lets nobody make one that is not his to make. What has to hold:
//!
//! - No vCPU executes while a section is owned: whoever enters announces [`IN`] and then looks at
//!   the gate, the owner announces the closed gate and then looks at the slots, and one of them sees
//!   the other.
//! - Nobody sleeps for ever: who goes to sleep announces it, looks once more, and parks on a token
//!   that is sticky; who ends the wait announces that, and then looks for sleepers.
//! - Sections are owned in order of arrival: the gate's word is also the turn that is served.
//! - A vCPU that waited executes before the next section: it has waited for an older phase than that
//!   of the next owner, who therefore waits for it.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::slot::{FIRST_TURN, IN, OUT, Slot};
use super::{Outside, Parking, Wanted};
use crate::sync::{AtomicU64, FOR_SECTION, Ordering, Padded, Site, announce, spin_until};

/// What nobody waits for.
const NOBODY: u64 = u64::MAX;

/// Lets vCPUs execute together, or one owner act while none does.
pub struct Gate {
    /// Even: open. Odd: closed, by the owner whose turn was one less. Only grows.
    phase: Padded<AtomicU64>,
    /// The slot that an owner sleeps for, and the owner's: see [`Sleeper`].
    sleeper: AtomicU64,
    /// The next free turn.
    turns: Padded<AtomicU64>,
    slots: Box<[Padded<Slot>]>,
    quota: u64,
    parking: Arc<dyn Parking>,
}

/// An owner that sleeps until one slot has stopped.
struct Sleeper {
    owner: usize,
    awaited: usize,
}

impl Sleeper {
    fn word(self) -> u64 {
        (self.owner as u64) << 32 | self.awaited as u64
    }

    fn of(word: u64) -> Option<Self> {
        let (owner, awaited) = ((word >> 32) as usize, word as u32 as usize);
        (word != NOBODY).then_some(Self { owner, awaited })
    }
}

impl Gate {
    /// How many polls a vCPU that has waited out a section may execute for before it stops for the
    /// next: some five to ten microseconds, beside which the half that it loses to the section is
    /// little. It takes less time than an owner spins for.
    pub const QUOTA: u32 = 128;

    /// A gate for up to `slots` participants: vCPUs, and host threads that only own sections.
    pub fn new(slots: usize, parking: Arc<dyn Parking>) -> Arc<Self> {
        Self::with_quota(slots, Self::QUOTA, parking)
    }

    /// As [`new`](Self::new), with another quota.
    pub fn with_quota(slots: usize, quota: u32, parking: Arc<dyn Parking>) -> Arc<Self> {
        Arc::new(Self {
            phase: Padded(AtomicU64::new(FIRST_TURN)),
            sleeper: AtomicU64::new(NOBODY),
            turns: Padded(AtomicU64::new(FIRST_TURN)),
            slots: (0..slots).map(|_| Padded::default()).collect(),
            quota: quota.into(),
            parking,
        })
    }

    /// The one token of a slot, or `None` while somebody has it or if there is no such slot.
    pub fn claim(self: &Arc<Self>, slot: usize) -> Option<Outside> {
        let taken = self.slots.get(slot)?.claimed.swap(true, Ordering::AcqRel);
        (!taken).then(|| Outside::new(self.clone(), slot))
    }

    /// How many participants there may be.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How participants sleep and are woken.
    pub fn parking(&self) -> &dyn Parking {
        &*self.parking
    }

    pub(super) fn give_back(&self, slot: usize) {
        self.slots[slot].claimed.store(false, Ordering::Release);
    }

    /// Whether the vCPU of `slot` has to stop: an owner waits, and no quota is owed to it any more.
    #[inline(always)]
    pub(super) fn poll(&self, slot: usize) -> bool {
        let owed = &self.slots[slot].owed;
        let left = owed.load(Ordering::Relaxed);
        if left != 0 {
            owed.store(left - 1, Ordering::Relaxed);
            return false;
        }
        self.phase.load(Ordering::Relaxed) % 2 == 1
    }

    #[inline(always)]
    pub(super) fn enter(&self, slot: usize) {
        announce(&self.slots[slot].word, IN, Site::EnterFence);
        let phase = self.phase.load(Ordering::Acquire);
        if phase % 2 == 1 {
            self.wait_out(slot, phase);
        }
    }

    #[inline(always)]
    pub(super) fn leave(&self, slot: usize) {
        self.slots[slot].owed.store(0, Ordering::Relaxed);
        announce(&self.slots[slot].word, OUT, Site::LeaveFence);
        self.wake_sleeper(slot, Site::LeaveUnpark);
    }

    /// The vCPU, which executes, stops for the section that is wanted, if one is.
    pub(super) fn pause(&self, slot: usize) {
        let phase = self.phase.load(Ordering::Acquire);
        if phase % 2 == 1 {
            self.wait_out(slot, phase);
        }
    }

    /// Waits until the section of this phase is over, and goes in with a quota.
    #[cold]
    fn wait_out(&self, slot: usize, phase: u64) {
        let word = &self.slots[slot].word;
        announce(word, phase, Site::WaitFence);
        // An owner that sleeps waits for threads that do not run: this one's processor is of more use to
        // them.
        let owner_sleeps = self.wake_sleeper(slot, Site::WaitUnpark);
        let looks = if owner_sleeps { 0 } else { FOR_SECTION };
        self.sleep_until(slot, looks, || self.phase.load(Ordering::Acquire) != phase);
        self.slots[slot].owed.store(self.quota, Ordering::Relaxed);
        word.store(IN, Ordering::Relaxed);
    }

    /// Wakes the owner that sleeps until `slot` has stopped. Whether any owner sleeps until one has.
    #[inline(always)]
    fn wake_sleeper(&self, slot: usize, site: Site) -> bool {
        let sleeper = self.sleeper.load(Ordering::Acquire);
        if sleeper as u32 as usize == slot {
            self.unpark_owner(sleeper, site);
        }
        sleeper != NOBODY
    }

    #[cold]
    fn unpark_owner(&self, sleeper: u64, site: Site) {
        if let Some(Sleeper { owner, .. }) = Sleeper::of(sleeper)
            && site.is_kept()
        {
            self.parking.unpark(owner);
        }
    }

    fn sleep_until(&self, slot: usize, looks: u32, holds: impl Fn() -> bool) {
        if !spin_until(looks, &holds) {
            while !holds() {
                self.parking.park(slot);
            }
        }
    }

    /// Takes a turn, waits for it, and stops all vCPUs. Returns the section's phase, and whether they
    /// took so long that the owner has slept.
    pub(super) fn open(&self, owner: usize) -> (u64, bool) {
        let turn = self.turns.fetch_add(2, Ordering::Relaxed);
        let served = || self.phase.load(Ordering::Acquire) == turn;
        if !served() {
            announce(&self.slots[owner].word, turn, Site::QueueFence);
            self.sleep_until(owner, FOR_SECTION, served);
            self.slots[owner].word.store(OUT, Ordering::Relaxed);
        }
        let phase = turn + 1;
        announce(&self.phase, phase, Site::OpenFence);
        (phase, self.stop_all(owner, phase))
    }

    fn stop_all(&self, owner: usize, phase: u64) -> bool {
        for slot in 0..self.slots.len() {
            if !self.slots[slot].is_stopped(phase) && Site::OpenKick.is_kept() {
                self.parking.kick(slot, Wanted::Section);
            }
        }
        let mut slept = false;
        for (awaited, slot) in self.slots.iter().enumerate() {
            if spin_until(slot.patience(), || slot.is_stopped(phase)) {
                continue;
            }
            slept = true;
            announce(&self.sleeper, Sleeper { owner, awaited }.word(), Site::AwaitFence);
            while !slot.is_stopped(phase) {
                self.parking.park(owner);
            }
        }
        if slept {
            self.sleeper.store(NOBODY, Ordering::Relaxed);
        }
        slept
    }

    /// Ends the section of this phase and wakes who waits for that.
    pub(super) fn close(&self, phase: u64) {
        announce(&self.phase, phase + 1, Site::CloseFence);
        for (index, slot) in self.slots.iter().enumerate() {
            if slot.waits_for_end_of(phase) && Site::CloseUnpark.is_kept() {
                self.parking.unpark(index);
            }
        }
    }
}
