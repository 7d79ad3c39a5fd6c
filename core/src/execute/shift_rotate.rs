//! Shifts and rotates: SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD.
//!
//! A count that is constant and not zero gives flags of a static kind. A count in CL may be zero,
//! which leaves the flags as they were: unless they are dead, they are materialised first.

use iced_x86::Mnemonic;

use super::arithmetic::{cut, kind};
use super::dispatch::{Flow, next};
use super::emit::{ByWidth, Emit, Function, by_width, functions};
use super::flags::{CF, Class, Kind, OF, STATUS};
use super::forward::{Carried, Place, by_place};
use super::op::{Detail, Op};
use super::table::Row;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::state::{Gpr, Register};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Shl, |e| shift::<Shl>(e)),
    (Mnemonic::Sal, |e| shift::<Shl>(e)),
    (Mnemonic::Shr, |e| shift::<Shr>(e)),
    (Mnemonic::Sar, |e| shift::<Sar>(e)),
    (Mnemonic::Rol, |e| rotate::<Rol>(e)),
    (Mnemonic::Ror, |e| rotate::<Ror>(e)),
    (Mnemonic::Rcl, |e| through_carry(e, functions!(rotate_through_carry, Rcl))),
    (Mnemonic::Rcr, |e| through_carry(e, functions!(rotate_through_carry, Rcr))),
    (Mnemonic::Shld, |e| through_carry(e, functions!(double_shift, Shl))),
    (Mnemonic::Shrd, |e| through_carry(e, functions!(double_shift, Shr))),
];

/// CL.
const CL: u8 = Register::Rcx as u8 * 8;

/// A shift or rotate by a count that is not zero and within the operand's mask.
pub(super) trait Shift: 'static {
    /// The result, and CF and OF in the form of [`Class::Given`].
    fn apply<W: Width>(value: u64, count: u32) -> (u64, u64);

    /// The result alone.
    #[inline(always)]
    fn result<W: Width>(value: u64, count: u32) -> u64 {
        Self::apply::<W>(value, count).0
    }
}

pub(super) struct Shl;
pub(super) struct Shr;
pub(super) struct Sar;
struct Rol;
pub(super) struct Ror;
struct Rcl;
struct Rcr;

/// The top bit of the width.
#[inline(always)]
fn top<W: Width>(value: u64) -> u64 {
    value >> (W::BITS - 1) & 1
}

impl Shift for Shl {
    #[inline(always)]
    fn apply<W: Width>(value: u64, count: u32) -> (u64, u64) {
        // The last bit shifted out; for 8 and 16 bits the count may exceed the width.
        let wide = if W::BITS < 64 { value << count >> W::BITS } else { value >> (64 - count) };
        let res = cut::<W>(value << count);
        let carry = wide & 1;
        (res, carry | (carry ^ top::<W>(res)) << 1)
    }
}

impl Shift for Shr {
    #[inline(always)]
    fn apply<W: Width>(value: u64, count: u32) -> (u64, u64) {
        let before = value >> (count - 1);
        let res = before >> 1;
        // OF is defined for a count of one, as the operand's sign; processors give the sign of the
        // operand one step before.
        (res, before & 1 | (top::<W>(res) ^ top::<W>(res << 1)) << 1)
    }

    #[inline(always)]
    fn result<W: Width>(value: u64, count: u32) -> u64 {
        value >> count
    }
}

impl Shift for Sar {
    #[inline(always)]
    fn apply<W: Width>(value: u64, count: u32) -> (u64, u64) {
        let signed = W::truncate(value).sign_extend() as i64;
        let before = signed >> (count - 1);
        (cut::<W>((before >> 1) as u64), before as u64 & 1)
    }

    #[inline(always)]
    fn result<W: Width>(value: u64, count: u32) -> u64 {
        cut::<W>((W::truncate(value).sign_extend() as i64 >> count) as u64)
    }
}

impl Shift for Rol {
    #[inline(always)]
    fn apply<W: Width>(value: u64, count: u32) -> (u64, u64) {
        let count = count % W::BITS;
        let res = cut::<W>(value << count | value.checked_shr(W::BITS - count).unwrap_or(0));
        let carry = res & 1;
        (res, carry | (carry ^ top::<W>(res)) << 1)
    }
}

impl Shift for Ror {
    #[inline(always)]
    fn apply<W: Width>(value: u64, count: u32) -> (u64, u64) {
        let count = count % W::BITS;
        let res = cut::<W>(value >> count | value.checked_shl(W::BITS - count).unwrap_or(0));
        let carry = top::<W>(res);
        (res, carry | (carry ^ top::<W>(res << 1)) << 1)
    }
}

/// A count as the processor masks it.
#[inline(always)]
fn masked<W: Width>(count: u64) -> u32 {
    count as u32 & if W::BITS == 64 { 63 } else { 31 }
}

unsafe extern "C" fn shift_ri<S: Shift, W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    // The emitter has masked the count, and it is not zero.
    let (res, src) = S::apply::<W>(P::get::<W>(cpu, a, res, src), imm as u32);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// By a constant, where the flags are dead.
unsafe extern "C" fn shift_quiet<S: Shift, W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    // The emitter has masked the count, and it is not zero.
    let res = S::result::<W>(P::get::<W>(cpu, a, res, src), imm as u32);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// By zero, or by CL where the flags are dead: the flags stay.
unsafe extern "C" fn shift_silent<S: Shift, W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let count = masked::<W>(cpu.get::<u8>(b) + imm as u64);
    let value = P::get::<W>(cpu, a, res, src);
    let result = if count == 0 { value } else { S::result::<W>(value, count) };
    cpu.set::<W>(a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// The count of a call-out's instruction: its last operand.
fn count_operand<W: Width>(cpu: &Cpu, detail: &Detail, position: usize) -> u32 {
    match detail.registers[position] {
        Gpr::ZERO_OFFSET => masked::<W>(detail.immediate),
        _ => masked::<W>(cpu.get::<u8>(CL)),
    }
}

fn shift_operand<S: Shift, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let count = count_operand::<W>(cpu, detail, 1);
    let shifted = |value| if count == 0 { (value, 0) } else { S::apply::<W>(value, count) };
    let old = cpu.modify::<W>(detail, |value| shifted(value).0)?;
    if count != 0 {
        let (res, src) = shifted(old);
        cpu.set_status(Kind::of::<W>(Class::Given).word(res, src));
    }
    Ok(())
}

fn rotate_operand<S: Shift, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let count = count_operand::<W>(cpu, detail, 1);
    let rotated = |value| if count == 0 { (value, 0) } else { S::apply::<W>(value, count) };
    let old = cpu.modify::<W>(detail, |value| rotated(value).0)?;
    if count != 0 {
        set_carry_and_overflow(cpu, rotated(old).1);
    }
    Ok(())
}

/// Changes only CF and OF, given as in [`Class::Given`].
fn set_carry_and_overflow(cpu: &mut Cpu, given: u64) {
    let others = cpu.status() & STATUS & !(CF | OF);
    cpu.set_status(others | given & 1 | (given >> 1 & 1) << 11);
}

/// The count as the processor masks it, if it is an immediate; D0 and D1 shift by one.
pub(super) fn constant_count(emit: &Emit, width: usize) -> Option<u64> {
    let mask = if width == 3 { 63 } else { 31 };
    emit.is_immediate(1).then(|| emit.immediate(1) & mask)
}

fn shift<S: Shift>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(0) {
        emit.call_out_with_flags(functions!(shift_operand, S)[width]);
        return Some(());
    }
    match constant_count(emit, width) {
        // Even a shift by zero clears the upper half of a 32-bit register.
        Some(count) if count != 0 && emit.flags_dead => quiet::<S>(emit, width, count),
        Some(count) if count != 0 => {
            let handlers = const { &by_place!(P => by_width!(W => shift_ri::<S, W, P>)) };
            by_constant(emit, handlers, width, count);
            emit.writes_flags(kind(Class::Given, width));
        }
        None if !emit.flags_dead => {
            emit.call_out_with_flags(functions!(shift_operand, S)[width]);
        }
        count => silent::<S>(emit, width, count),
    }
    Some(())
}

fn quiet<S: Shift>(emit: &mut Emit, width: usize, count: u64) {
    let handlers = const { &by_place!(P => by_width!(W => shift_quiet::<S, W, P>)) };
    by_constant(emit, handlers, width, count);
}

/// Emits a shift of a register that leaves the result.
fn by_constant(emit: &mut Emit, handlers: &[ByWidth; 3], width: usize, count: u64) {
    let a = emit.register(0);
    let place = emit.carried.place(a, width);
    emit.op(handlers[place][width], a, 0, 0, 0, count as i32);
    emit.carried = Carried::result(a, width);
}

fn silent<S: Shift>(emit: &mut Emit, width: usize, count: Option<u64>) {
    let handlers = const { &by_place!(P => by_width!(W => shift_silent::<S, W, P>)) };
    let (register, immediate) = match count {
        Some(count) => (Gpr::ZERO_OFFSET, count),
        None => (CL, 0),
    };
    let a = emit.register(0);
    let place = emit.carried.place(a, width);
    emit.op_beside(handlers[place][width], a, register, 0, 0, immediate as i32);
}

fn rotate<S: Shift>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    let count = constant_count(emit, width);
    if emit.is_register(0) && emit.flags_dead {
        match count {
            Some(count) if count != 0 => quiet::<S>(emit, width, count),
            _ => silent::<S>(emit, width, count),
        }
    } else {
        emit.call_out_with_flags(functions!(rotate_operand, S)[width]);
    }
    Some(())
}

fn through_carry(emit: &mut Emit, functions: [Function; 4]) -> Option<()> {
    emit.call_out_with_flags(functions[emit.width(0)]);
    Some(())
}

/// RCL and RCR: a rotate of the operand with CF as one bit more.
trait ThroughCarry: 'static {
    /// `value` has one bit more than `W`; so has the result. The count is below that.
    fn turn<W: Width>(value: u128, count: u32) -> u128;
    /// OF (SDM, "RCL/RCR/ROL/ROR": defined for a count of one).
    fn overflow<W: Width>(res: u64, carry: u64) -> u64;
}

impl ThroughCarry for Rcl {
    fn turn<W: Width>(value: u128, count: u32) -> u128 {
        value << count | value >> (W::BITS + 1 - count)
    }
    fn overflow<W: Width>(res: u64, carry: u64) -> u64 {
        top::<W>(res) ^ carry
    }
}

impl ThroughCarry for Rcr {
    fn turn<W: Width>(value: u128, count: u32) -> u128 {
        value >> count | value << (W::BITS + 1 - count)
    }
    fn overflow<W: Width>(res: u64, _carry: u64) -> u64 {
        top::<W>(res) ^ top::<W>(res << 1)
    }
}

fn rotate_through_carry<R: ThroughCarry, W: Width>(
    cpu: &mut Cpu,
    detail: &Detail,
) -> Result<(), Leave> {
    let count = count_operand::<W>(cpu, detail, 1);
    let turns = count % (W::BITS + 1);
    let carry = cpu.status() & CF;
    let turned = |value: u64| {
        let value = u128::from(value) | u128::from(carry) << W::BITS;
        if turns == 0 { value } else { R::turn::<W>(value, turns) }
    };
    let old = cpu.modify::<W>(detail, |value| turned(value) as u64)?;
    if count != 0 {
        let full = turned(old);
        let carry = (full >> W::BITS) as u64 & 1;
        let overflow = R::overflow::<W>(cut::<W>(full as u64), carry);
        set_carry_and_overflow(cpu, carry | overflow << 1);
    }
    Ok(())
}

/// SHLD and SHRD. For 16 bits a count may be larger than the operand, which leaves the result undefined
/// (SDM, SHLD): processors have the filler follow itself.
trait DoubleShift: 'static {
    /// Result and last bit shifted out; the count is not zero.
    fn shift<W: Width>(value: u64, filler: u64, count: u32) -> (u64, u64);
    /// OF, which is defined for a count of one.
    fn overflow<W: Width>(res: u64, carry: u64, count: u32) -> u64;
}

impl DoubleShift for Shl {
    fn shift<W: Width>(value: u64, filler: u64, count: u32) -> (u64, u64) {
        let twice = u128::from(value) << W::BITS | u128::from(filler);
        if count > W::BITS {
            let wide = twice << W::BITS | u128::from(filler);
            return (cut::<W>((wide << count >> (2 * W::BITS)) as u64), 0);
        }
        let res = (twice << count >> W::BITS) as u64;
        (cut::<W>(res), value >> (W::BITS - count) & 1)
    }
    fn overflow<W: Width>(res: u64, carry: u64, count: u32) -> u64 {
        if count < W::BITS { top::<W>(res) ^ carry } else { carry }
    }
}

impl DoubleShift for Shr {
    fn shift<W: Width>(value: u64, filler: u64, count: u32) -> (u64, u64) {
        let twice = u128::from(filler) << W::BITS | u128::from(value);
        if count > W::BITS {
            let wide = u128::from(filler) << (2 * W::BITS) | twice;
            return (cut::<W>((wide >> count) as u64), 0);
        }
        (cut::<W>((twice >> count) as u64), (twice >> (count - 1)) as u64 & 1)
    }
    fn overflow<W: Width>(res: u64, _carry: u64, _count: u32) -> u64 {
        top::<W>(res) ^ top::<W>(res << 1)
    }
}

fn double_shift<S: DoubleShift, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let count = count_operand::<W>(cpu, detail, 2);
    let filler = cpu.get::<W>(detail.registers[1]);
    let shifted = |value| if count == 0 { (value, 0) } else { S::shift::<W>(value, filler, count) };
    let old = cpu.modify::<W>(detail, |value| shifted(value).0)?;
    if count != 0 {
        let (res, carry) = shifted(old);
        let overflow = S::overflow::<W>(res, carry, count);
        cpu.set_status(Kind::of::<W>(Class::Given).word(res, carry | overflow << 1));
    }
    Ok(())
}
