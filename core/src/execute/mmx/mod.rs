//! MMX: the same operations on the registers of the x87.
//!
//! An instruction's row stands with that on XMM registers; here is how its operation becomes ops on
//! half of a vector. The adaptors are for those that do more than pair elements.
//!
//! MM0 to MM7 are the x87's physical registers. Every instruction but EMMS makes the first the top of
//! the stack and marks none as empty, so behind that they lie where ST0 to ST7 do, and to the vector
//! ops they are some more vector registers. What is written has all ones above its 64 bits (SDM,
//! "Effect of MMX, x87 FPU, FXSAVE, and FXRSTOR Instructions on the x87 FPU Tag Word").
//!
//! Invariant: the change comes behind [`check`], which raises #UD, #NM and #MF, and behind the access to
//! memory, so a restarted instruction finds what it found before.

mod adaptor;
pub(super) mod convert;
pub(super) mod moves;

pub(super) use self::adaptor::{HighHalf, Joined, ShuffleBytes, Window};

use super::dispatch::{Flow, leave, next};
use super::emit::{ByForm, Emit, by_form};
use super::op::{Handler, Op};
use super::sse::handler::{
    Masked, from_general, from_low, on_registers, store, to_general, vector_source,
};
use super::sse::vector::{Lanes, Load, Low64, MM, Registers, Store, Vector};
use super::sse::{FromGeneral, Operation, ToGeneral};
use super::{Cpu, Leave, x87};
use crate::state::{Cr0Flags, Exception, Fpu};

/// What is above the 64 bits of a register that was written.
const ONES: u128 = 0xffff << 64;

impl Fpu {
    /// What MMX register `number` holds, before or behind the change.
    fn mm(&self, number: u8) -> u64 {
        self.st[usize::from(u16::from(number).wrapping_sub(self.top()) & 7)] as u64
    }

    /// Writes it, behind the change.
    fn set_mm(&mut self, number: u8, value: u64) {
        self.st[usize::from(number & 7)] = u128::from(value) | ONES;
    }
}

/// What precedes everything else: #UD if there is no coprocessor, #NM while the system keeps it from
/// use, #MF for an exception that an x87 instruction has left.
fn require(cpu: &mut Cpu) -> Result<(), Leave> {
    match cpu.state.control.cr0.contains(Cr0Flags::EMULATE_COPROCESSOR) {
        true => Err(Exception::UD.into()),
        false => x87::wait(cpu),
    }
}

/// As [`require`], in an op.
unsafe extern "C" fn check(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    let withheld = Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED;
    if cpu.state.control.cr0.intersects(withheld) || x87::is_pending(&cpu.state.fpu) {
        // SAFETY: the handler's own arguments.
        return unsafe { check_all(cpu, op, res, src, budget) };
    }
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

#[cold]
#[inline(never)]
unsafe extern "C" fn check_all(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    match require(cpu) {
        Ok(()) => next!(cpu, op.wrapping_add(1), res, src, budget),
        Err(reason) => leave(cpu, op, res, src, budget, &reason),
    }
}

/// The low half; the other is cleared.
#[inline(always)]
fn low(vector: Vector) -> Vector {
    [<[u64; 2]>::of(vector)[0], 0].vector()
}

/// MM0 to MM7, by their numbers among vector registers.
struct Mmx;

impl Registers for Mmx {
    #[inline(always)]
    fn enter(cpu: &mut Cpu) {
        cpu.state.fpu.enter_mmx();
    }

    #[inline(always)]
    fn get(cpu: &Cpu, number: u8) -> Vector {
        low(cpu.vector(number))
    }

    #[inline(always)]
    fn set(cpu: &mut Cpu, number: u8, value: Vector) {
        cpu.set_vector(number, [<[u64; 2]>::of(value)[0], (ONES >> 64) as u64].vector());
    }
}

/// The number among vector registers of MMX register operand `position`.
fn register(emit: &Emit, position: u32) -> u8 {
    MM + emit.register(position)
}

/// The vector register with operand `position`, which is loaded first if it is in memory.
fn source<L: Load>(emit: &mut Emit, position: u32) -> u8 {
    match emit.is_memory(position) {
        true => vector_source::<L>(emit, position),
        false => register(emit, position),
    }
}

/// Begins an instruction.
fn begin(emit: &mut Emit) {
    emit.op(check, 0, 0, 0, 0, 0);
}

fn emit_binary<L: Load>(emit: &mut Emit, masked: Masked) -> Option<()> {
    begin(emit);
    let last = emit.instruction.op_count() - 1;
    let immediate = if emit.is_immediate(last) { emit.immediate(last) as u8 } else { 0 };
    let b = if emit.is_immediate(1) { 0 } else { source::<L>(emit, 1) };
    emit.op(masked.pick(emit), register(emit, 0), b, 0, 0, immediate.into());
    Some(())
}

const fn masked<O: Operation>() -> Masked {
    assert!(!O::FLOATS);
    on_registers::<O, Mmx>()
}

/// Emits an operation with 64 bits of source.
pub(super) fn operation<O: Operation>(emit: &mut Emit) -> Option<()> {
    emit_binary::<Low64>(emit, const { masked::<O>() })
}

/// Emits an operation that has its source in `L`, if that is in memory.
pub(super) fn operation_of<O: Operation, L: Load>(emit: &mut Emit) -> Option<()> {
    emit_binary::<L>(emit, const { masked::<O>() })
}

/// Emits an operation with its result in a general register; `places` are those that the immediate
/// can name.
pub(super) fn into_general<O: ToGeneral>(emit: &mut Emit, places: u8) -> Option<()> {
    begin(emit);
    let immediate = place(emit, places);
    emit.op(to_general::<O, Mmx>, emit.register(0), register(emit, 1), 0, 0, immediate);
    Some(())
}

/// Emits an operation with its source in a general register or memory.
pub(super) fn out_of_general<O: FromGeneral>(emit: &mut Emit, places: u8) -> Option<()> {
    begin(emit);
    let immediate = place(emit, places);
    let (handler, b): (Handler, u8) = match emit.is_memory(1) {
        true => (from_low::<O, Mmx>, vector_source::<O::Source>(emit, 1)),
        false => (from_general::<O, Mmx>, emit.register(1)),
    };
    emit.op(handler, register(emit, 0), b, 0, 0, immediate);
    Some(())
}

fn place(emit: &Emit, places: u8) -> i32 {
    let last = emit.instruction.op_count() - 1;
    if emit.is_immediate(last) { i32::from(emit.immediate(last) as u8 % places) } else { 0 }
}

/// Emits a store of register operand 1 to memory.
fn store_register<S: Store>(emit: &mut Emit) -> Option<()> {
    begin(emit);
    let handlers: ByForm = by_form!(A => store::<S, A, Mmx>);
    emit.memory_op(&handlers, register(emit, 1), None);
    Some(())
}
