//! Dispatch by a loop: each handler returns the next op, and leaves the rest in `Cpu::frame`.

use super::Frame;
use crate::execute::Cpu;
use crate::execute::op::Op;

/// What a handler returns: the next op, or null to leave.
pub(crate) type Flow = *const Op;

/// What a handler returns that leaves; the reason is in `Cpu::leave`.
pub(crate) const LEFT: Flow = core::ptr::null();

/// Continues with the op at `$op`.
macro_rules! next {
    ($cpu:expr, $op:expr, $res:expr, $src:expr, $budget:expr) => {{
        $cpu.frame.res = $res;
        $cpu.frame.src = $src;
        $cpu.frame.budget = $budget;
        return $op;
    }};
}

pub(crate) use next;

impl Cpu {
    /// Executes ops from `self.frame` until one leaves; `self.leave` then tells why, and
    /// `self.frame` where.
    pub(crate) fn dispatch(&mut self) {
        let Frame { mut op, mut res, mut src, mut budget } = self.frame;
        loop {
            // SAFETY: the first op is from the code cache, and each handler returns another or null.
            op = unsafe { ((*op).handler)(self, op, res, src, budget) };
            if op.is_null() {
                break;
            }
            Frame { res, src, budget, .. } = self.frame;
        }
    }
}
