//! Binary arithmetic: ADD, ADC, SUB, SBB, CMP, INC, DEC, NEG, MUL, IMUL, DIV, IDIV, and the ops that
//! turn lazy flags into what an instruction needs of them.

use iced_x86::Mnemonic;

use super::address::{Address, operand};
use super::dispatch::{Flow, next};
use super::emit::{
    ByForm, ByWidth, Emit, Function, by_form_and_width, by_kind, by_width, functions,
};
use super::flags::{CF, Class, Kind};
use super::op::{Detail, Handler, Op};
use super::table::Row;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::state::{Exception, Register};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Add, |e| binary::<Add>(e)),
    (Mnemonic::Sub, |e| binary::<Sub>(e)),
    (Mnemonic::Cmp, |e| binary::<Cmp>(e)),
    (Mnemonic::Adc, |e| with_carry::<Adc>(e)),
    (Mnemonic::Sbb, |e| with_carry::<Sbb>(e)),
    (Mnemonic::Inc, |e| step::<Inc>(e)),
    (Mnemonic::Dec, |e| step::<Dec>(e)),
    (Mnemonic::Neg, neg),
    (Mnemonic::Mul, |e| one_operand(e, functions!(multiply))),
    (Mnemonic::Imul, imul),
    (Mnemonic::Div, |e| one_operand(e, functions!(divide))),
    (Mnemonic::Idiv, |e| one_operand(e, functions!(divide_signed))),
];

/// An operation on two operands. Operands and results are zero-extended.
pub(super) trait Binary: 'static {
    /// How its flags are read.
    const CLASS: Class;
    /// Whether the result goes anywhere but the flags.
    const WRITES: bool = true;
    /// The result; it may have bits beyond the width.
    fn apply<W: Width>(left: u64, right: u64, src: u64) -> u64;
    /// What goes into the source word.
    #[inline(always)]
    fn source<W: Width>(_left: u64, right: u64, _res: u64) -> u64 {
        right
    }
}

/// ADD.
pub(super) struct Add;
/// SUB.
pub(super) struct Sub;
/// CMP.
pub(super) struct Cmp;
/// ADC; CF is bit 0 of the source word.
pub(super) struct Adc;
/// SBB; CF is bit 0 of the source word.
pub(super) struct Sbb;
/// INC; bit 0 of the source word stays CF.
pub(super) struct Inc;
/// DEC; bit 0 of the source word stays CF.
pub(super) struct Dec;

impl Binary for Add {
    const CLASS: Class = Class::Add;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left.wrapping_add(right)
    }
}

impl Binary for Sub {
    const CLASS: Class = Class::Sub;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left.wrapping_sub(right)
    }
}

impl Binary for Cmp {
    const CLASS: Class = Class::Sub;
    const WRITES: bool = false;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left.wrapping_sub(right)
    }
}

impl Binary for Adc {
    const CLASS: Class = Class::Carries;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, src: u64) -> u64 {
        left.wrapping_add(right).wrapping_add(src & 1)
    }
    #[inline(always)]
    fn source<W: Width>(left: u64, right: u64, res: u64) -> u64 {
        left & right | (left | right) & !res
    }
}

impl Binary for Sbb {
    const CLASS: Class = Class::Carries;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, src: u64) -> u64 {
        left.wrapping_sub(right).wrapping_sub(src & 1)
    }
    #[inline(always)]
    fn source<W: Width>(left: u64, right: u64, res: u64) -> u64 {
        !left & right | !(left ^ right) & res
    }
}

impl Binary for Inc {
    const CLASS: Class = Class::Inc;
    #[inline(always)]
    fn apply<W: Width>(left: u64, _right: u64, _src: u64) -> u64 {
        left.wrapping_add(1)
    }
}

impl Binary for Dec {
    const CLASS: Class = Class::Dec;
    #[inline(always)]
    fn apply<W: Width>(left: u64, _right: u64, _src: u64) -> u64 {
        left.wrapping_sub(1)
    }
}

/// `value` cut to the width.
#[inline(always)]
pub(super) fn cut<W: Width>(value: u64) -> u64 {
    value & u64::MAX >> (64 - W::BITS)
}

unsafe extern "C" fn binary_rr<O: Binary, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (cpu.get::<W>(a), cpu.get::<W>(b));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    if O::WRITES {
        cpu.set::<W>(a, res);
    }
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

unsafe extern "C" fn binary_ri<O: Binary, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let (left, right) = (cpu.get::<W>(a), cut::<W>(imm as u64));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    if O::WRITES {
        cpu.set::<W>(a, res);
    }
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

unsafe extern "C" fn binary_rm<O: Binary, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, right) = unsafe { ((*op).a, W::load(pointer).extend()) };
    let left = cpu.get::<W>(a);
    let res = cut::<W>(O::apply::<W>(left, right, src));
    if O::WRITES {
        cpu.set::<W>(a, res);
    }
    next!(cpu, op.wrapping_add(A::SLOTS), res, O::source::<W>(left, right, res), budget)
}

unsafe extern "C" fn binary_mr<O: Binary, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let right = unsafe { cpu.get::<W>((*op).a) };
    let (res, src) = if O::WRITES {
        let pointer = operand!(MODIFY W, A, 0, cpu, op, res, src, budget);
        // SAFETY: the TLB has vouched for the pointer.
        unsafe { memory_binary::<O, W>(pointer, right, src) }
    } else {
        let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
        // SAFETY: the TLB has vouched for the pointer.
        let left = unsafe { W::load(pointer).extend() };
        let res = cut::<W>(O::apply::<W>(left, right, src));
        (res, O::source::<W>(left, right, res))
    };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn binary_mi<O: Binary, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slot behind the address holds the immediate.
    let right = unsafe { cut::<W>((*op.add(A::SLOTS)).payload()) };
    let (res, src) = if O::WRITES {
        let pointer = operand!(MODIFY W, A, 1, cpu, op, res, src, budget);
        // SAFETY: the TLB has vouched for the pointer.
        unsafe { memory_binary::<O, W>(pointer, right, src) }
    } else {
        let pointer = operand!(read W, A, 1, cpu, op, res, src, budget);
        // SAFETY: the TLB has vouched for the pointer.
        let left = unsafe { W::load(pointer).extend() };
        let res = cut::<W>(O::apply::<W>(left, right, src));
        (res, O::source::<W>(left, right, res))
    };
    next!(cpu, op.wrapping_add(A::SLOTS + 1), res, src, budget)
}

/// A read-modify-write that is not locked.
///
/// # Safety
/// As for [`Width::store`].
#[inline(always)]
unsafe fn memory_binary<O: Binary, W: Width>(pointer: *mut u8, right: u64, src: u64) -> (u64, u64) {
    // SAFETY: the caller vouches for the pointer.
    let left = unsafe { W::load(pointer).extend() };
    let res = cut::<W>(O::apply::<W>(left, right, src));
    // SAFETY: the caller vouches for the pointer.
    unsafe { W::store(pointer, W::truncate(res)) };
    (res, O::source::<W>(left, right, res))
}

/// INC and DEC leave the source word, whose bit 0 is CF, as it is.
unsafe extern "C" fn step_r<O: Binary, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    let res = cut::<W>(O::apply::<W>(cpu.get::<W>(a), 0, src));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn step_m<O: Binary, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(MODIFY W, A, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    let (res, _) = unsafe { memory_binary::<O, W>(pointer, 0, src) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn neg_r<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    let right = cpu.get::<W>(a);
    let res = cut::<W>(right.wrapping_neg());
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, right, budget)
}

unsafe extern "C" fn neg_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(MODIFY W, A, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    let right = unsafe { W::load(pointer).extend() };
    let res = cut::<W>(right.wrapping_neg());
    // SAFETY: as above.
    unsafe { W::store(pointer, W::truncate(res)) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, right, budget)
}

/// The result of a signed multiplication, and CF and OF in the form of [`Class::Given`].
#[inline(always)]
fn product<W: Width>(left: u64, right: u64) -> (u64, u64) {
    let sign = |value: u64| i128::from(W::truncate(value).sign_extend() as i64);
    let full = sign(left) * sign(right);
    let res = cut::<W>(full as u64);
    (res, if sign(res) == full { 0 } else { 3 })
}

unsafe extern "C" fn imul_rr<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (res, src) = product::<W>(cpu.get::<W>(a), cpu.get::<W>(b));
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn imul_rri<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let (res, src) = product::<W>(cpu.get::<W>(b), imm as u64);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn imul_rm<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, right) = unsafe { ((*op).a, W::load(pointer).extend()) };
    let (res, src) = product::<W>(cpu.get::<W>(a), right);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn materialize<const KIND: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    next!(cpu, op.wrapping_add(1), res, Kind(KIND).word(res, src), budget)
}

/// Turns flags of a kind that is known at run time only into known ones.
pub(super) unsafe extern "C" fn materialize_dynamic(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let src = cpu.kind.word(res, src);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn carry<const KIND: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    next!(cpu, op.wrapping_add(1), res, u64::from(Kind(KIND).carry(res, src)), budget)
}

/// Puts CF of a kind that is known at run time only into the source word.
pub(super) unsafe extern "C" fn carry_dynamic(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let src = u64::from(cpu.kind.carry(res, src));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Turn flags of each kind into known ones.
pub(super) static MATERIALIZE: [Handler; Kind::COUNT] = by_kind!(materialize);
/// Put CF of each kind into the source word.
pub(super) static CARRY: [Handler; Kind::COUNT] = by_kind!(carry);

/// The kind of an operation of `class` on operands of 2^`width` bytes.
pub(super) fn kind(class: Class, width: usize) -> Kind {
    Kind::new(class, width as u8)
}

/// Emits a binary operation in all its forms.
pub(super) fn binary<O: Binary>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_locked() {
        emit.call_out_with_flags(functions!(binary_locked, O)[width]);
        return Some(());
    }
    let immediate = emit.is_immediate(1).then(|| emit.immediate(1));
    match (emit.is_memory(0), emit.is_memory(1), immediate) {
        (true, _, Some(immediate)) => {
            let handlers: [ByWidth; 3] = by_form_and_width!(A, W => binary_mi::<O, W, A>);
            emit.memory_op(&pick(&handlers, width), 0, Some(immediate));
        }
        (true, ..) => {
            let handlers: [ByWidth; 3] = by_form_and_width!(A, W => binary_mr::<O, W, A>);
            emit.memory_op(&pick(&handlers, width), emit.register(1), None);
        }
        (_, true, _) => {
            let handlers: [ByWidth; 3] = by_form_and_width!(A, W => binary_rm::<O, W, A>);
            emit.memory_op(&pick(&handlers, width), emit.register(0), None);
        }
        (_, _, Some(immediate)) => {
            let handlers: ByWidth = by_width!(W => binary_ri::<O, W>);
            emit.op(handlers[width], emit.register(0), 0, 0, 0, immediate as i32);
        }
        _ => {
            let handlers: ByWidth = by_width!(W => binary_rr::<O, W>);
            emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, 0);
        }
    }
    emit.writes_flags(kind(O::CLASS, width));
    Some(())
}

/// The handlers of one width.
pub(super) fn pick(handlers: &[ByWidth; 3], width: usize) -> ByForm {
    [handlers[0][width], handlers[1][width], handlers[2][width]]
}

/// A locked binary operation on memory.
fn binary_locked<O: Binary, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = match detail.registers[1] {
        crate::state::Gpr::ZERO_OFFSET => cut::<W>(detail.immediate),
        register => cpu.get::<W>(register),
    };
    let carry = cpu.status() & CF;
    let left = cpu.modify::<W>(detail, |left| O::apply::<W>(left, right, carry))?;
    let res = cut::<W>(O::apply::<W>(left, right, carry));
    cpu.set_status(Kind::of::<W>(O::CLASS).word(res, O::source::<W>(left, right, res)));
    Ok(())
}

/// ADC and SBB: CF goes to the source word first. Where the operation can fault, all flags stay.
fn with_carry<O: Binary>(emit: &mut Emit) -> Option<()> {
    if emit.is_memory(0) || emit.is_memory(1) {
        emit.materialize();
    } else {
        emit.carry_to_source();
    }
    binary::<O>(emit)
}

/// INC and DEC.
fn step<O: Binary>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_locked() {
        emit.call_out_with_flags(functions!(step_locked, O)[width]);
        return Some(());
    }
    if emit.is_memory(0) {
        if !emit.flags_dead {
            emit.materialize();
        }
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => step_m::<O, W, A>);
        emit.memory_op(&pick(&handlers, width), 0, None);
    } else {
        if !emit.flags_dead {
            emit.carry_to_source();
        }
        let handlers: ByWidth = by_width!(W => step_r::<O, W>);
        emit.op(handlers[width], emit.register(0), 0, 0, 0, 0);
    }
    emit.writes_flags(kind(O::CLASS, width));
    Some(())
}

fn step_locked<O: Binary, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let carry = cpu.status() & CF;
    let left = cpu.modify::<W>(detail, |left| O::apply::<W>(left, 0, 0))?;
    let res = cut::<W>(O::apply::<W>(left, 0, 0));
    cpu.set_status(Kind::of::<W>(O::CLASS).word(res, carry));
    Ok(())
}

fn neg(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_locked() {
        emit.call_out_with_flags(functions!(neg_locked)[width]);
        return Some(());
    }
    if emit.is_memory(0) {
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => neg_m::<W, A>);
        emit.memory_op(&pick(&handlers, width), 0, None);
    } else {
        let handlers: ByWidth = by_width!(W => neg_r::<W>);
        emit.op(handlers[width], emit.register(0), 0, 0, 0, 0);
    }
    emit.writes_flags(kind(Class::Sub, width));
    Some(())
}

fn neg_locked<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = cpu.modify::<W>(detail, u64::wrapping_neg)?;
    let res = cut::<W>(right.wrapping_neg());
    cpu.set_status(Kind::of::<W>(Class::Sub).word(res, right));
    Ok(())
}

fn imul(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    match emit.instruction.op_count() {
        1 => return one_operand(emit, functions!(multiply_signed)),
        3 if emit.is_memory(1) => {
            emit.call_out_with_flags(functions!(imul_memory_immediate)[width]);
            return Some(());
        }
        3 => {
            let handlers: ByWidth = by_width!(W => imul_rri::<W>);
            let immediate = emit.immediate(2) as i32;
            emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, immediate);
        }
        _ if emit.is_memory(1) => {
            let handlers: [ByWidth; 3] = by_form_and_width!(A, W => imul_rm::<W, A>);
            emit.memory_op(&pick(&handlers, width), emit.register(0), None);
        }
        _ => {
            let handlers: ByWidth = by_width!(W => imul_rr::<W>);
            emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, 0);
        }
    }
    emit.writes_flags(kind(Class::Given, width));
    Some(())
}

fn imul_memory_immediate<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let left = cpu.read::<W>(detail, 1)?;
    let (res, src) = product::<W>(left, detail.immediate);
    cpu.set::<W>(detail.registers[0], res);
    cpu.set_status(Kind::of::<W>(Class::Given).word(res, src));
    Ok(())
}

/// MUL, IMUL, DIV and IDIV with the accumulator as the other operand.
fn one_operand(emit: &mut Emit, functions: [Function; 4]) -> Option<()> {
    emit.call_out_with_flags(functions[emit.width(0)]);
    Some(())
}

const RAX: u8 = 0;
const RDX: u8 = Register::Rdx as u8 * 8;
const AH: u8 = 1;

/// Writes the two halves of a product or of quotient and remainder: (E/R)AX and (E/R)DX, or AL and AH.
fn set_pair<W: Width>(cpu: &mut Cpu, low: u64, high: u64) {
    cpu.set::<W>(RAX, low);
    cpu.set::<W>(if W::BYTES == 1 { AH } else { RDX }, high);
}

fn multiply<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = cpu.read::<W>(detail, 0)?;
    let full = u128::from(cpu.get::<W>(RAX)) * u128::from(right);
    let high = (full >> W::BITS) as u64;
    set_pair::<W>(cpu, full as u64, high);
    let overflow = if high == 0 { 0 } else { 3 };
    cpu.set_status(Kind::of::<W>(Class::Given).word(cut::<W>(full as u64), overflow));
    Ok(())
}

fn multiply_signed<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = cpu.read::<W>(detail, 0)?;
    let sign = |value: u64| i128::from(W::truncate(value).sign_extend() as i64);
    let full = sign(cpu.get::<W>(RAX)) * sign(right);
    set_pair::<W>(cpu, full as u64, (full >> W::BITS) as u64);
    let (res, overflow) = product::<W>(sign(full as u64) as u64, 1);
    let overflow = if sign(res) == full { overflow } else { 3 };
    cpu.set_status(Kind::of::<W>(Class::Given).word(res, overflow));
    Ok(())
}

/// The dividend: (E/R)DX:(E/R)AX, or AX.
fn dividend<W: Width>(cpu: &Cpu) -> u128 {
    let high = if W::BYTES == 1 { cpu.get::<u8>(AH) } else { cpu.get::<W>(RDX) };
    u128::from(high) << W::BITS | u128::from(cpu.get::<W>(RAX))
}

fn divide<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let divisor = u128::from(cpu.read::<W>(detail, 0)?);
    let dividend = dividend::<W>(cpu);
    let quotient = dividend.checked_div(divisor).ok_or(Exception::DE)?;
    if quotient >> W::BITS != 0 {
        return Err(Exception::DE.into());
    }
    set_pair::<W>(cpu, quotient as u64, (dividend % divisor) as u64);
    Ok(())
}

fn divide_signed<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let divisor = i128::from(W::truncate(cpu.read::<W>(detail, 0)?).sign_extend() as i64);
    let shift = 128 - 2 * W::BITS;
    let dividend = (dividend::<W>(cpu) << shift) as i128 >> shift;
    let quotient = dividend.checked_div(divisor).ok_or(Exception::DE)?;
    if quotient != i128::from(W::truncate(quotient as u64).sign_extend() as i64) {
        return Err(Exception::DE.into());
    }
    set_pair::<W>(cpu, quotient as u64, (dividend % divisor) as u64);
    Ok(())
}
