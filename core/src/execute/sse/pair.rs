//! Two vector instructions as one op, where the second works on what the first has just made: the
//! load of a number and its copy to all elements, which is how compilers broadcast, and a
//! multiplication and the addition or subtraction of its product.
//!
//! Invariant: only the first of the two can fault, in its memory access. Where floating-point
//! exceptions are not all masked there are no pairs.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::Cpu;
use super::super::address::{Address, operand};
use super::super::dispatch::{Flow, next};
use super::super::emit::{ByForm, Emit, Vectors, by_form};
use super::super::op::{Handler, Op};
use super::Operation;
use super::arithmetic::{
    Addpd, Addps, Addsd, Addss, Mulpd, Mulps, Mulsd, Mulss, Subpd, Subps, Subsd, Subss,
};
use super::handler::{check_alignment, checks_alignment, load};
use super::vector::{Broadcast32, Broadcast64, Lanes, Load, Vector};

/// Finishes a product: `ADDED` to the other register, or the other register is added to it. Both
/// registers are in operand `a`, four bits each.
#[inline(always)]
fn finish<S: Operation, const ADDED: bool>(cpu: &mut Cpu, registers: u8, product: Vector) {
    let (first, other) = (registers & 15, registers >> 4);
    let (target, left, right) = match ADDED {
        true => (other, cpu.vector(other), product),
        false => (first, product, cpu.vector(other)),
    };
    let sum = S::apply(&mut cpu.state.fpu.mxcsr, left, right, 0);
    if ADDED {
        cpu.set_vector(first, product);
    }
    cpu.set_vector(target, sum);
}

/// A product of two registers, and a sum with it.
unsafe extern "C" fn product<M: Operation, S: Operation, const ADDED: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (cpu.vector(a & 15), cpu.vector(b));
    let product = M::apply(&mut cpu.state.fpu.mxcsr, left, right, 0);
    finish::<S, ADDED>(cpu, a, product);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// A product of a register and memory, and a sum with it.
unsafe extern "C" fn product_memory<M: Operation, S: Operation, A: Address, const ADDED: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    check_alignment!(M::Source, false, A, cpu, op, res, src, budget);
    let pointer = operand!(read <M::Source as Load>::Memory, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, right) = unsafe { ((*op).a, M::Source::load(pointer, 0_u128.vector())) };
    let left = cpu.vector(a & 15);
    let product = M::apply(&mut cpu.state.fpu.mxcsr, left, right, 0);
    finish::<S, ADDED>(cpu, a, product);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// The handlers of a multiplication and what follows it: with a register and with memory, without
/// and with `ADDED`.
struct Forms {
    aligned: bool,
    register: [Handler; 2],
    memory: [ByForm; 2],
}

const fn forms<M: Operation, S: Operation>() -> Forms {
    Forms {
        aligned: M::Source::ALIGNED,
        register: [product::<M, S, false>, product::<M, S, true>],
        memory: [
            by_form!(A => product_memory::<M, S, A, false>),
            by_form!(A => product_memory::<M, S, A, true>),
        ],
    }
}

/// Emits the vector instruction at hand and `second` as one op, if they are a pair.
pub(in crate::execute) fn emit_pair(emit: &mut Emit, second: &Instruction) -> Option<()> {
    let first = &emit.instruction;
    let target = first.op0_register();
    if emit.mode.sse != Vectors::Enabled || !target.is_xmm() {
        return None;
    }
    match first.mnemonic() {
        Mnemonic::Movsd | Mnemonic::Movss | Mnemonic::Movq | Mnemonic::Movd => {
            broadcast(emit, second)?;
        }
        _ if emit.mode.simd_masked => sum_of_product(emit, second)?,
        _ => return None,
    }
    emit.instruction = *second;
    Some(())
}

fn broadcast(emit: &mut Emit, second: &Instruction) -> Option<()> {
    use Mnemonic as M;
    let target = emit.instruction.op0_register();
    let doubled = second.op0_register() == target && second.op1_register() == target;
    let immediate = second.op_count() == 3 && second.immediate8() != 0;
    if !emit.is_memory(1) || !doubled || immediate {
        return None;
    }
    let handlers: &ByForm = match (emit.instruction.mnemonic(), second.mnemonic()) {
        (M::Movsd | M::Movq, M::Unpcklpd | M::Punpcklqdq | M::Movlhps | M::Shufpd) => {
            const { &by_form!(A => load::<Broadcast64, A>) }
        }
        (M::Movss | M::Movd, M::Shufps | M::Pshufd) => {
            const { &by_form!(A => load::<Broadcast32, A>) }
        }
        _ => return None,
    };
    emit.memory_op(handlers, emit.register(0), None);
    Some(())
}

fn sum_of_product(emit: &mut Emit, second: &Instruction) -> Option<()> {
    use Mnemonic as M;
    let forms: &Forms = match (emit.instruction.mnemonic(), second.mnemonic()) {
        (M::Mulps, M::Addps) => const { &forms::<Mulps, Addps>() },
        (M::Mulpd, M::Addpd) => const { &forms::<Mulpd, Addpd>() },
        (M::Mulss, M::Addss) => const { &forms::<Mulss, Addss>() },
        (M::Mulsd, M::Addsd) => const { &forms::<Mulsd, Addsd>() },
        (M::Mulps, M::Subps) => const { &forms::<Mulps, Subps>() },
        (M::Mulpd, M::Subpd) => const { &forms::<Mulpd, Subpd>() },
        (M::Mulss, M::Subss) => const { &forms::<Mulss, Subss>() },
        (M::Mulsd, M::Subsd) => const { &forms::<Mulsd, Subsd>() },
        _ => return None,
    };
    let target = emit.instruction.op0_register();
    let (left, right) = (second.op0_register(), second.op1_register());
    if second.op1_kind() != OpKind::Register || (left == target) == (right == target) {
        return None;
    }
    let added = usize::from(right == target);
    let other = if right == target { left } else { right };
    let registers = target.number() as u8 | (other.number() as u8) << 4;
    if !emit.is_memory(1) {
        emit.op(forms.register[added], registers, emit.register(1), 0, 0, 0);
    } else if forms.aligned && !checks_alignment(emit) {
        return None;
    } else {
        emit.memory_op(&forms.memory[added], registers, None);
    }
    Some(())
}
