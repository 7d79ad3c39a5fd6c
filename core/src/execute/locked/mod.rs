//! Locked instructions: ADD, SUB, ADC, SBB, INC, DEC, NEG, AND, OR, XOR, NOT, BTS, BTR, BTC, XADD,
//! CMPXCHG, CMPXCHG8B and CMPXCHG16B with LOCK, and XCHG with memory. Their forms without are in their
//! groups' files.
//!
//! Each is two ops. The first has the operand from a TLB hit and executes the host's own instruction
//! (`host`), if one serves the operand without locking the bus; it skips the second. That is a call-out,
//! which does everything: faults, devices, pages with code, splits, and sections where a split needs one.
//!
//! Invariant: both leave the same flags of the same kind, and nothing is changed before the one access.

mod exchange;
mod host;

use iced_x86::Mnemonic;

pub(super) use self::exchange::{
    compare, compare_pair, compared_pair, exchange, exchange_add, pairs,
};

use self::host::Told;
use super::address::Address;
use super::arithmetic::unary::{Dec, Inc};
use super::arithmetic::{Adc, Add, Binary, Sbb, Sub, cut, kind};
use super::bit_byte::Bit;
use super::dispatch::{Flow, next};
use super::emit::{ByForm, ByWidth, Emit, Function, by_form_and_width, functions, pick};
use super::flags::{CF, Class, Kind};
use super::logical::{And, Or, Xor};
use super::op::{Detail, Op};
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::memory::lock::{is_direct, update_directly};
use crate::paging::Update;
use crate::state::Gpr;

/// NEG: the operand is both words' left one.
pub(super) struct Neg;

impl Binary for Neg {
    const CLASS: Class = Class::Sub;
    #[inline(always)]
    fn apply<W: Width>(left: u64, _right: u64, _src: u64) -> u64 {
        left.wrapping_neg()
    }
    #[inline(always)]
    fn source<W: Width>(left: u64, _right: u64, _res: u64) -> u64 {
        left
    }
}

/// Gives the host pointer of the op's memory operand if the host's own instruction serves it, or goes on
/// with the call-out.
macro_rules! direct {
    ($width:ty, $address:ty, $cpu:ident, $op:ident, $res:ident, $src:ident, $budget:ident) => {
        // SAFETY: the emitter pairs the handler with an op of this form.
        direct!(at unsafe { <$address>::linear::<$width, true>($cpu, $op, $res, $src) },
            $width, $address, $cpu, $op, $res, $src, $budget)
    };
    (at $linear:expr, $width:ty, $address:ty, $cpu:ident, $op:ident, $res:ident, $src:ident, $budget:ident) => {
        match $cpu.write_hit::<$width>($linear) {
            Some(pointer) if is_direct::<$width>(pointer) => pointer,
            _ => next!($cpu, $op.wrapping_add(<$address>::SLOTS), $res, $src, $budget),
        }
    };
}

/// Goes on behind the call-out.
macro_rules! done {
    ($address:ty, $cpu:ident, $op:ident, $res:expr, $src:expr, $budget:ident) => {
        next!($cpu, $op.wrapping_add(<$address>::SLOTS + Detail::SLOTS), $res, $src, $budget)
    };
}

use {direct, done};

/// Emits both ops. The kind of the flags is that behind the instruction.
fn emit_both(emit: &mut Emit, handlers: &ByForm, function: Function, flags: Option<Kind>) {
    let two = emit.instruction.op_count() > 1;
    let register = if two && emit.is_register(1) { emit.register(1) } else { Gpr::ZERO_OFFSET };
    emit.memory_op(handlers, register, None);
    emit.call_out(function);
    if let Some(flags) = flags {
        emit.writes_flags(flags);
    }
}

/// The detail of the call-out behind an op with so many slots.
///
/// # Safety
/// `op` was emitted by [`emit_both`].
#[inline(always)]
unsafe fn detail<'a>(op: *const Op, slots: usize) -> &'a Detail {
    // SAFETY: the call-out is behind the op's slots, and its detail behind its own.
    unsafe { &*op.add(slots + 1).cast::<Detail>() }
}

/// The right operand: a register or the immediate, one of which is zero.
#[inline(always)]
fn right<W: Width>(cpu: &Cpu, register: u8, detail: &Detail) -> u64 {
    cut::<W>(cpu.get::<W>(register).wrapping_add(detail.immediate))
}

/// The status flags that an operation leaves.
#[inline(always)]
fn status_after<O: Binary, W: Width>(left: u64, right: u64, status: u64) -> u64 {
    let res = cut::<W>(O::apply::<W>(left, right, status));
    Kind::of::<W>(O::CLASS).word(res, O::source::<W>(left, right, res))
}

/// ADD, SUB, ADC, SBB, INC, DEC, NEG, AND, OR and XOR. For ADC and SBB the flags are materialised.
pub(super) fn binary(emit: &mut Emit) -> Option<()> {
    match emit.instruction.mnemonic() {
        Mnemonic::Add => sum::<Add>(emit),
        Mnemonic::Sub => sum::<Sub>(emit),
        Mnemonic::Inc => sum::<Inc>(emit),
        Mnemonic::Dec => sum::<Dec>(emit),
        Mnemonic::Adc => told::<Adc>(emit),
        Mnemonic::Sbb => told::<Sbb>(emit),
        Mnemonic::Neg => told::<Neg>(emit),
        Mnemonic::And => told::<And>(emit),
        Mnemonic::Or => told::<Or>(emit),
        Mnemonic::Xor => told::<Xor>(emit),
        _ => return None,
    }
    Some(())
}

/// An operation that adds a number, whose flags follow from that and the sum.
fn sum<O: Binary>(emit: &mut Emit) {
    if keeps_carry::<O>() {
        emit.materialize();
    }
    let width = emit.width(0);
    let handlers: &[ByWidth; 3] = const { &by_form_and_width!(A, W => sum_m::<O, W, A>) };
    let function = functions!(sum_anywhere, O)[width];
    emit_both(emit, &pick(handlers, width), function, Some(kind(O::CLASS, width)));
}

/// INC and DEC leave CF, which is bit 0 of the source word.
const fn keeps_carry<O: Binary>() -> bool {
    matches!(O::CLASS, Class::Inc | Class::Dec)
}

/// The words behind it, which found `left`.
#[inline(always)]
fn words_after<O: Binary, W: Width>(left: u64, right: u64, src: u64) -> (u64, u64) {
    let res = cut::<W>(O::apply::<W>(left, right, src));
    (res, if keeps_carry::<O>() { src } else { right })
}

unsafe extern "C" fn sum_m<O: Binary, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = direct!(W, A, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op, and `emit_both` has emitted it.
    let right = unsafe { right::<W>(cpu, (*op).a, detail(op, A::SLOTS)) };
    let addend = W::truncate(O::addend(right).unwrap_or_default());
    // SAFETY: the TLB has vouched for the pointer, which is direct.
    let left = unsafe { host::fetch_add::<W>(pointer, addend) }.extend();
    let (res, src) = words_after::<O, W>(left, right, src);
    done!(A, cpu, op, res, src, budget)
}

fn sum_anywhere<O: Binary, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = right::<W>(cpu, detail.registers[1], detail);
    let addend = W::truncate(O::addend(right).unwrap_or_default());
    let left = cpu.update(detail, true, Update::Add(addend))?;
    let (res, src) = words_after::<O, W>(left, right, cpu.frame.src);
    (cpu.frame.res, cpu.frame.src) = (res, src);
    Ok(())
}

/// An operation whose flags the host tells.
fn told<O: Told>(emit: &mut Emit) {
    let width = emit.width(0);
    let handlers: &[ByWidth; 3] = const { &by_form_and_width!(A, W => told_m::<O, W, A>) };
    let function = functions!(told_anywhere, O)[width];
    emit_both(emit, &pick(handlers, width), function, Some(Kind::KNOWN));
}

unsafe extern "C" fn told_m<O: Told, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = direct!(W, A, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op, and `emit_both` has emitted it.
    let right = unsafe { right::<W>(cpu, (*op).a, detail(op, A::SLOTS)) };
    // SAFETY: the TLB has vouched for the pointer, which is direct.
    let status = unsafe { O::execute::<W>(pointer, right, src) };
    done!(A, cpu, op, res, status, budget)
}

fn told_anywhere<O: Binary, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = right::<W>(cpu, detail.registers[1], detail);
    let carry = cpu.frame.src & CF;
    let left = cpu.modify::<W>(detail, |left| O::apply::<W>(left, right, carry))?;
    cpu.set_status(status_after::<O, W>(left, right, carry));
    Ok(())
}

/// NOT, which touches no flag.
pub(super) fn not(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    let handlers: &[ByWidth; 3] = const { &by_form_and_width!(A, W => not_m::<W, A>) };
    emit_both(emit, &pick(handlers, width), functions!(not_anywhere)[width], None);
    Some(())
}

unsafe extern "C" fn not_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = direct!(W, A, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer, which is direct.
    unsafe { Xor::execute::<W>(pointer, u64::MAX, src) };
    done!(A, cpu, op, res, src, budget)
}

fn not_anywhere<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.modify::<W>(detail, |value| !value).map(drop)
}

/// BTS, BTR and BTC. A bit number in a register is signed and reaches beyond the operand; the
/// call-out is `anywhere`.
pub(super) fn bit<B: Bit>(emit: &mut Emit, anywhere: Function) -> Option<()> {
    let width = emit.width(0);
    emit.materialize();
    let handlers: &[ByWidth; 3] = const { &by_form_and_width!(A, W => bit_m::<B, W, A>) };
    if emit.packed_address().form == FAR && !emit.is_immediate(1) {
        // The number goes into an address of its own width.
        emit.call_out(anywhere);
    } else {
        emit_both(emit, &pick(handlers, width), anywhere, Some(Kind::KNOWN));
    }
    Some(())
}

/// The [form](super::emit::Packed::form) of [`Far`](super::address::Far).
const FAR: usize = 2;

unsafe extern "C" fn bit_m<B: Bit, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op, and `emit_both` has emitted it.
    let (register, immediate) = unsafe { ((*op).a, detail(op, A::SLOTS).immediate) };
    // SAFETY: the emitter pairs the handler with an op of this form.
    let linear = unsafe { A::linear::<W, true>(cpu, op, res, src) };
    let offset = W::truncate(cpu.get::<W>(register)).sign_extend() as i64;
    let words = offset.div_euclid(i64::from(W::BITS));
    let number = (offset as u64).wrapping_add(immediate) % u64::from(W::BITS);
    let linear = linear.wrapping_add_signed(words.wrapping_mul(W::BYTES as i64));
    let pointer = direct!(at linear, W, A, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer, which is direct.
    let old = unsafe {
        update_directly::<W>(pointer, |old| W::truncate(B::apply(old.extend(), 1 << number)))
    };
    done!(A, cpu, op, res, src & !CF | old.extend() >> number & 1, budget)
}
