//! How a block leads to the next: through its [`Links`](crate::execute::op::Links) directly within a
//! page, through the jump cache across pages and for indirect targets. The end of a block is also
//! where the slice's budget is counted down.

use crate::exclusive::Watch;
use crate::execute::dispatch::{Flow, Frame, LEFT, leave, next};
use crate::execute::jump_cache::JumpEntry;
use crate::execute::op::Op;
use crate::execute::{Cpu, Leave};
use crate::paging::is_canonical;
use crate::state::{Exception, Register, SegmentRegister};

/// What operand `d` of an indirect transfer's op tells: which one it is.
pub(super) const JUMP: u8 = 1;
pub(super) const CALL: u8 = 2;
pub(super) const RETURN: u8 = 3;

/// Instructions granted at a time; between slices, requests to stop are looked at.
const SLICE: i64 = 512;
/// The same of a vCPU behind a gate, for which an owner may wait: a tenth of a microsecond or so.
const SLICE_BEHIND_GATE: i64 = 48;

/// Counts the block and goes to a successor `distance` slots from its links.
macro_rules! follow {
    ($cpu:expr, $links:expr, $distance:expr, $res:expr, $src:expr, $budget:expr) => {
        $crate::execute::control_transfer::links::follow!(
            $cpu, $links, $distance, $res, $src, $budget, ""
        )
    };
    ($cpu:expr, $links:expr, $distance:expr, $res:expr, $src:expr, $budget:expr, $mark:literal) => {{
        let links: *const $crate::execute::op::Links = $links;
        // SAFETY: distances lead to ops of the code cache: a linked block, or this block's stubs.
        let (target, budget) = unsafe {
            let target = links.byte_offset($distance as isize).cast::<$crate::execute::op::Op>();
            (target, $budget - i64::from((*links).count))
        };
        if budget <= 0 {
            return $crate::execute::control_transfer::links::pause(
                $cpu, target, $res, $src, budget,
            );
        }
        // SAFETY: a comment; it keeps ends with different marks from being merged.
        unsafe { core::arch::asm!($mark, options(nomem, nostack, preserves_flags)) };
        $crate::execute::dispatch::next!($cpu, target, $res, $src, budget)
    }};
}

/// Between two slices: grants the next one, or leaves.
#[cold]
#[inline(never)]
pub(in crate::execute) extern "C" fn pause(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    if let Some(grant) = cpu.next_slice(budget) {
        next!(cpu, op, res, src, budget + grant)
    }
    leave(cpu, op, res, src, budget, &Leave::Slice)
}

impl Cpu {
    /// Where an indirect transfer goes on that has been executed and counted. Where nothing can be
    /// executed at its target, it faults itself (SDM, JMP, CALL, RET), so its effects are taken back.
    pub(super) fn arrive(&mut self, op: Op, target: u64) -> Leave {
        if self.reaches(target) {
            return Leave::Jump { target };
        }
        let released = match op.d {
            RETURN => op.imm as u64,
            _ => 0,
        };
        let rsp = &mut self.state.gpr[Register::Rsp];
        *rsp = rsp.wrapping_sub(released);
        self.frame.budget += i64::from(op.b);
        Exception::GP0.into()
    }

    /// Whether the jump cache has a block at `rip`, which can then be executed.
    #[inline(always)]
    pub(super) fn knows_jump(&self, rip: u64) -> bool {
        // SAFETY: dispatch has pointed `jumps` at the active cache's entries.
        unsafe { (*self.jumps.add(JumpEntry::slot(rip))).rip == rip }
    }

    /// Whether `target` is canonical, or within the code segment.
    fn reaches(&self, target: u64) -> bool {
        if self.state.mode_64bit() {
            is_canonical(&self.state, target)
        } else {
            target <= u64::from(self.state.segments[SegmentRegister::Cs].limit)
        }
    }

    /// Raises #GP(0) where nothing can be executed.
    ///
    /// # Errors
    /// #GP(0).
    pub(super) fn check_target(&self, target: u64) -> Result<(), Leave> {
        if self.reaches(target) { Ok(()) } else { Err(Exception::GP0.into()) }
    }

    /// The instructions of another slice behind one of which `budget` is left, not more than
    /// nothing, unless somebody wants the loop to look at something.
    pub(crate) fn next_slice(&mut self, budget: i64) -> Option<i64> {
        // The last block may have taken more than was granted.
        let left = self.remaining.saturating_add(budget);
        let asked = self.mmu.attention || self.kick.is_pending() || self.mmu.has_requests();
        let stopped = self.gate.as_ref().is_some_and(Watch::poll);
        if left <= 0 || asked || stopped {
            return None;
        }
        let grant = left.min(self.slice()) - budget;
        self.remaining -= grant;
        self.granted += grant;
        Some(grant)
    }

    #[inline(always)]
    fn slice(&self) -> i64 {
        if self.gate.is_some() { SLICE_BEHIND_GATE } else { SLICE }
    }

    /// Adds the first slice of a run to the frame's budget.
    #[inline]
    pub(crate) fn grant(&mut self) {
        let grant = self.remaining.min(self.slice());
        self.remaining -= grant;
        self.granted += grant;
        self.frame.budget += grant;
    }
}

/// Goes to `rip` through the jump cache, or to `$look_up`. The block is complete and counted.
macro_rules! jump_to {
    ($look_up:ident, $cpu:expr, $op:expr, $rip:expr, $res:expr, $src:expr, $budget:expr) => {{
        let rip: u64 = $rip;
        // SAFETY: dispatch has pointed `jumps` at the active cache's entries.
        let entry = unsafe { &*$cpu.jumps.add($crate::execute::jump_cache::JumpEntry::slot(rip)) };
        if entry.rip != rip {
            return $crate::execute::control_transfer::links::$look_up(
                $cpu, $op, $res, $src, $budget, rip,
            );
        }
        if $budget <= 0 {
            return $crate::execute::control_transfer::links::pause(
                $cpu, entry.op, $res, $src, $budget,
            );
        }
        $crate::execute::dispatch::next!($cpu, entry.op, $res, $src, $budget)
    }};
}

#[cold]
#[inline(never)]
pub(super) extern "C" fn look_up(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
    target: u64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    cpu.leave = Leave::Jump { target };
    LEFT
}

/// As [`look_up`], for the op of an indirect transfer.
#[cold]
#[inline(never)]
pub(super) extern "C" fn look_up_indirect(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
    target: u64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    // SAFETY: dispatch hands each handler its own op.
    cpu.leave = cpu.arrive(unsafe { *op }, target);
    LEFT
}

/// The successor of the branch in front is not linked yet.
pub(crate) unsafe extern "C" fn stub_taken(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &Leave::LinkTaken)
}

/// The instruction after the branch in front is not linked yet.
pub(crate) unsafe extern "C" fn stub_not_taken(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &Leave::LinkNotTaken)
}

/// As [`stub_taken`], behind a CALL and its return address.
pub(crate) unsafe extern "C" fn stub_call(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &Leave::LinkCall)
}

/// The successor is in another page, whose mapping may change: it is looked up each time.
pub(crate) unsafe extern "C" fn cross_page(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op, which holds the target.
    let rip = unsafe { (*op).payload() };
    jump_to!(look_up, cpu, op, rip, res, src, budget)
}

/// As [`leave_jump`], for the instruction that follows.
pub(crate) unsafe extern "C" fn leave_behind(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.goes_on = true;
    // SAFETY: as the caller promises.
    unsafe { leave_jump(cpu, op, res, src, budget) }
}

/// The successor is not to be executed now.
pub(crate) unsafe extern "C" fn leave_jump(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op, which holds the target.
    let rip = unsafe { (*op).payload() };
    look_up(cpu, op, res, src, budget, rip)
}

pub(in crate::execute) use follow;
pub(super) use jump_to;
