//! A vCPU that has others beside it: their code, the bus lock, the gate that it executes behind, and
//! the locked operations that it executes in a section.
//!
//! Invariant: a vCPU that has a place at a gate executes instructions only inside, or in a section of
//! its own. What it looks up for a section it looks up before, so that sections are short; but where
//! others have written to code meanwhile, again inside, so that they can't put it off for ever.

use alloc::sync::Arc;

use super::Vcpu;
use crate::Exit;
use crate::exclusive::Outside;
use crate::execute::Leave;
use crate::execute::op::Op;
use crate::paging::SharedCode;
use crate::state::SegmentRegister;

/// Splits that take the bus lock before the first section: about as dear as it.
const BEFORE_SECTION: u32 = 16;

/// Splits that take the bus lock behind a section for which the others came late, as they do where
/// there are more of them than processors: as dear as the wait was.
const AFTER_LATE_SECTION: u32 = 1024;

/// Instructions that are executed in a section behind the one that needs it: one or two microseconds if
/// all are split, which is little beside what the others are owed.
const LINGER: i64 = 48;

impl Vcpu {
    /// Makes this vCPU one of several that share memory, before it first runs. `false` if as many have
    /// joined already as `code` was made for.
    pub fn join(&mut self, code: &Arc<SharedCode>) -> bool {
        self.cpu.mmu.join(code)
    }

    /// From now on the vCPU executes only while no section is open, and executes in sections of its
    /// own what the host can't do atomically: [`Exit::Exclusive`] does not come any more.
    pub fn take_place(&mut self, place: Outside) {
        self.cpu.gate = Some(place.watch());
        self.place = Some(place);
        self.allow_bus_lock(self.bus_lock);
    }

    /// Gives back the place that it [took](Self::take_place): until it has one again, it executes
    /// without regard to sections, so nobody runs it meanwhile.
    pub fn leave_place(&mut self) -> Option<Outside> {
        self.cpu.gate = None;
        let place = self.place.take();
        self.allow_bus_lock(self.bus_lock);
        place
    }

    /// Whether the host's processor may lock its bus for a guest's locked operation across two cache
    /// lines, for one that shares memory with others. Not where the host's kernel slows down or ends
    /// programs that do.
    ///
    /// Behind a gate, only isolated ones take it: a section in which several are executed is the
    /// cheaper way for many.
    pub fn allow_bus_lock(&mut self, allowed: bool) {
        self.bus_lock = allowed;
        self.cpu.mmu.allow_bus_locks(match (allowed, &self.place) {
            (false, _) => 0,
            (true, None) => u32::MAX,
            (true, Some(_)) => BEFORE_SECTION,
        });
    }

    /// As [`step`](Self::step), while no other vCPU executes: what [`Exit::Exclusive`] asks for.
    pub fn step_exclusive(&mut self) -> Exit {
        self.cpu.mmu.set_exclusive(true);
        let exit = self.step();
        self.cpu.mmu.set_exclusive(false);
        exit
    }

    /// Runs for as long as it takes: behind the gate, if the vCPU has a place there.
    #[inline(never)]
    pub(super) fn run_for(&mut self, budget: u64, step: bool) -> Exit {
        let exit = match self.place.take() {
            None => self.run_anew(budget, step, &mut None),
            Some(mut place) => {
                let exit = self.run_behind(&mut place, budget, step);
                self.place = Some(place);
                exit
            }
        };
        self.finish(exit)
    }

    fn run_behind(&mut self, place: &mut Outside, budget: u64, step: bool) -> Exit {
        let mut inside = Some(place.enter());
        let mut exit = if !step && self.resumes(budget) {
            match self.execute_from(self.cpu.frame.op, false) {
                Ok(()) => self.run_loop(false, false, &mut inside),
                Err(exit) => exit,
            }
        } else {
            self.run_anew(budget, step, &mut inside)
        };
        drop(inside);
        while exit == Exit::Exclusive {
            exit = match self.execute_alone(place, step) {
                Ok(()) => self.run_loop(step, step, &mut Some(place.enter())),
                Err(exit) => exit,
            };
        }
        exit
    }

    /// Executes the instruction at `state.rip` in a section, and unless it is a single `step` a few
    /// more: an operand that is split once is often split again.
    fn execute_alone(&mut self, place: &mut Outside, step: bool) -> Result<(), Exit> {
        let inside = place.enter();
        let begun = self.begin_alone();
        drop(inside);
        let Some(mut op) = begun? else { return Ok(()) };
        let section = place.open();
        // What was asked in a section before this one comes before the instruction.
        if self.cpu.kick.take() {
            self.cpu.undo_begin();
            self.restore_shadow();
            return Err(Exit::Kicked);
        }
        if self.cpu.mmu.may_be_stale() {
            self.cpu.undo_begin();
            self.restore_shadow();
            self.cpu.mmu.follow_others();
            self.forget_written_code();
            let Some(anew) = self.begin_alone()? else { return Ok(()) };
            op = anew;
        }
        self.cpu.mmu.set_exclusive(true);
        let mut result = self.execute_from(op, true);
        if result.is_ok() && !step {
            result = self.linger();
        }
        self.cpu.mmu.set_exclusive(false);
        if self.bus_lock {
            let late = section.came_late();
            self.cpu.mmu.allow_bus_locks(if late { AFTER_LATE_SECTION } else { 0 });
        }
        result
    }

    /// Goes on in the section for a moment.
    fn linger(&mut self) -> Result<(), Exit> {
        self.settle();
        let later = (self.cpu.remaining - LINGER).max(0);
        self.cpu.remaining -= later;
        let exit = self.run_loop(false, false, &mut None);
        self.cpu.remaining += later;
        if exit == Exit::Budget && later > 0 { Ok(()) } else { Err(exit) }
    }

    /// The op of the instruction at `state.rip`, which begins; `None` if its fetch has raised an
    /// exception.
    fn begin_alone(&mut self) -> Result<Option<*const Op>, Exit> {
        match self.begin(true) {
            Ok(op) => Ok(Some(op)),
            Err(error) => {
                self.abort(Leave::access(error, SegmentRegister::Cs))?;
                Ok(None)
            }
        }
    }
}
