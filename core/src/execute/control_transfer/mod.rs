//! Near control transfers: JMP, Jcc, CALL, RET, LOOPcc, JrCXZ; and SETcc, which tests as Jcc does.
//!
//! Every block ends in one of these, or in a call-out. How a successor is reached is in `links`;
//! conditions and the branches on them are in `condition` and `branch`, and what uses the stack is
//! in `call`. JMP is here.

pub(super) mod branch;
pub(super) mod call;
pub(super) mod condition;
pub(crate) mod links;

use iced_x86::Mnemonic;

pub(super) use self::condition::test_condition;

use self::links::{follow, jump_to};
use super::dispatch::Flow;
use super::emit::{ByWidth, Emit, Origin, Successors, by_width};
use super::flags::Kind;
use super::op::{Detail, Handler, Links, Op};
use super::table::Row;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::state::{Exception, Gpr};

pub(super) const ROWS: &[Row] = &[(Mnemonic::Jmp, jmp)];

/// JMP. `KNOWN`: the block has written flags, and their kind is in the links.
unsafe extern "C" fn jump_direct<const KNOWN: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slot behind a branch holds its links.
    let links = unsafe { op.add(1).cast::<Links>() };
    if KNOWN {
        // SAFETY: as above.
        cpu.kind = Kind(unsafe { (*links).kind });
    }
    // SAFETY: as above.
    let distance = unsafe { (*links).taken };
    follow!(cpu, links, distance, res, src, budget)
}

/// The handler that ends a block by going to its only successor.
pub(super) fn jump(flags_known: bool) -> Handler {
    if flags_known { jump_direct::<true> } else { jump_direct::<false> }
}

/// JMP through register `a`; `b` counts the block's instructions.
unsafe extern "C" fn jump_register<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, .. } = unsafe { *op };
    if c != Origin::DYNAMIC {
        cpu.kind = Kind(c);
    }
    jump_to!(look_up_indirect, cpu, op, cpu.get::<W>(a), res, src, budget - i64::from(b))
}

/// A branch to a constant address that is not canonical, or beyond the code segment.
fn fail(_: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Err(Exception::GP0.into())
}

/// An indirect jump to what is in a register or the scratch word.
fn jump_through(emit: &mut Emit, handler: Handler, register: u8, what: u8) {
    let kind = emit.flags().map_or(Origin::DYNAMIC, |kind| kind.0);
    emit.op(handler, register, emit.count() + 1, kind, what, 0);
    emit.ended = true;
}

fn jmp(emit: &mut Emit) -> Option<()> {
    let instruction = emit.instruction;
    if instruction.is_jmp_far() || instruction.is_jmp_far_indirect() {
        return super::far_transfer::far_jump(emit);
    }
    if instruction.is_jmp_near_indirect() {
        let register = if emit.is_memory(0) {
            super::data_transfer::load_operand(emit);
            Gpr::SCRATCH_OFFSET
        } else {
            emit.register(0)
        };
        let handlers: ByWidth = by_width!(W => jump_register::<W>);
        jump_through(emit, handlers[emit.width(0)], register, links::JUMP);
    } else {
        let to = Successors { taken: instruction.near_branch_target(), not_taken: None };
        if !emit.reaches(to.taken) {
            emit.call_out_last(fail);
            return Some(());
        }
        emit.branch(Op::plain(jump(emit.flags().is_some())), 1, to);
    }
    Some(())
}
