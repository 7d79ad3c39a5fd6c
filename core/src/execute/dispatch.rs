//! How one op leads to the next: by a tail call, or, under the feature `loop-dispatch`, by a return
//! to a loop.
//!
//! A handler ends with [`next!`]. Under tail-call dispatch that is a call in tail position with
//! the same signature, which LLVM makes a jump at opt-level 1 and above; the language does not
//! promise it, so `core` is optimised in every profile, a test looks at the disassembly, and the
//! portable loop is one feature away.

use super::op::{Flow, Op};
use super::{Cpu, Leave};

/// Continues with the op at `$op`.
#[cfg(not(feature = "loop-dispatch"))]
macro_rules! next {
    ($cpu:expr, $op:expr, $res:expr, $src:expr, $budget:expr) => {{
        let op: *const $crate::execute::op::Op = $op;
        // SAFETY: every op leads to an op of the same block, to a linked block or to a stub, all
        // within the code cache, which is not changed while handlers run.
        return unsafe { ((*op).handler)($cpu, op, $res, $src, $budget) };
    }};
}

/// Continues with the op at `$op`.
#[cfg(feature = "loop-dispatch")]
macro_rules! next {
    ($cpu:expr, $op:expr, $res:expr, $src:expr, $budget:expr) => {{
        $cpu.frame.res = $res;
        $cpu.frame.src = $src;
        $cpu.frame.budget = $budget;
        return $op;
    }};
}

pub(crate) use next;

/// What a handler returns that leaves; the reason is in `Cpu::leave`.
#[cfg(not(feature = "loop-dispatch"))]
pub(crate) const LEFT: Flow = ();
/// What a handler returns that leaves; the reason is in `Cpu::leave`.
#[cfg(feature = "loop-dispatch")]
pub(crate) const LEFT: Flow = core::ptr::null();

/// Where a handler left, and with what in its registers.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub op: *const Op,
    pub res: u64,
    pub src: u64,
    pub budget: i64,
}

impl Cpu {
    /// Executes ops from `self.frame` until one leaves; `self.leave` then tells why, and
    /// `self.frame` where.
    pub(crate) fn dispatch(&mut self) {
        let Frame { op, res, src, budget } = self.frame;
        // SAFETY: the caller has taken `op` from the code cache.
        #[cfg(not(feature = "loop-dispatch"))]
        unsafe {
            ((*op).handler)(self, op, res, src, budget);
        }
        #[cfg(feature = "loop-dispatch")]
        {
            let (mut op, mut res, mut src, mut budget) = (op, res, src, budget);
            loop {
                // SAFETY: as above; each handler returns an op of the code cache or null.
                op = unsafe { ((*op).handler)(self, op, res, src, budget) };
                if op.is_null() {
                    break;
                }
                Frame { res, src, budget, .. } = self.frame;
            }
        }
    }
}

/// Leaves the chain of handlers. `op` is the op that did not complete, or the one to go on with.
#[cold]
#[inline(never)]
pub(crate) extern "C" fn leave(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
    reason: &Leave,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    cpu.leave = *reason;
    LEFT
}
