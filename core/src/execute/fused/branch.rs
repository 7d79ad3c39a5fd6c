//! An operation on a register and the Jcc on what it leaves: on zero, on the sign, and on the carry of an
//! addition or the borrow of a subtraction. And what compilers ask before they divide: whether one
//! number, or one of two, has bits above some place.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::{Ahead, Wide, wide};
use crate::execute::Cpu;
use crate::execute::address::opaque;
use crate::execute::arithmetic::unary::{Dec, Inc};
use crate::execute::arithmetic::{Add, Binary, Sub, cut};
use crate::execute::control_transfer::branch::{choose, fusible};
use crate::execute::control_transfer::condition::code;
use crate::execute::dispatch::Flow;
use crate::execute::emit::Emit;
use crate::execute::flags::{Class, Kind};
use crate::execute::forward::{LastResult, Place, Stored};
use crate::execute::logical::{And, Or, Xor};
use crate::execute::op::{Handler, Op};
use crate::execute::shift_rotate::{Sar, Shift, Shl, Shr, constant_count};
use crate::memory::Width;
use crate::state::Gpr;

/// a = a op b, and Jcc.
unsafe extern "C" fn jump_rr<O: Binary, W: Width, const CODE: u8, L: Place, R: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, a, res, src), R::get::<W>(cpu, b, res, src));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    cpu.set::<W>(a, res);
    let (kind, src) = (Kind::of::<W>(O::CLASS), O::source::<W>(left, right, res));
    cpu.kind = kind;
    choose!(cpu, kind.condition(CODE, res, src), op.wrapping_add(1).cast(), res, src, budget)
}

/// a = a op immediate, and Jcc.
unsafe extern "C" fn jump_ri<O: Binary, W: Width, const CODE: u8, L: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, a, res, src), cut::<W>(imm as u64));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    cpu.set::<W>(a, res);
    let (kind, src) = (Kind::of::<W>(O::CLASS), O::source::<W>(left, right, res));
    cpu.kind = kind;
    choose!(cpu, kind.condition(CODE, res, src), op.wrapping_add(1).cast(), res, src, budget)
}

/// INC or DEC of a, and Jcc; bit 0 of the source word stays CF.
unsafe extern "C" fn jump_step<O: Binary, W: Width, const CODE: u8, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    let res = cut::<W>(O::apply::<W>(P::get::<W>(cpu, a, res, src), 0, src));
    cpu.set::<W>(a, res);
    let kind = Kind::of::<W>(O::CLASS);
    cpu.kind = kind;
    choose!(cpu, kind.condition(CODE, res, src), op.wrapping_add(1).cast(), res, src, budget)
}

/// a = a shifted by a constant, and Jcc.
unsafe extern "C" fn jump_shift<S: Shift, W: Width, const CODE: u8, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let (res, src) = S::apply::<W>(P::get::<W>(cpu, a, res, src), imm as u32);
    let src = opaque(src);
    cpu.set::<W>(a, res);
    let kind = Kind::of::<W>(Class::Given);
    cpu.kind = kind;
    choose!(cpu, kind.condition(CODE, res, src), op.wrapping_add(1).cast(), res, src, budget)
}

/// a = (b | c) shifted right by a constant, and Jcc; c may be the zero word.
unsafe extern "C" fn jump_guard<const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, imm, .. } = unsafe { *op };
    let both = cpu.get::<u64>(b) | cpu.get::<u64>(c);
    let (res, src) = Shr::apply::<u64>(both, imm as u32);
    cpu.set::<u64>(a, res);
    let kind = Kind::of::<u64>(Class::Given);
    cpu.kind = kind;
    choose!(cpu, kind.condition(CODE, res, src), op.wrapping_add(1).cast(), res, src, budget)
}

/// By the conditions that are worth it: equal, sign, and below, each before its opposite.
type ByCondition = [Wide; 6];

/// The place of a condition code among them.
fn place_of(code: usize) -> Option<usize> {
    [4, 5, 8, 9, 2, 3].iter().position(|&known| known == code)
}

macro_rules! by_condition {
    ($handler:ident, $($more:ty),*; $($place:ty),*) => {
        [
            wide!(W => $handler::<$($more,)* W, 4, $($place),*>),
            wide!(W => $handler::<$($more,)* W, 5, $($place),*>),
            wide!(W => $handler::<$($more,)* W, 8, $($place),*>),
            wide!(W => $handler::<$($more,)* W, 9, $($place),*>),
            wide!(W => $handler::<$($more,)* W, 2, $($place),*>),
            wide!(W => $handler::<$($more,)* W, 3, $($place),*>),
        ]
    };
}

/// The handlers of a binary operation.
struct Forms {
    /// With both operands stored, with the left and with the right one in the result word.
    register: [ByCondition; 3],
    /// With an immediate: the operand stored, or in the result word.
    immediate: [ByCondition; 2],
}

const fn binary<O: Binary>() -> &'static Forms {
    &const {
        Forms {
            register: [
                by_condition!(jump_rr, O; Stored, Stored),
                by_condition!(jump_rr, O; LastResult, Stored),
                by_condition!(jump_rr, O; Stored, LastResult),
            ],
            immediate: [by_condition!(jump_ri, O; Stored), by_condition!(jump_ri, O; LastResult)],
        }
    }
}

const fn step<O: Binary>() -> &'static [ByCondition; 2] {
    &const { [by_condition!(jump_step, O; Stored), by_condition!(jump_step, O; LastResult)] }
}

const fn shift<S: Shift>() -> &'static [ByCondition; 2] {
    &const { [by_condition!(jump_shift, S; Stored), by_condition!(jump_shift, S; LastResult)] }
}

/// Emits the operation at hand and the Jcc behind it as one op, if they are such a pair.
pub(super) fn emit(emit: &mut Emit, jump: &Instruction) -> Option<()> {
    let operation = &emit.instruction;
    let to = fusible(emit, jump)?;
    let condition = place_of(code(jump))?;
    if operation.op0_kind() != OpKind::Register || emit.width(0) < 2 {
        return None;
    }
    let (a, width) = (emit.register(0), emit.width(0));
    let is_last = |register| emit.carried.place(register, width) == LastResult::INDEX;
    let left = usize::from(is_last(a));
    let (handlers, b, imm): (&ByCondition, u8, i32) = match operation.mnemonic() {
        Mnemonic::Inc => (&step::<Inc>()[left], 0, 0),
        Mnemonic::Dec => (&step::<Dec>()[left], 0, 0),
        Mnemonic::Shl | Mnemonic::Shr | Mnemonic::Sar => {
            let forms = match operation.mnemonic() {
                Mnemonic::Shl => shift::<Shl>(),
                Mnemonic::Shr => shift::<Shr>(),
                _ => shift::<Sar>(),
            };
            let count = constant_count(emit, width).filter(|&count| count != 0)?;
            (&forms[left], 0, count as i32)
        }
        mnemonic => {
            let forms = match mnemonic {
                Mnemonic::Add => binary::<Add>(),
                Mnemonic::Sub => binary::<Sub>(),
                Mnemonic::And => binary::<And>(),
                Mnemonic::Or => binary::<Or>(),
                Mnemonic::Xor => binary::<Xor>(),
                _ => return None,
            };
            if emit.is_immediate(1) {
                (&forms.immediate[left], 0, emit.immediate(1) as i32)
            } else {
                let b = emit.is_register(1).then(|| emit.register(1))?;
                let right = if is_last(b) { 2 } else { left };
                (&forms.register[right], b, 0)
            }
        }
    };
    if matches!(operation.mnemonic(), Mnemonic::Inc | Mnemonic::Dec) {
        emit.carry_to_source();
    }
    emit.branch(Op { a, b, imm, ..Op::plain(handlers[condition][width - 2]) }, 2, to);
    emit.go_on(jump);
    Some(())
}

/// Emits MOV, OR, SHR and Jcc as one op, or the same without OR, if the instruction at hand begins that.
pub(super) fn emit_guard(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let (a, b, width) = super::copy::copied(emit)?;
    let with_or = ahead.get(1)?.mnemonic() == Mnemonic::Or;
    let distance = 1 + usize::from(with_or);
    let (shift, jump) = (ahead.get(distance)?, ahead.get(distance + 1)?);
    let to = fusible(emit, jump)?;
    let target = emit.instruction.op0_register();
    let handler = match code(jump) {
        4 => jump_guard::<4> as Handler,
        5 => jump_guard::<5>,
        _ => return None,
    };
    if width != 3 || shift.mnemonic() != Mnemonic::Shr || shift.op0_register() != target {
        return None;
    }
    let other = match with_or {
        true => emit.about(ahead.get(1)?, |emit| {
            let on_copy = emit.is_register(1) && emit.instruction.op0_register() == target;
            on_copy.then(|| emit.register(1)).filter(|&other| other != a)
        })?,
        false => Gpr::ZERO_OFFSET,
    };
    let count = emit.about(shift, |emit| constant_count(emit, width));
    let count = count.filter(|&count| count != 0)?;
    let op = Op { a, b, c: other, imm: count as i32, ..Op::plain(handler) };
    emit.branch(op, distance as u8 + 2, to);
    ahead.go_on(emit, distance + 1);
    Some(())
}
