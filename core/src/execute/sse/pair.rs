//! Two vector instructions as one op, where the second works on what the first has just made: the
//! load of a number and its copy to all elements, which is how compilers broadcast; the load of a vector
//! that need not be aligned, which other instructions cannot have in memory, and an operation on it;
//! and a multiplication and the addition or subtraction of its product. Two of the second kind, where one
//! vector is the other's neighbour, are in `neighbours`; copies of registers are in `copied`.
//!
//! Invariant: only the first of the two can fault, in its memory access. Where floating-point
//! exceptions are not all masked there are no pairs.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::Cpu;
use super::super::address::{Address, operand};
use super::super::dispatch::{Flow, next};
use super::super::emit::{ByForm, Emit, Vectors, by_form};
use super::super::fused::Ahead;
use super::super::op::{Handler, Op};
use super::Operation;
use super::arithmetic::{
    Addpd, Addps, Addsd, Addss, Mulpd, Mulps, Mulsd, Mulss, Subpd, Subps, Subsd, Subss,
};
use super::copied;
use super::handler::{check_alignment, checks_alignment, load};
use super::integer::{
    And, Or, Paddb, Paddd, Paddq, Paddw, Pcmpeqb, Pcmpeqd, Pminub, Psubb, Psubd, Psubq, Xor,
};
use super::neighbours::{Near, are_neighbours, emit_in_front, on_loads};
use super::vector::{Broadcast32, Broadcast64, Lanes, Load, Unaligned, Vector};

/// Finishes a pair: what was `made` is `ADDED` to the other register, or the other register to it,
/// whatever the operation is. Both registers are in operand `a`, four bits each.
#[inline(always)]
pub(super) fn finish<S: Operation, const ADDED: bool>(cpu: &mut Cpu, registers: u8, made: Vector) {
    let (first, other) = (registers & 15, registers >> 4);
    let (target, left, right) = match ADDED {
        true => (other, cpu.vector(other), made),
        false => (first, made, cpu.vector(other)),
    };
    let sum = S::apply(&mut cpu.state.fpu.mxcsr, left, right, 0);
    if ADDED {
        cpu.set_vector(first, made);
    }
    cpu.set_vector(target, sum);
}

/// A vector from memory, and an operation on it.
unsafe extern "C" fn loaded<O: Operation, A: Address, const ADDED: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read <Unaligned as Load>::Memory, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, Unaligned::load(pointer, 0_u128.vector())) };
    finish::<O, ADDED>(cpu, a, value);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
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

/// Emits the vector instruction at hand and the next one as one op, if they are a pair.
pub(in crate::execute) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let (first, second) = (&emit.instruction, ahead.get(1)?);
    if emit.mode.sse != Vectors::Enabled || !first.op0_register().is_xmm() {
        return None;
    }
    match first.mnemonic() {
        Mnemonic::Movsd | Mnemonic::Movss | Mnemonic::Movq | Mnemonic::Movd => {
            broadcast(emit, second)?;
        }
        Mnemonic::Movdqu | Mnemonic::Movups | Mnemonic::Movupd => {
            return operations_on_loads(emit, ahead)
                .or_else(|| operation_on_load(emit, second))
                .or_else(|| copied::emit(emit, ahead));
        }
        Mnemonic::Movdqa | Mnemonic::Movaps | Mnemonic::Movapd => {
            return copied::emit(emit, ahead);
        }
        _ if emit.mode.simd_masked => sum_of_product(emit, second)?,
        _ => return None,
    }
    emit.go_on(second);
    Some(())
}

/// The two registers as operand `a`, if `second` has the one that the instruction at hand writes as one
/// of its operands, and another; whether that is the right one.
fn registers(emit: &Emit, second: &Instruction) -> Option<(u8, usize)> {
    let target = emit.instruction.op0_register();
    let (left, right) = (second.op0_register(), second.op1_register());
    if second.op1_kind() != OpKind::Register || (left == target) == (right == target) {
        return None;
    }
    let added = usize::from(right == target);
    let other = if right == target { left } else { right };
    Some((target.number() as u8 | (other.number() as u8) << 4, added))
}

/// The handlers of an operation on what was loaded: without and with `ADDED`, and with that on two
/// neighbours.
struct OnLoad {
    one: [ByForm; 2],
    two: Near,
}

const fn on_load<O: Operation>() -> &'static OnLoad {
    const { assert!(O::NEEDS.is_empty(), "there is one handler for all hosts") };
    &const {
        OnLoad {
            one: [by_form!(A => loaded::<O, A, false>), by_form!(A => loaded::<O, A, true>)],
            two: on_loads::<O>(),
        }
    }
}

/// The handlers for `second`, if it works on what the load at hand loads.
fn handlers_on_load(emit: &Emit, second: &Instruction) -> Option<&'static OnLoad> {
    use Mnemonic as M;
    let floats = emit.mode.simd_masked;
    // MMX registers have some of these mnemonics, too.
    if !emit.is_memory(1) || !second.op0_register().is_xmm() {
        return None;
    }
    Some(match second.mnemonic() {
        M::Paddb => on_load::<Paddb>(),
        M::Paddw => on_load::<Paddw>(),
        M::Paddd => on_load::<Paddd>(),
        M::Paddq => on_load::<Paddq>(),
        M::Psubb => on_load::<Psubb>(),
        M::Psubd => on_load::<Psubd>(),
        M::Psubq => on_load::<Psubq>(),
        M::Pcmpeqb => on_load::<Pcmpeqb>(),
        M::Pcmpeqd => on_load::<Pcmpeqd>(),
        M::Pminub => on_load::<Pminub>(),
        M::Pand | M::Andps | M::Andpd => on_load::<And>(),
        M::Por | M::Orps | M::Orpd => on_load::<Or>(),
        M::Pxor | M::Xorps | M::Xorpd => on_load::<Xor>(),
        M::Addps if floats => on_load::<Addps>(),
        M::Addpd if floats => on_load::<Addpd>(),
        M::Mulps if floats => on_load::<Mulps>(),
        M::Mulpd if floats => on_load::<Mulpd>(),
        _ => return None,
    })
}

fn operation_on_load(emit: &mut Emit, second: &Instruction) -> Option<()> {
    let handlers = handlers_on_load(emit, second)?;
    let (registers, added) = registers(emit, second)?;
    emit.memory_op(&handlers.one[added], registers, None);
    emit.go_on(second);
    Some(())
}

/// Emits a load and an operation twice, if the second vector is the first one's neighbour.
fn operations_on_loads(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let (first, operation) = (emit.instruction, ahead.get(1)?);
    let (load, other_operation) = (ahead.get(2)?, ahead.get(3)?);
    let handlers = handlers_on_load(emit, operation)?;
    let is_added =
        |emit: &Emit, operation| registers(emit, operation).is_some_and(|(_, added)| added == 1);
    if load.code() != first.code()
        || other_operation.code() != operation.code()
        || !are_neighbours(&first, load)
        || !is_added(emit, operation)
    {
        return None;
    }
    if !emit.about(load, |emit| is_added(emit, other_operation)) {
        return None;
    }
    emit_in_front(emit, &handlers.two)?;
    operation_on_load(emit, operation)?;
    emit.go_on(load);
    operation_on_load(emit, other_operation)
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
    let (registers, added) = registers(emit, second)?;
    if !emit.is_memory(1) {
        emit.op(forms.register[added], registers, emit.register(1), 0, 0, 0);
    } else if forms.aligned && !checks_alignment(emit) {
        return None;
    } else {
        emit.memory_op(&forms.memory[added], registers, None);
    }
    Some(())
}
