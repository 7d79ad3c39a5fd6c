//! A register move and the operation on its destination that follows: the machine has two-operand
//! instructions, compilers think in three, and so every third instruction or so of theirs is a copy
//! that only the next one reads.
//!
//! Invariant: such an op cannot fault, so nothing ever sees the state between the two.

use iced_x86::{Mnemonic, OpKind};

use super::{Ahead, Wide, wide};
use crate::execute::Cpu;
use crate::execute::arithmetic::multiply_divide::words;
use crate::execute::arithmetic::{Add, Binary, Sub, cut, kind};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::Emit;
use crate::execute::flags::{Class, Kind};
use crate::execute::forward::{Carried, Place, by_place};
use crate::execute::logical::{And, Or, Xor};
use crate::execute::op::{Handler, Op};
use crate::execute::shift_rotate::{Sar, Shift, Shl, Shr, constant_count};
use crate::memory::Width;

/// a = b op c.
unsafe extern "C" fn binary_rrr<O: Binary, W: Width, L: Place, R: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, b, res, src), R::get::<W>(cpu, c, res, src));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

/// a = b op immediate.
unsafe extern "C" fn binary_rri<O: Binary, W: Width, L: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, b, res, src), cut::<W>(imm as u64));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

/// a = b shifted by a constant that is not zero.
unsafe extern "C" fn shift_rri<S: Shift, W: Width, L: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let (res, src) = S::apply::<W>(L::get::<W>(cpu, b, res, src), imm as u32);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// As [`shift_rri`], where the flags are dead: the source word becomes what was copied.
unsafe extern "C" fn shift_rri_quiet<S: Shift, W: Width, L: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let left = L::get::<W>(cpu, b, res, src);
    let res = S::result::<W>(left, imm as u32);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, left, budget)
}

/// a = b * c, signed; `QUIET` where the flags are dead.
unsafe extern "C" fn multiply_rrr<W: Width, L: Place, R: Place, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, b, res, src), R::get::<W>(cpu, c, res, src));
    let (res, src) = words::<W, QUIET>(left, right, src);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// The handlers of a binary operation.
struct Forms {
    /// By the place of the left and of the right operand.
    register: [[Wide; 3]; 3],
    /// With an immediate, by the place of the left operand.
    immediate: [Wide; 3],
}

const fn binary<O: Binary>() -> &'static Forms {
    &const {
        Forms {
            register: by_place!(L => by_place!(R => wide!(W => binary_rrr::<O, W, L, R>))),
            immediate: by_place!(L => wide!(W => binary_rri::<O, W, L>)),
        }
    }
}

/// The handlers of a shift with its flags and without, by the place of its operand.
type ShiftForms = [[Wide; 3]; 2];

const fn shift<S: Shift>() -> &'static ShiftForms {
    &const {
        [
            by_place!(L => wide!(W => shift_rri::<S, W, L>)),
            by_place!(L => wide!(W => shift_rri_quiet::<S, W, L>)),
        ]
    }
}

/// The registers and the width of the instruction at hand, if it copies one register to another and
/// writes all of it.
pub(super) fn copied(emit: &Emit) -> Option<(u8, u8, usize)> {
    let copy = &emit.instruction;
    let copies = copy.mnemonic() == Mnemonic::Mov
        && copy.op0_register().is_gpr()
        && copy.op1_register().is_gpr()
        && copy.op0_register().size() >= 4;
    copies.then(|| (emit.register(0), emit.register(1), emit.width(0)))
}

/// Emits the move at hand and the operation behind it, if they are such a pair.
pub(super) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let second = ahead.get(1)?;
    let target = emit.instruction.op0_register();
    let (a, b, width) = copied(emit)?;
    if second.op0_kind() != OpKind::Register || second.op0_register() != target {
        return None;
    }
    emit.flags_dead = ahead.flags_are_dead_behind(1);
    let operation = emit.about(second, |emit| operation(emit, a, b, width))?;
    let Operation { handler, c, imm, kind, carried } = operation;
    emit.op(handler, a, b, c, 0, imm);
    emit.carried = carried;
    if let Some(kind) = kind {
        emit.writes_flags(kind);
    }
    emit.go_on(second);
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
    /// What it leaves in the words between ops.
    carried: Carried,
}

/// The operation at hand on the value of register `b`, with the result in `a`.
fn operation(emit: &Emit, a: u8, b: u8, width: usize) -> Option<Operation> {
    match emit.instruction.mnemonic() {
        Mnemonic::Add => on_copy(emit, binary::<Add>(), Class::Add, a, b, width),
        Mnemonic::Sub => on_copy(emit, binary::<Sub>(), Class::Sub, a, b, width),
        Mnemonic::And => on_copy(emit, binary::<And>(), Class::Logic, a, b, width),
        Mnemonic::Or => on_copy(emit, binary::<Or>(), Class::Logic, a, b, width),
        Mnemonic::Xor => on_copy(emit, binary::<Xor>(), Class::Logic, a, b, width),
        Mnemonic::Imul => product_of_copy(emit, a, b, width),
        Mnemonic::Shl => shift_of_copy(emit, shift::<Shl>(), a, b, width),
        Mnemonic::Shr => shift_of_copy(emit, shift::<Shr>(), a, b, width),
        Mnemonic::Sar => shift_of_copy(emit, shift::<Sar>(), a, b, width),
        _ => None,
    }
}

fn on_copy(
    emit: &Emit,
    forms: &Forms,
    class: Class,
    a: u8,
    b: u8,
    width: usize,
) -> Option<Operation> {
    let kind = Some(kind(class, width));
    let (left, wide) = (emit.carried.place(b, width), width - 2);
    let carried = Carried::result(a, width);
    if emit.is_immediate(1) {
        let (handler, imm) = (forms.immediate[left][wide], emit.immediate(1) as i32);
        return Some(Operation { handler, c: 0, imm, kind, carried });
    }
    let right = emit.is_register(1).then(|| emit.register(1))?;
    // The operation reads the copy.
    let c = if right == a { b } else { right };
    let handler = forms.register[left][emit.carried.place(c, width)][wide];
    Some(Operation { handler, c, imm: 0, kind, carried: carried.and_source(c, width) })
}

fn product_of_copy(emit: &Emit, a: u8, b: u8, width: usize) -> Option<Operation> {
    type Forms = [[Wide; 3]; 3];
    const LOUD: &Forms =
        &by_place!(L => by_place!(R => wide!(W => multiply_rrr::<W, L, R, false>)));
    const QUIET: &Forms =
        &by_place!(L => by_place!(R => wide!(W => multiply_rrr::<W, L, R, true>)));
    let two_registers = emit.instruction.op_count() == 2 && emit.is_register(1);
    let right = two_registers.then(|| emit.register(1))?;
    let c = if right == a { b } else { right };
    let (left, right) = (emit.carried.place(b, width), emit.carried.place(c, width));
    let handler = if emit.flags_dead { QUIET } else { LOUD }[left][right][width - 2];
    let kind = Some(kind(Class::Given, width));
    Some(Operation { handler, c, imm: 0, kind, carried: Carried::result(a, width) })
}

fn shift_of_copy(emit: &Emit, forms: &ShiftForms, a: u8, b: u8, width: usize) -> Option<Operation> {
    let count = constant_count(emit, width).filter(|&count| count != 0)?;
    let handler = forms[usize::from(emit.flags_dead)][emit.carried.place(b, width)][width - 2];
    let (kind, carried) = match emit.flags_dead {
        true => (None, Carried::result(a, width).and_source(b, width)),
        false => (Some(kind(Class::Given, width)), Carried::result(a, width)),
    };
    Some(Operation { handler, c: 0, imm: count as i32, kind, carried })
}
