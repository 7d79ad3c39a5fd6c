//! Binary arithmetic: ADD, ADC, SUB, SBB, CMP, and what all operations on two operands share. INC,
//! DEC and NEG are in `unary`; ADCX and ADOX in
//! `carry_chain`; MUL, IMUL, DIV and IDIV in `multiply_divide`.

pub(super) mod carry_chain;
pub(super) mod multiply_divide;
pub(super) mod unary;

use iced_x86::Mnemonic;

use super::address::{Address, operand};
use super::dispatch::{Flow, next};
use super::emit::{ByWidth, Emit, by_address_and_width, by_form_and_width, by_width, pick};
use super::flags::{Class, Kind};
use super::forward::{Carried, LastResult, Place, Stored, by_place};
use super::op::Op;
use super::table::Row;
use super::{Cpu, locked};
use crate::memory::Width;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Add, |e| binary::<Add>(e)),
    (Mnemonic::Sub, |e| binary::<Sub>(e)),
    (Mnemonic::Cmp, |e| binary::<Cmp>(e)),
    (Mnemonic::Adc, |e| with_carry::<Adc>(e)),
    (Mnemonic::Sbb, |e| with_carry::<Sbb>(e)),
];

/// An operation on two operands. Operands and results are zero-extended.
pub(super) trait Binary: 'static {
    /// How its flags are read.
    const CLASS: Class;
    /// Whether the result goes anywhere but the flags.
    const WRITES: bool = true;
    /// Whether the source word becomes the right operand.
    const KEEPS_RIGHT: bool = true;
    /// The result; it may have bits beyond the width.
    fn apply<W: Width>(left: u64, right: u64, src: u64) -> u64;
    /// What goes into the source word.
    #[inline(always)]
    fn source<W: Width>(_left: u64, right: u64, _res: u64) -> u64 {
        right
    }
    /// The number that is added, if the operation adds one whatever the left operand and the flags.
    #[inline(always)]
    fn addend(_right: u64) -> Option<u64> {
        None
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

impl Binary for Add {
    const CLASS: Class = Class::Add;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left.wrapping_add(right)
    }
    #[inline(always)]
    fn addend(right: u64) -> Option<u64> {
        Some(right)
    }
}

impl Binary for Sub {
    const CLASS: Class = Class::Sub;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, _src: u64) -> u64 {
        left.wrapping_sub(right)
    }
    #[inline(always)]
    fn addend(right: u64) -> Option<u64> {
        Some(right.wrapping_neg())
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
    const KEEPS_RIGHT: bool = false;
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
    const KEEPS_RIGHT: bool = false;
    #[inline(always)]
    fn apply<W: Width>(left: u64, right: u64, src: u64) -> u64 {
        left.wrapping_sub(right).wrapping_sub(src & 1)
    }
    #[inline(always)]
    fn source<W: Width>(left: u64, right: u64, res: u64) -> u64 {
        !left & right | !(left ^ right) & res
    }
}

/// `value` cut to the width.
#[inline(always)]
pub(super) fn cut<W: Width>(value: u64) -> u64 {
    value & u64::MAX >> (64 - W::BITS)
}

unsafe extern "C" fn binary_rr<O: Binary, W: Width, L: Place, R: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, a, res, src), R::get::<W>(cpu, b, res, src));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    if O::WRITES {
        cpu.set::<W>(a, res);
    }
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

unsafe extern "C" fn binary_ri<O: Binary, W: Width, L: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let (left, right) = (L::get::<W>(cpu, a, res, src), cut::<W>(imm as u64));
    let res = cut::<W>(O::apply::<W>(left, right, src));
    if O::WRITES {
        cpu.set::<W>(a, res);
    }
    next!(cpu, op.wrapping_add(1), res, O::source::<W>(left, right, res), budget)
}

unsafe extern "C" fn binary_rm<O: Binary, W: Width, A: Address, L: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, right) = unsafe { ((*op).a, W::load(pointer).extend()) };
    let left = L::get::<W>(cpu, a, res, src);
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

/// The kind of an operation of `class` on operands of 2^`width` bytes.
pub(super) fn kind(class: Class, width: usize) -> Kind {
    Kind::new(class, width as u8)
}

/// Emits a binary operation in all its forms.
pub(super) fn binary<O: Binary>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_locked() {
        return locked::binary(emit);
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
            let a = emit.register(0);
            if emit.carried.place(a, width) == LastResult::INDEX {
                let handlers: &[ByWidth; 3] =
                    const { &by_form_and_width!(A, W => binary_rm::<O, W, A, LastResult>) };
                emit.memory_op(&pick(handlers, width), a, None);
            } else {
                let handlers: &[ByWidth; 6] =
                    const { &by_address_and_width!(A, W => binary_rm::<O, W, A, Stored>) };
                emit.load_op(&pick(handlers, width), a);
            }
            emit.carried = written::<O>(a, width);
        }
        (_, _, Some(immediate)) => {
            let handlers: &[ByWidth; 3] =
                const { &by_place!(L => by_width!(W => binary_ri::<O, W, L>)) };
            let a = emit.register(0);
            let left = emit.carried.place(a, width);
            emit.op(handlers[left][width], a, 0, 0, 0, immediate as i32);
            emit.carried = written::<O>(a, width);
        }
        _ => {
            let handlers: &[[ByWidth; 3]; 3] =
                const { &by_place!(L => by_place!(R => by_width!(W => binary_rr::<O, W, L, R>))) };
            let (a, b) = (emit.register(0), emit.register(1));
            let (left, right) = (emit.carried.place(a, width), emit.carried.place(b, width));
            emit.op(handlers[left][right][width], a, b, 0, 0, 0);
            let carried = written::<O>(a, width);
            emit.carried = if O::KEEPS_RIGHT { carried.and_source(b, width) } else { carried };
        }
    }
    emit.writes_flags(kind(O::CLASS, width));
    Some(())
}

/// What the result word holds after an operation on a register.
fn written<O: Binary>(register: u8, width: usize) -> Carried {
    if O::WRITES { Carried::result(register, width) } else { Carried::NOTHING }
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
