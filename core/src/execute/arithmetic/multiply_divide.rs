//! MUL, IMUL, DIV and IDIV. Compiled code multiplies by the forms of IMUL with two and three operands,
//! divides by constants with MUL by a register, and by anything else with DIV and IDIV by a register:
//! those are handlers; the rest are functions.

use iced_x86::Mnemonic;

use super::{cut, kind};
use crate::execute::address::{Address, operand};
use crate::execute::dispatch::{Flow, leave, next};
use crate::execute::emit::{ByWidth, Emit, Function, by_form_and_width, by_width, functions, pick};
use crate::execute::flags::{Class, Kind};
use crate::execute::forward::{Carried, Place, by_place};
use crate::execute::op::{Detail, Op};
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};
use crate::memory::Width;
use crate::state::{Exception, Register};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Mul, mul),
    (Mnemonic::Imul, imul),
    (Mnemonic::Div, |e| division(e, &by_width!(W => divide_r::<W, Unsigned>), functions!(divide))),
    (Mnemonic::Idiv, |e| {
        division(e, &by_width!(W => divide_r::<W, Signed>), functions!(divide_signed))
    }),
];

pub(in crate::execute) const RAX: u8 = 0;
pub(in crate::execute) const RDX: u8 = Register::Rdx as u8 * 8;
const AH: u8 = 1;

/// The result of a signed multiplication, and CF and OF in the form of [`Class::Given`].
#[inline(always)]
fn product<W: Width>(left: u64, right: u64) -> (u64, u64) {
    let sign = |value: u64| i128::from(W::truncate(value).sign_extend() as i64);
    let full = sign(left) * sign(right);
    let res = cut::<W>(full as u64);
    (res, if sign(res) == full { 0 } else { 3 })
}

/// The product as a result and source word. Where the flags are dead (`QUIET`), the source word stays
/// as it is.
#[inline(always)]
pub(in crate::execute) fn words<W: Width, const QUIET: bool>(
    left: u64,
    right: u64,
    src: u64,
) -> (u64, u64) {
    if QUIET { (cut::<W>(left.wrapping_mul(right)), src) } else { product::<W>(left, right) }
}

unsafe extern "C" fn imul_rr<W: Width, L: Place, R: Place, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, a, res, src), R::get::<W>(cpu, b, res, src));
    let (res, src) = words::<W, QUIET>(left, right, src);
    cpu.set::<W>(a, res);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn imul_rri<W: Width, L: Place, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let left = L::get::<W>(cpu, b, res, src);
    let (res, src) = words::<W, QUIET>(left, imm as u64, src);
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

fn imul(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    match emit.instruction.op_count() {
        1 => return one_operand(emit, functions!(multiply_signed)),
        3 if emit.is_memory(1) => {
            emit.call_out_with_flags(functions!(imul_memory_immediate)[width]);
            return Some(());
        }
        3 if emit.flags_dead => by_immediate::<true>(emit, width),
        3 => by_immediate::<false>(emit, width),
        _ if emit.is_memory(1) => {
            let handlers: [ByWidth; 3] = by_form_and_width!(A, W => imul_rm::<W, A>);
            emit.memory_op(&pick(&handlers, width), emit.register(0), None);
            emit.carried = Carried::result(emit.register(0), width);
        }
        _ if emit.flags_dead => by_register::<true>(emit, width),
        _ => by_register::<false>(emit, width),
    }
    emit.writes_flags(kind(Class::Given, width));
    Some(())
}

fn by_immediate<const QUIET: bool>(emit: &mut Emit, width: usize) {
    let handlers: &[ByWidth; 3] =
        const { &by_place!(L => by_width!(W => imul_rri::<W, L, QUIET>)) };
    let (a, b, immediate) = (emit.register(0), emit.register(1), emit.immediate(2));
    let left = emit.carried.place(b, width);
    emit.op(handlers[left][width], a, b, 0, 0, immediate as i32);
    emit.carried = Carried::result(a, width);
}

fn by_register<const QUIET: bool>(emit: &mut Emit, width: usize) {
    let handlers: &[[ByWidth; 3]; 3] =
        const { &by_place!(L => by_place!(R => by_width!(W => imul_rr::<W, L, R, QUIET>))) };
    let (a, b) = (emit.register(0), emit.register(1));
    let (left, right) = (emit.carried.place(a, width), emit.carried.place(b, width));
    emit.op(handlers[left][right][width], a, b, 0, 0, 0);
    emit.carried = Carried::result(a, width);
}

fn imul_memory_immediate<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let left = cpu.read::<W>(detail, 1)?;
    let (res, src) = product::<W>(left, detail.immediate);
    cpu.set::<W>(detail.registers[0], res);
    cpu.set_status(Kind::of::<W>(Class::Given).word(res, src));
    Ok(())
}

/// MUL by register `a`.
unsafe extern "C" fn mul_r<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let right = cpu.get::<W>(unsafe { (*op).a });
    let (res, src) = multiply_accumulator::<W>(cpu, right);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

fn mul(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(0) {
        return one_operand(emit, functions!(multiply));
    }
    let handlers: ByWidth = by_width!(W => mul_r::<W>);
    emit.op(handlers[width], emit.register(0), 0, 0, 0, 0);
    emit.carried = Carried::result(RAX, width);
    emit.writes_flags(kind(Class::Given, width));
    Some(())
}

/// MUL, IMUL, DIV and IDIV with the accumulator as the other operand.
fn one_operand(emit: &mut Emit, functions: [Function; 4]) -> Option<()> {
    emit.call_out_with_flags(functions[emit.width(0)]);
    Some(())
}

/// Writes the two halves of a product or of quotient and remainder: (E/R)AX and (E/R)DX, or AL and AH.
fn set_pair<W: Width>(cpu: &mut Cpu, low: u64, high: u64) {
    cpu.set::<W>(RAX, low);
    cpu.set::<W>(if W::BYTES == 1 { AH } else { RDX }, high);
}

fn multiply<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = cpu.read::<W>(detail, 0)?;
    let (res, src) = multiply_accumulator::<W>(cpu, right);
    cpu.set_status(Kind::of::<W>(Class::Given).word(res, src));
    Ok(())
}

/// Multiplies the accumulator without sign; the low half, and CF and OF in the form of
/// [`Class::Given`].
#[inline(always)]
fn multiply_accumulator<W: Width>(cpu: &mut Cpu, right: u64) -> (u64, u64) {
    let full = u128::from(cpu.get::<W>(RAX)) * u128::from(right);
    let high = (full >> W::BITS) as u64;
    set_pair::<W>(cpu, full as u64, high);
    (cut::<W>(full as u64), if high == 0 { 0 } else { 3 })
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

/// DIV and IDIV leave the status flags as they are; the manual calls them undefined.
fn division(emit: &mut Emit, handlers: &ByWidth, functions: [Function; 4]) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(0) {
        emit.call_out(functions[width]);
    } else {
        emit.op(handlers[width], emit.register(0), 0, 0, 0, 0);
    }
    Some(())
}

/// Emits DIV by a register.
pub(in crate::execute) fn plain_division(emit: &mut Emit) {
    let handlers: ByWidth = by_width!(W => divide_r::<W, Unsigned>);
    emit.op(handlers[emit.width(0)], emit.register(0), 0, 0, 0, 0);
}

/// How dividend and divisor are read.
trait Division {
    /// Quotient and remainder of `high:low` and `divisor`; `None` if the quotient does not fit.
    fn divide<W: Width>(high: u64, low: u64, divisor: u64) -> Option<(u64, u64)>;
}

struct Unsigned;
struct Signed;

impl Division for Unsigned {
    #[inline(always)]
    fn divide<W: Width>(high: u64, low: u64, divisor: u64) -> Option<(u64, u64)> {
        // Nearly always; and a division of 128 bits takes many times as long as one of 64.
        if high == 0 {
            return Some((low.checked_div(divisor)?, low % divisor));
        }
        let (dividend, divisor) = (u128::from(high) << W::BITS | u128::from(low), divisor.into());
        let quotient = dividend.checked_div(divisor)?;
        (quotient >> W::BITS == 0).then_some((quotient as u64, (dividend % divisor) as u64))
    }
}

impl Division for Signed {
    #[inline(always)]
    fn divide<W: Width>(high: u64, low: u64, divisor: u64) -> Option<(u64, u64)> {
        let sign = |value: u64| W::truncate(value).sign_extend() as i64;
        let (high, low, divisor) = (sign(high), sign(low), sign(divisor));
        // As above: the upper half is but the lower one's sign.
        if high == low >> 63 {
            let quotient = low.checked_div(divisor)?;
            let fits = quotient == sign(quotient as u64);
            return fits.then_some((quotient as u64, (low % divisor) as u64));
        }
        let dividend = i128::from(high) << W::BITS | i128::from(cut::<W>(low as u64));
        let (quotient, divisor) = (dividend.checked_div(divisor.into())?, i128::from(divisor));
        let fits = quotient == i128::from(sign(quotient as u64));
        fits.then_some((quotient as u64, (dividend % divisor) as u64))
    }
}

/// Divides (E/R)DX:(E/R)AX, or AX. Whether the quotient fits; nothing is changed if not.
#[inline(always)]
fn divide_accumulator<W: Width, D: Division>(cpu: &mut Cpu, divisor: u64) -> Option<()> {
    let high = if W::BYTES == 1 { cpu.get::<u8>(AH) } else { cpu.get::<W>(RDX) };
    let (quotient, remainder) = D::divide::<W>(high, cpu.get::<W>(RAX), divisor)?;
    set_pair::<W>(cpu, quotient, remainder);
    Some(())
}

/// DIV and IDIV by register `a`.
unsafe extern "C" fn divide_r<W: Width, D: Division>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let divisor = cpu.get::<W>(unsafe { (*op).a });
    if divide_accumulator::<W, D>(cpu, divisor).is_none() {
        // SAFETY: the handler's own arguments.
        return unsafe { divide_error(cpu, op, res, src, budget) };
    }
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

#[cold]
#[inline(never)]
unsafe extern "C" fn divide_error(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &const { Leave::Exception(Exception::DE) })
}

fn divide<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let divisor = cpu.read::<W>(detail, 0)?;
    divide_accumulator::<W, Unsigned>(cpu, divisor).ok_or(Exception::DE.into())
}

fn divide_signed<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let divisor = cpu.read::<W>(detail, 0)?;
    divide_accumulator::<W, Signed>(cpu, divisor).ok_or(Exception::DE.into())
}
