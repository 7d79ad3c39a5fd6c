//! A register move and the operation on its destination that follows, as one op: the machine has
//! two-operand instructions, compilers think in three, and so every third instruction or so of
//! theirs is a copy that only the next one reads. (A comparison and its jump are one op as well: see
//! `control_transfer`.)
//!
//! Invariant: such an op cannot fault, so nothing ever sees the state between the two.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::Cpu;
use super::arithmetic::{Add, Binary, Sub, cut, kind};
use super::dispatch::{Flow, next};
use super::emit::Emit;
use super::flags::{Class, Kind};
use super::logical::{And, Or, Xor};
use super::op::{Handler, Op};
use super::shift_rotate::{Sar, Shift, Shl, Shr, constant_count};
use crate::memory::Width;

/// a = b op c.
unsafe extern "C" fn binary_rrr<O: Binary, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, .. } = unsafe { *op };
    let (left, right) = (cpu.get::<W>(b), cpu.get::<W>(c));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

/// a = b op immediate.
unsafe extern "C" fn binary_rri<O: Binary, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let (left, right) = (cpu.get::<W>(b), cut::<W>(imm as u64));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

/// a = b shifted by a constant that is not zero.
unsafe extern "C" fn shift_rri<S: Shift, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let (res, src) = S::apply::<W>(cpu.get::<W>(b), imm as u32);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// As [`shift_rri`], where the flags are dead.
unsafe extern "C" fn shift_rri_quiet<S: Shift, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let shifted = S::apply::<W>(cpu.get::<W>(b), imm as u32).0;
    cpu.set::<W>(a, shifted);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// The handlers of an operation with a register and with an immediate, for 32 and for 64 bits.
type Forms = [[Handler; 2]; 2];

const fn binary<O: Binary>() -> Forms {
    [[binary_rrr::<O, u32>, binary_rrr::<O, u64>], [binary_rri::<O, u32>, binary_rri::<O, u64>]]
}

/// The same for a shift with its flags and without.
const fn shift<S: Shift>() -> Forms {
    [
        [shift_rri::<S, u32>, shift_rri::<S, u64>],
        [shift_rri_quiet::<S, u32>, shift_rri_quiet::<S, u64>],
    ]
}

/// Emits the move at hand and `second` as one op, if they are such a pair; `emit.flags_dead` speaks
/// of the flags of `second`.
pub(crate) fn emit_pair(emit: &mut Emit, second: &Instruction) -> Option<()> {
    let first = emit.instruction;
    let copies = first.mnemonic() == Mnemonic::Mov
        && first.op0_register().is_gpr()
        && first.op1_register().is_gpr()
        && first.op0_register().size() >= 4;
    let target = first.op0_register();
    if !copies || second.op0_kind() != OpKind::Register || second.op0_register() != target {
        return None;
    }
    let width = emit.width(0);
    let (a, b) = (emit.register(0), emit.register(1));
    emit.instruction = *second;
    let operation = operation(emit, a, b, width);
    // The op begins where the move does.
    emit.instruction = first;
    let Operation { handler, c, imm, kind } = operation?;
    emit.op(handler, a, b, c, 0, imm);
    if let Some(kind) = kind {
        emit.writes_flags(kind);
    }
    emit.instruction = *second;
    Some(())
}

/// An operation on a copied register.
struct Operation {
    handler: Handler,
    /// The register that is its right operand, if one is.
    c: u8,
    imm: i32,
    /// What it makes of the flags, if anything.
    kind: Option<Kind>,
}

/// The operation at hand on the value of register `b`, with the result in `a`.
fn operation(emit: &Emit, a: u8, b: u8, width: usize) -> Option<Operation> {
    let (forms, class) = match emit.instruction.mnemonic() {
        Mnemonic::Add => (binary::<Add>(), Class::Add),
        Mnemonic::Sub => (binary::<Sub>(), Class::Sub),
        Mnemonic::And => (binary::<And>(), Class::Logic),
        Mnemonic::Or => (binary::<Or>(), Class::Logic),
        Mnemonic::Xor => (binary::<Xor>(), Class::Logic),
        Mnemonic::Shl => (shift::<Shl>(), Class::Given),
        Mnemonic::Shr => (shift::<Shr>(), Class::Given),
        Mnemonic::Sar => (shift::<Sar>(), Class::Given),
        _ => return None,
    };
    let wide = width - 2;
    let known = Some(kind(class, width));
    if class == Class::Given {
        let count = constant_count(emit, width)?;
        let quiet = emit.flags_dead;
        let handler = forms[usize::from(quiet)][wide];
        let kind = if quiet { None } else { known };
        return (count != 0).then_some(Operation { handler, c: 0, imm: count as i32, kind });
    }
    if emit.is_immediate(1) {
        let imm = emit.immediate(1) as i32;
        return Some(Operation { handler: forms[1][wide], c: 0, imm, kind: known });
    }
    let right = emit.is_register(1).then(|| emit.register(1))?;
    // The operation reads the copy.
    let c = if right == a { b } else { right };
    Some(Operation { handler: forms[0][wide], c, imm: 0, kind: known })
}
