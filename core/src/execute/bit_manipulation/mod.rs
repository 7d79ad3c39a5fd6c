//! BMI1 and BMI2: bit manipulation with VEX prefixes on general registers. Here are the forms that
//! their operands take; what is computed is in `operations`, MULX with its two results in `multiply`.
//!
//! All have 32 or 64 bits. In real mode and virtual-8086 mode they are not there, like everything with
//! a VEX prefix, which `translate` sees to. TZCNT, LZCNT and POPCNT are in `bit_count`.

pub(super) mod multiply;
pub(super) mod operations;

use super::Cpu;
use super::address::{Address, operand};
use super::arithmetic::{cut, kind};
use super::dispatch::{Flow, next};
use super::emit::{ByForm, Emit};
use super::flags::Class;
use super::forward::{Carried, Place, by_place};
use super::op::{Handler, Op};
use crate::memory::Width;
use crate::state::Gpr;

/// What an instruction computes of its register-or-memory operand and another one.
trait Operation: 'static {
    /// How the flags are read from the result and the source word; `None` leaves them alone.
    const FLAGS: Option<Class>;
    /// The result, and the source word if there are flags. Operands are zero-extended.
    fn apply<W: Width>(value: u64, other: u64) -> (u64, u64);
}

/// Where an instruction has its operands, by position.
#[derive(Clone, Copy)]
struct Operands {
    /// Register or memory.
    value: u32,
    /// A register or an immediate, if there is any.
    other: Option<u32>,
}

/// The words that go on: the flags' own, or those that there were. Where nobody wants the flags
/// (`QUIET`), the result, which the next op may take from its word.
#[inline(always)]
fn words<O: Operation, const QUIET: bool>(
    (res, src): (u64, u64),
    computed: (u64, u64),
) -> (u64, u64) {
    match O::FLAGS {
        Some(_) => computed,
        None if QUIET => (computed.0, src),
        None => (res, src),
    }
}

/// `a` becomes of `b` and the sum of `c` and the immediate, one of which is zero.
unsafe extern "C" fn register<O: Operation, W: Width, P: Place, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, imm, .. } = unsafe { *op };
    let value = P::get::<W>(cpu, b, res, src);
    let (result, source) = O::apply::<W>(value, cpu.get::<W>(c).wrapping_add(imm as u64));
    let result = cut::<W>(result);
    cpu.set::<W>(a, result);
    let (res, src) = words::<O, QUIET>((res, src), (result, source));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// As [`register`], with the first operand in memory, and `c` and the immediate in the slot behind.
unsafe extern "C" fn memory<O: Operation, W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 1, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the slot behind the address holds the other
    // operand, and the TLB has vouched for the pointer.
    let (a, payload, value) =
        unsafe { ((*op).a, (*op.add(A::SLOTS)).payload(), W::load(pointer).extend()) };
    let other = cpu.get::<W>(payload as u8).wrapping_add(payload >> 8);
    let (result, source) = O::apply::<W>(value, other);
    let result = cut::<W>(result);
    cpu.set::<W>(a, result);
    let (res, src) = words::<O, false>((res, src), (result, source));
    next!(cpu, op.wrapping_add(A::SLOTS + 1), res, src, budget)
}

/// Handlers by place, for 32 and 64 bits.
type Registers = [[Handler; 3]; 2];

const fn registers<O: Operation, const QUIET: bool>() -> Registers {
    [
        by_place!(P => register::<O, u32, P, QUIET> as Handler),
        by_place!(P => register::<O, u64, P, QUIET> as Handler),
    ]
}

const fn memories<O: Operation>() -> [ByForm; 2] {
    use super::emit::by_form;
    [by_form!(A => memory::<O, u32, A>), by_form!(A => memory::<O, u64, A>)]
}

/// Emits an instruction whose result goes to its first operand, or, with two operands in all, to the
/// one that VEX.vvvv names, which is the first for the decoder, too.
fn emit<O: Operation>(emit: &mut Emit, operands: Operands) -> Option<()> {
    let width = emit.width(0);
    let wide = usize::from(width == 3);
    let a = emit.register(0);
    let (c, immediate) = match operands.other {
        Some(other) if emit.is_immediate(other) => (Gpr::ZERO_OFFSET, emit.immediate(other) as u8),
        Some(other) => (emit.register(other), 0),
        None => (Gpr::ZERO_OFFSET, 0),
    };
    let quiet = O::FLAGS.is_none() && emit.flags_dead;
    if emit.is_memory(operands.value) {
        let handlers = const { &memories::<O>() };
        let payload = u64::from(c) | u64::from(immediate) << 8;
        let carried = emit.carried.without(a);
        emit.memory_op(&handlers[wide], a, Some(payload));
        emit.carried = if O::FLAGS.is_some() { Carried::result(a, width) } else { carried };
    } else {
        let b = emit.register(operands.value);
        let place = emit.carried.place(b, width);
        let carried = emit.carried.without(a);
        let handlers = match quiet {
            true => const { &registers::<O, true>() },
            false => const { &registers::<O, false>() },
        };
        emit.op(handlers[wide][place], a, b, c, 0, immediate.into());
        let is_result = quiet || O::FLAGS.is_some();
        emit.carried = if is_result { Carried::result(a, width) } else { carried };
    }
    if let Some(class) = O::FLAGS {
        emit.writes_flags(kind(class, width));
    }
    Some(())
}
