//! The end of a counted loop: a step of a register by a constant, its comparison, and the Jcc.
//!
//! Invariant: such an op cannot fault, and the flags of the step are overwritten.

use iced_x86::{Mnemonic, OpKind};

use super::{Ahead, Wide, wide};
use crate::execute::Cpu;
use crate::execute::arithmetic::cut;
use crate::execute::control_transfer::branch::{choose, fusible};
use crate::execute::control_transfer::condition::{by_code, code};
use crate::execute::dispatch::Flow;
use crate::execute::emit::Emit;
use crate::execute::flags::{Class, Kind};
use crate::execute::forward::{LastResult, Place, Stored};
use crate::execute::op::Op;
use crate::memory::Width;
use crate::state::Gpr;

/// Steps register `a` by the immediate and compares it with register `b`; `SWAPPED`: it is the right
/// operand.
unsafe extern "C" fn count_rr<W: Width, const CODE: u8, P: Place, const SWAPPED: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let stepped = cut::<W>(P::get::<W>(cpu, a, res, src).wrapping_add(imm as u64));
    cpu.set::<W>(a, stepped);
    let other = cpu.get::<W>(b);
    let (left, src) = if SWAPPED { (other, stepped) } else { (stepped, other) };
    let res = cut::<W>(left.wrapping_sub(src));
    let kind = Kind::of::<W>(Class::Sub);
    cpu.kind = kind;
    choose!(cpu, kind.condition(CODE, res, src), op.wrapping_add(1).cast(), res, src, budget)
}

/// Steps register `a` by `d`, which has a sign, and compares it with the immediate.
unsafe extern "C" fn count_ri<W: Width, const CODE: u8, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, d, imm, .. } = unsafe { *op };
    let left = cut::<W>(P::get::<W>(cpu, a, res, src).wrapping_add(d as i8 as u64));
    cpu.set::<W>(a, left);
    let src = cut::<W>(imm as u64);
    let res = cut::<W>(left.wrapping_sub(src));
    let kind = Kind::of::<W>(Class::Sub);
    cpu.kind = kind;
    choose!(cpu, kind.condition(CODE, res, src), op.wrapping_add(1).cast(), res, src, budget)
}

type ByCode = [Wide; 16];

macro_rules! left {
    ($handler:ident, $code:literal, $place:ty) => {
        wide!(W => $handler::<W, $code, $place, false>)
    };
}
macro_rules! right {
    ($handler:ident, $code:literal, $place:ty) => {
        wide!(W => $handler::<W, $code, $place, true>)
    };
}
macro_rules! constant {
    ($handler:ident, $code:literal, $place:ty) => {
        wide!(W => $handler::<W, $code, $place>)
    };
}

/// By whether the step's register is the right operand, and whether it is in the result word.
static COUNT_RR: [[ByCode; 2]; 2] = [
    [by_code!(count_rr, left, Stored), by_code!(count_rr, left, LastResult)],
    [by_code!(count_rr, right, Stored), by_code!(count_rr, right, LastResult)],
];
/// By whether the register is in the result word.
static COUNT_RI: [ByCode; 2] =
    [by_code!(count_ri, constant, Stored), by_code!(count_ri, constant, LastResult)];

/// What the instruction at hand adds to its register.
fn step(emit: &Emit) -> Option<i32> {
    let immediate = || emit.is_immediate(1).then(|| emit.immediate(1) as i32);
    match emit.instruction.mnemonic() {
        Mnemonic::Inc => Some(1),
        Mnemonic::Dec => Some(-1),
        Mnemonic::Add => immediate(),
        Mnemonic::Sub => immediate()?.checked_neg(),
        _ => None,
    }
}

/// Emits the step at hand, the comparison and the Jcc behind it as one op, if they are such a group.
pub(super) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let (compare, jump) = (ahead.get(1)?, ahead.get(2)?);
    if compare.mnemonic() != Mnemonic::Cmp || compare.op0_kind() != OpKind::Register {
        return None;
    }
    let to = fusible(emit, jump)?;
    let (first, step) = (emit.instruction, step(emit)?);
    let stepped = first.op0_register();
    if first.op0_kind() != OpKind::Register || emit.width(0) < 2 {
        return None;
    }
    let (a, width) = (emit.register(0), emit.width(0));
    let last = usize::from(emit.carried.place(a, width) == LastResult::INDEX);
    let (left, right, constant) = emit.about(compare, |emit| {
        let right = emit.is_register(1).then(|| emit.register(1));
        (emit.register(0), right, emit.is_immediate(1).then(|| emit.immediate(1) as i32))
    });
    let swapped = compare.op0_register() != stepped;
    if left == right.unwrap_or(Gpr::ZERO_OFFSET) || compare.op0_register().size() != 1 << width {
        return None;
    }
    let op = match (right, constant) {
        (Some(b), _) if !swapped => {
            Op { a, b, imm: step, ..Op::plain(COUNT_RR[0][last][code(jump)][width - 2]) }
        }
        (Some(_), _) if compare.op1_register() == stepped => {
            Op { a, b: left, imm: step, ..Op::plain(COUNT_RR[1][last][code(jump)][width - 2]) }
        }
        (_, Some(imm)) if !swapped => {
            let d = i8::try_from(step).ok()? as u8;
            Op { a, d, imm, ..Op::plain(COUNT_RI[last][code(jump)][width - 2]) }
        }
        _ => return None,
    };
    emit.branch(op, 3, to);
    ahead.go_on(emit, 2);
    Some(())
}
