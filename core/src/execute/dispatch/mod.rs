//! How one op leads to the next: by a tail call (`tail.rs`), or by a return to a loop (`looped.rs`).
//!
//! A handler ends with [`next!`]. As a tail call that is a call in tail position with the same
//! signature, which LLVM makes a jump in optimised code without debug assertions; the language does
//! not promise it. So `core` is built that way in every profile of this workspace, a test looks at
//! the disassembly, and the loop serves everybody else: builds with debug assertions, and those that
//! ask for it with the feature `loop-dispatch`.

#[cfg_attr(any(feature = "loop-dispatch", debug_assertions), path = "looped.rs")]
#[cfg_attr(not(any(feature = "loop-dispatch", debug_assertions)), path = "tail.rs")]
mod style;

pub(crate) use style::{Flow, LEFT, next};

use super::op::Op;
use super::{Cpu, Leave};

/// Where a handler left, and with what in its registers.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub op: *const Op,
    pub res: u64,
    pub src: u64,
    pub budget: i64,
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
