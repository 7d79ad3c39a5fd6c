//! Groups of instructions as one op: what compilers write one behind the other, because the machine
//! has two-operand instructions, tests before it jumps, and counts before it tests. Most of the time of
//! an op goes into finding the next one, so half as many ops take little more than half the time.
//!
//! A group is known by its instructions alone. Copies and what is done with them are in `copy` and
//! `shifted`, divisions in `division`, operations and the jumps on their results in `branch` and
//! `counted`, moves of several vectors in `block_copy` and `runs`; a comparison and its jump are in
//! `control_transfer`, operations on vectors in `sse::pair` and `sse::rounds`.
//!
//! Invariant: if the op faults, it does so as the first of its instructions, with nothing changed.
//! Where a later one could fault, its plain op stands behind, and the fused one goes on there.

mod ahead;
mod block_copy;
mod branch;
mod copy;
mod counted;
mod division;
mod moved;
mod runs;
mod shifted;

use iced_x86::Mnemonic;

pub(crate) use self::ahead::{Ahead, is_encodable};

use super::control_transfer::branch::fuse;
use super::emit::Emit;
use super::op::Handler;

/// An array of handlers for 32 and for 64 bits.
macro_rules! wide {
    ($width:ident => $handler:expr) => {
        [
            {
                type $width = u32;
                $handler as $crate::execute::op::Handler
            },
            {
                type $width = u64;
                $handler as $crate::execute::op::Handler
            },
        ]
    };
}
use wide;

/// Handlers for 32 and for 64 bits.
type Wide = [Handler; 2];

/// Emits the instruction at hand and some of those ahead as one op, if they are a group; the last of
/// them is then at hand.
pub(crate) fn emit_group(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let second = ahead.get(1)?;
    match emit.instruction.mnemonic() {
        Mnemonic::Cmp | Mnemonic::Test => fuse(emit, second),
        Mnemonic::Mov => division::emit(emit, ahead)
            .or_else(|| branch::emit_guard(emit, ahead))
            .or_else(|| shifted::emit(emit, ahead))
            .or_else(|| copy::emit(emit, ahead)),
        Mnemonic::Xor => division::emit(emit, ahead).or_else(|| branch::emit(emit, second)),
        Mnemonic::Add | Mnemonic::Sub | Mnemonic::Inc | Mnemonic::Dec => {
            counted::emit(emit, ahead).or_else(|| branch::emit(emit, second))
        }
        Mnemonic::And | Mnemonic::Or | Mnemonic::Shl | Mnemonic::Shr | Mnemonic::Sar => {
            branch::emit(emit, second)
        }
        _ => super::sse::rounds::emit(emit, ahead)
            .or_else(|| block_copy::emit(emit, ahead))
            .or_else(|| runs::emit(emit, ahead))
            .or_else(|| super::sse::pair::emit(emit, ahead)),
    }
}
