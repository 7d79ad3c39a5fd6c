//! Dispatch by tail calls: what travels between ops stays in registers.

use super::Frame;
use crate::execute::Cpu;

/// What a handler returns: nothing, because it has called the next one.
pub(crate) type Flow = ();

/// What a handler returns that leaves; the reason is in `Cpu::leave`.
pub(crate) const LEFT: Flow = ();

/// Continues with the op at `$op`.
macro_rules! next {
    ($cpu:expr, $op:expr, $res:expr, $src:expr, $budget:expr) => {{
        let op: *const $crate::execute::op::Op = $op;
        // SAFETY: every op leads to an op of the same block, to a linked block or to a stub, all
        // within the code cache, which is not changed while handlers run.
        return unsafe { ((*op).handler)($cpu, op, $res, $src, $budget) };
    }};
}

pub(crate) use next;

impl Cpu {
    /// Executes ops from `self.frame` until one leaves; `self.leave` then tells why, and
    /// `self.frame` where.
    pub(crate) fn dispatch(&mut self) {
        let Frame { op, res, src, budget } = self.frame;
        // SAFETY: the caller has taken `op` from the code cache.
        unsafe { ((*op).handler)(self, op, res, src, budget) }
    }
}
