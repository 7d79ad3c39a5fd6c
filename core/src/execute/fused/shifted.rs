//! A copy, its shift by a constant, and an operation on that: how random-number generators and hash
//! functions mix a number with itself, and how fields are taken out of words. Such a mix is followed by a
//! multiplication in most of them, which is in the same op.
//!
//! Invariant: such an op cannot fault, and the flags of the shift are overwritten.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::{Ahead, Wide, wide};
use crate::execute::Cpu;
use crate::execute::arithmetic::multiply_divide::words;
use crate::execute::arithmetic::{Add, Binary, Sub, cut, kind};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::Emit;
use crate::execute::flags::{Class, Kind};
use crate::execute::forward::{Carried, Place, Stored, by_place};
use crate::execute::logical::{And, Or, Xor};
use crate::execute::op::Op;
use crate::execute::shift_rotate::{Shift, Shl, Shr, constant_count};
use crate::memory::Width;

/// a = (b shifted by d) op c. `SAME`: c is b.
unsafe extern "C" fn shifted_rr<O: Binary, S: Shift, W: Width, P: Place, const SAME: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, d, .. } = unsafe { *op };
    let value = P::get::<W>(cpu, b, res, src);
    let left = S::result::<W>(value, d.into());
    let right = if SAME { value } else { Stored::get::<W>(cpu, c, res, src) };
    let res = cut::<W>(O::apply::<W>(left, right, 0));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

/// a = (b shifted by d) op immediate.
unsafe extern "C" fn shifted_ri<O: Binary, S: Shift, W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, d, imm, .. } = unsafe { *op };
    let left = S::result::<W>(P::get::<W>(cpu, b, res, src), d.into());
    let right = cut::<W>(imm as u64);
    let res = cut::<W>(O::apply::<W>(left, right, 0));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

/// a = ((b shifted by d) XOR b) * c, where the flags are dead.
unsafe extern "C" fn mixed_product<S: Shift, W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, d, .. } = unsafe { *op };
    let value = P::get::<W>(cpu, b, res, src);
    let mixed = value ^ S::result::<W>(value, d.into());
    let (res, src) = words::<W, true>(mixed, cpu.get::<W>(c), src);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// The handlers of a shift and an operation, by the place of what is shifted.
struct Forms {
    kind: fn(usize) -> Kind,
    /// With another register, and with the one that was copied.
    register: [[Wide; 3]; 2],
    immediate: [Wide; 3],
}

const fn forms<O: Binary, S: Shift>() -> &'static Forms {
    &const {
        Forms {
            kind: |width| kind(O::CLASS, width),
            register: [
                by_place!(P => wide!(W => shifted_rr::<O, S, W, P, false>)),
                by_place!(P => wide!(W => shifted_rr::<O, S, W, P, true>)),
            ],
            immediate: by_place!(P => wide!(W => shifted_ri::<O, S, W, P>)),
        }
    }
}

fn find(shift: Mnemonic, operation: Mnemonic) -> Option<&'static Forms> {
    use Mnemonic as M;
    Some(match (shift, operation) {
        (M::Shl, M::Add) => forms::<Add, Shl>(),
        (M::Shl, M::Sub) => forms::<Sub, Shl>(),
        (M::Shl, M::And) => forms::<And, Shl>(),
        (M::Shl, M::Or) => forms::<Or, Shl>(),
        (M::Shl, M::Xor) => forms::<Xor, Shl>(),
        (M::Shr, M::Add) => forms::<Add, Shr>(),
        (M::Shr, M::Sub) => forms::<Sub, Shr>(),
        (M::Shr, M::And) => forms::<And, Shr>(),
        (M::Shr, M::Or) => forms::<Or, Shr>(),
        (M::Shr, M::Xor) => forms::<Xor, Shr>(),
        _ => return None,
    })
}

fn mixed_products(shift: Mnemonic, operation: Mnemonic) -> Option<&'static [Wide; 3]> {
    match (shift, operation) {
        (Mnemonic::Shl, Mnemonic::Xor) => {
            Some(const { &by_place!(P => wide!(W => mixed_product::<Shl, W, P>)) })
        }
        (Mnemonic::Shr, Mnemonic::Xor) => {
            Some(const { &by_place!(P => wide!(W => mixed_product::<Shr, W, P>)) })
        }
        _ => None,
    }
}

/// The other register that `target` is multiplied by behind the operation, if the flags of that are dead.
fn multiplied(emit: &mut Emit, ahead: Ahead, target: Register) -> Option<u8> {
    let product = ahead.get(3)?;
    let multiplies = product.mnemonic() == Mnemonic::Imul
        && product.op_count() == 2
        && product.op0_register() == target
        && product.op1_kind() == OpKind::Register
        && product.op1_register() != target;
    if !multiplies || !ahead.flags_are_dead_behind(3) {
        return None;
    }
    Some(emit.about(product, |emit| emit.register(1)))
}

/// Emits the move at hand, the shift and the operation behind it, if they are such a group.
pub(super) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let (shift, operation) = (ahead.get(1)?, ahead.get(2)?);
    let forms = find(shift.mnemonic(), operation.mnemonic())?;
    let target = emit.instruction.op0_register();
    let (a, b, width) = super::copy::copied(emit)?;
    let on_target = |instruction: &Instruction| {
        instruction.op0_kind() == OpKind::Register && instruction.op0_register() == target
    };
    if !on_target(shift) || !on_target(operation) {
        return None;
    }
    let count = emit.about(shift, |emit| constant_count(emit, width));
    let (register, immediate) = emit.about(operation, |emit| {
        let register = emit.is_register(1).then(|| emit.register(1));
        (register, emit.is_immediate(1).then(|| emit.immediate(1) as i32))
    });
    let count = count.filter(|&count| count != 0)? as u8;
    let place = emit.carried.place(b, width);
    let carried = Carried::result(a, width);
    if let Some(immediate) = immediate {
        emit.op(forms.immediate[place][width - 2], a, b, 0, count, immediate);
        emit.carried = carried;
    } else if register == Some(b)
        && a != b
        && let Some(factor) = multiplied(emit, ahead, target)
        && let Some(handlers) = mixed_products(shift.mnemonic(), operation.mnemonic())
    {
        emit.op(handlers[place][width - 2], a, b, factor, count, 0);
        emit.carried = carried;
        emit.writes_flags(kind(Class::Given, width));
        ahead.go_on(emit, 3);
        return Some(());
    } else {
        // The operation on the copy and itself would read what was shifted.
        let c = register.filter(|&c| c != a)?;
        emit.op(forms.register[usize::from(c == b)][place][width - 2], a, b, c, count, 0);
        emit.carried = carried.and_source(c, width);
    }
    emit.writes_flags((forms.kind)(width));
    ahead.go_on(emit, 2);
    Some(())
}
