//! The tokens: what a participant may do follows from what it holds.
//!
//! A section is opened with [`Outside`], which a vCPU that executes does not have: its [`Inside`]
//! borrows it. So no section is opened from within execution, and none within another; what needs a
//! section that is already open takes a `&Section`.

use alloc::sync::Arc;

use super::Gate;

/// A participant that does not execute. There is one for each slot.
pub struct Outside {
    gate: Arc<Gate>,
    slot: usize,
}

impl Outside {
    pub(super) fn new(gate: Arc<Gate>, slot: usize) -> Self {
        Self { gate, slot }
    }

    /// Begins to execute, after the section that is open, if one is.
    #[inline]
    pub fn enter(&mut self) -> Inside<'_> {
        self.gate.enter(self.slot);
        Inside { outside: self }
    }

    /// Returns when no vCPU executes; none will until the section is dropped. Sections are granted in
    /// order of arrival.
    pub fn open(&mut self) -> Section<'_> {
        let (phase, slept) = self.gate.open(self.slot);
        Section { outside: self, phase, slept }
    }

    /// Sleeps until somebody unparks this slot; returns at once if one did since the last sleep.
    ///
    /// All that a slot waits for shares one token, and [`enter`](Self::enter) and
    /// [`open`](Self::open) may use it up: look at what is waited for after them, and before this.
    pub fn park(&mut self) {
        self.gate.parking().park(self.slot);
    }

    /// The gate.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The number of the slot.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// What tells the vCPU of this slot that it has to stop.
    pub fn watch(&self) -> Watch {
        Watch { gate: self.gate.clone(), slot: self.slot }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.gate.give_back(self.slot);
    }
}

/// A vCPU that executes. Dropping it leaves.
#[must_use = "a vCPU executes only as long as this is kept"]
pub struct Inside<'a> {
    outside: &'a mut Outside,
}

impl Inside<'_> {
    /// Whether an owner waits for this vCPU: to be asked often, and answered by
    /// [`pause`](Self::pause) or by dropping this. Costs two loads.
    #[inline]
    pub fn poll(&self) -> bool {
        self.outside.gate.poll(self.outside.slot)
    }

    /// Stops until the section that is wanted is over.
    pub fn pause(&mut self) {
        self.outside.gate.pause(self.outside.slot);
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.outside.gate.leave(self.outside.slot);
    }
}

/// While it is there, no vCPU executes. Dropping it lets them go on.
#[must_use = "a section lasts only as long as this is kept"]
pub struct Section<'a> {
    outside: &'a mut Outside,
    phase: u64,
    slept: bool,
}

impl Section<'_> {
    /// The gate that is closed.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.outside.gate
    }

    /// Whether the vCPUs took so long to stop that the owner has slept meanwhile.
    pub fn came_late(&self) -> bool {
        self.slept
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        self.outside.gate.close(self.phase);
    }
}

/// [`Inside::poll`] for code that can't be lent the token: whoever polls is the one who executes.
#[derive(Clone)]
pub struct Watch {
    gate: Arc<Gate>,
    slot: usize,
}

impl Watch {
    /// See [`Inside::poll`].
    #[inline(always)]
    pub fn poll(&self) -> bool {
        self.gate.poll(self.slot)
    }
}
