//! The copy of a register and an operation on it by one op. The instructions have two operands, so code
//! that goes on using its left one copies that first; with VEX, which has three, no pair is needed.
//!
//! Invariant: neither of the two can fault. Where floating-point exceptions are not all masked there are
//! no pairs of operations that raise some.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::Cpu;
use super::super::dispatch::{Flow, next};
use super::super::emit::{Emit, Vectors};
use super::super::fused::Ahead;
use super::super::op::{Handler, Op};
use super::Operation;
use super::arithmetic::{
    Addpd, Addps, Addsd, Addss, Divsd, Divss, Mulpd, Mulps, Mulsd, Mulss, Subpd, Subps, Subsd,
    Subss,
};
use super::integer::{
    And, AndNot, Or, Paddb, Paddd, Paddq, Paddw, Pcmpeqb, Pcmpeqd, Pcmpeqw, Pcmpgtb, Pcmpgtd,
    Pmaxub, Pminub, Pmuludq, Psubb, Psubd, Psubq, Psubw, Xor,
};
use super::pack::{
    Punpckhbw, Punpckhdq, Punpckhqdq, Punpckhwd, Punpcklbw, Punpckldq, Punpcklqdq, Punpcklwd,
};
use super::shift::{
    ByImmediate, Pslld, Pslldq, Psllq, Psllw, Psrad, Psraw, Psrld, Psrldq, Psrlq, Psrlw,
};

/// Register `a` becomes what the operation makes of registers `b` and `c`.
unsafe extern "C" fn copied<O: Operation>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    const { assert!(O::NEEDS.is_empty(), "there is one handler for all hosts") };
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, imm, .. } = unsafe { *op };
    let (left, right) = (cpu.vector(b), cpu.vector(c));
    let result = O::apply(&mut cpu.state.fpu.mxcsr, left, right, imm as u8);
    cpu.set_vector(a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Emits the copy at hand and the operation on it, if that is what follows.
pub(super) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let (copy, second) = (emit.instruction, ahead.get(1)?);
    let target = copy.op0_register();
    if copy.op1_kind() != OpKind::Register
        || !target.is_xmm()
        || second.op0_register() != target
        || second.op_count() != 2
        || emit.mode.sse != Vectors::Enabled
    {
        return None;
    }
    let (handler, right, immediate) = match second.op1_kind() {
        OpKind::Register if second.op1_register() == target => {
            (of_registers(emit, second)?, copy.op1_register(), 0)
        }
        OpKind::Register => (of_registers(emit, second)?, second.op1_register(), 0),
        OpKind::Immediate8 => (by_immediate(second)?, target, second.immediate8()),
        _ => return None,
    };
    let (a, b) = (emit.register(0), emit.register(1));
    emit.op(handler, a, b, right.number() as u8, 0, immediate.into());
    emit.go_on(second);
    Some(())
}

fn of_registers(emit: &Emit, operation: &Instruction) -> Option<Handler> {
    use Mnemonic as M;
    let floats = emit.mode.simd_masked;
    Some(match operation.mnemonic() {
        M::Paddb => copied::<Paddb>,
        M::Paddw => copied::<Paddw>,
        M::Paddd => copied::<Paddd>,
        M::Paddq => copied::<Paddq>,
        M::Psubb => copied::<Psubb>,
        M::Psubw => copied::<Psubw>,
        M::Psubd => copied::<Psubd>,
        M::Psubq => copied::<Psubq>,
        M::Pmuludq => copied::<Pmuludq>,
        M::Pminub => copied::<Pminub>,
        M::Pmaxub => copied::<Pmaxub>,
        M::Pcmpeqb => copied::<Pcmpeqb>,
        M::Pcmpeqw => copied::<Pcmpeqw>,
        M::Pcmpeqd => copied::<Pcmpeqd>,
        M::Pcmpgtb => copied::<Pcmpgtb>,
        M::Pcmpgtd => copied::<Pcmpgtd>,
        M::Pand | M::Andps | M::Andpd => copied::<And>,
        M::Pandn | M::Andnps | M::Andnpd => copied::<AndNot>,
        M::Por | M::Orps | M::Orpd => copied::<Or>,
        M::Pxor | M::Xorps | M::Xorpd => copied::<Xor>,
        M::Punpcklbw => copied::<Punpcklbw>,
        M::Punpcklwd => copied::<Punpcklwd>,
        M::Punpckldq | M::Unpcklps => copied::<Punpckldq>,
        M::Punpcklqdq | M::Unpcklpd => copied::<Punpcklqdq>,
        M::Punpckhbw => copied::<Punpckhbw>,
        M::Punpckhwd => copied::<Punpckhwd>,
        M::Punpckhdq | M::Unpckhps => copied::<Punpckhdq>,
        M::Punpckhqdq | M::Unpckhpd => copied::<Punpckhqdq>,
        M::Addps if floats => copied::<Addps>,
        M::Addpd if floats => copied::<Addpd>,
        M::Addss if floats => copied::<Addss>,
        M::Addsd if floats => copied::<Addsd>,
        M::Subps if floats => copied::<Subps>,
        M::Subpd if floats => copied::<Subpd>,
        M::Subss if floats => copied::<Subss>,
        M::Subsd if floats => copied::<Subsd>,
        M::Mulps if floats => copied::<Mulps>,
        M::Mulpd if floats => copied::<Mulpd>,
        M::Mulss if floats => copied::<Mulss>,
        M::Mulsd if floats => copied::<Mulsd>,
        M::Divss if floats => copied::<Divss>,
        M::Divsd if floats => copied::<Divsd>,
        _ => return None,
    })
}

fn by_immediate(operation: &Instruction) -> Option<Handler> {
    use Mnemonic as M;
    Some(match operation.mnemonic() {
        M::Psllw => copied::<ByImmediate<Psllw>>,
        M::Pslld => copied::<ByImmediate<Pslld>>,
        M::Psllq => copied::<ByImmediate<Psllq>>,
        M::Psrlw => copied::<ByImmediate<Psrlw>>,
        M::Psrld => copied::<ByImmediate<Psrld>>,
        M::Psrlq => copied::<ByImmediate<Psrlq>>,
        M::Psraw => copied::<ByImmediate<Psraw>>,
        M::Psrad => copied::<ByImmediate<Psrad>>,
        M::Pslldq => copied::<Pslldq>,
        M::Psrldq => copied::<Psrldq>,
        _ => return None,
    })
}
