//! The ops of VEX-encoded instructions, and how each kind of instruction becomes ops.
//!
//! An operand in memory is loaded by an op of its own into a register that no guest sees; what compiled
//! code does most often has ops that do both.

use super::super::address::{Address, operand};
use super::super::dispatch::{Flow, next};
use super::super::emit::{ByForm, Emit, Function, by_form};
use super::super::host_vector::HostVector;
use super::super::op::{Detail, Handler, Op};
use super::super::sse::host_float::guarded;
use super::super::sse::vector::{Lanes, Load, SCRATCH, Store, Vector};
use super::super::sse::{FromGeneral, Operation, ThreeSources};
use super::super::{Cpu, Leave};
use super::{Each, Length, Lift, Wide, Xmm, Ymm, is_wide, zero};
use crate::memory::Width;

/// The bytes of one half.
const HALF: usize = 16;

/// Loads what `N` says from `pointer`.
///
/// # Safety
/// As for [`Load::load`].
#[inline(always)]
unsafe fn load_wide<L: Load, N: Length>(pointer: *const u8) -> Wide {
    // SAFETY: the caller vouches for the bytes of both halves.
    unsafe {
        let low = L::load(pointer, zero());
        [low, if N::WIDE { L::load(pointer.wrapping_add(HALF), zero()) } else { zero() }]
    }
}

/// Loads register `a`; what is not loaded is cleared.
pub(super) unsafe extern "C" fn load<L: Load, A: Address, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read N::Of<L>, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, load_wide::<L, N>(pointer)) };
    cpu.set_wide(a, value);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// Loads register `a` with the same in both halves.
pub(super) unsafe extern "C" fn load_twice<L: Load, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read L::Memory, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, half) = unsafe { ((*op).a, L::load(pointer, zero())) };
    cpu.set_wide(a, [half; 2]);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// Stores register `a`.
pub(super) unsafe extern "C" fn store<S: Store + Load, A: Address, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(WRITE N::Of<S>, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    unsafe {
        let a = (*op).a;
        S::store(pointer, cpu.vector(a));
        if N::WIDE {
            S::store(pointer.wrapping_add(HALF), cpu.upper(a));
        }
    }
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// Register `a` becomes what the instruction makes of registers `c` and `b`.
unsafe extern "C" fn binary<I: Lift, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, imm, .. } = unsafe { *op };
    let (left, right) = (cpu.wide(c), cpu.wide(b));
    let immediate = [imm as u8, (imm >> 8) as u8];
    let result = I::apply::<N>(&mut cpu.state.fpu.mxcsr, left, right, immediate);
    cpu.set_wide(a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Both registers of an op with a memory operand are in operand `a`, four bits each.
#[inline(always)]
const fn pair(low: u8, high: u8) -> u8 {
    low | high << 4
}

/// Register `a & 15` becomes what the instruction makes of register `a >> 4` and memory.
unsafe extern "C" fn binary_memory<O: Operation, A: Address, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read N::Of<O::Source>, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, right) = unsafe { ((*op).a, load_wide::<O::Source, N>(pointer)) };
    let left = cpu.wide(a >> 4);
    let result = Each::<O>::apply::<N>(&mut cpu.state.fpu.mxcsr, left, right, [0; 2]);
    cpu.set_wide(a & 15, result);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// What a [`ThreeSources`] makes of each half.
#[inline(always)]
fn each_of_three<N: Length>(
    mut operation: impl FnMut(Vector, Vector, Vector) -> Vector,
    [first, second, third]: [Wide; 3],
) -> Wide {
    let low = operation(first[0], second[0], third[0]);
    [low, if N::WIDE { operation(first[1], second[1], third[1]) } else { zero() }]
}

/// Register `a` becomes what the operation makes of registers `d`, `b` and `c`.
unsafe extern "C" fn ternary<O: ThreeSources, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, d, .. } = unsafe { *op };
    let sources = [cpu.wide(d), cpu.wide(b), cpu.wide(c)];
    let mxcsr = &mut cpu.state.fpu.mxcsr;
    let result = each_of_three::<N>(|x, y, z| O::apply(mxcsr, x, y, z), sources);
    cpu.set_wide(a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Register `a & 15` becomes what the operation makes of it, memory, and register `a >> 4`.
unsafe extern "C" fn ternary_memory<O: ThreeSources, A: Address, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read N::Of<O::Source>, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, second) = unsafe { ((*op).a, load_wide::<O::Source, N>(pointer)) };
    let sources = [cpu.wide(a & 15), second, cpu.wide(a >> 4)];
    let mxcsr = &mut cpu.state.fpu.mxcsr;
    let result = each_of_three::<N>(|x, y, z| O::apply(mxcsr, x, y, z), sources);
    cpu.set_wide(a & 15, result);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// Register `a` becomes what the operation makes of register `c` and general register `b`.
unsafe extern "C" fn from_general<O: FromGeneral>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, imm, .. } = unsafe { *op };
    let (left, right) = (cpu.vector(c), cpu.get::<O::Width>(b));
    let low = O::apply(&mut cpu.state.fpu.mxcsr, left, right, imm as u8);
    cpu.set_wide(a, [low, zero()]);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Register `a` becomes what the operation makes of register `c` and the low part of register `b`.
unsafe extern "C" fn from_low<O: FromGeneral>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, imm, .. } = unsafe { *op };
    let (left, [right, _]) = (cpu.vector(c), Lanes::of(cpu.vector(b)));
    let low = O::apply(&mut cpu.state.fpu.mxcsr, left, right, imm as u8);
    cpu.set_wide(a, [low, zero()]);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

// The same while an exception is unmasked, and on hosts without what an operation needs: functions, which
// can raise #XM, and may take the address of a local. The operands of the op that they stand for are in
// the immediate.

/// The operands of a register op.
#[derive(Clone, Copy)]
struct Operands {
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    immediate: [u8; 2],
}

impl Operands {
    fn pack(self) -> u64 {
        let Self { a, b, c, d, immediate: [low, high] } = self;
        u64::from_le_bytes([a, b, c, d, low, high, 0, 0])
    }

    fn of(detail: &Detail) -> Self {
        let [a, b, c, d, low, high, ..] = detail.immediate.to_le_bytes();
        Self { a, b, c, d, immediate: [low, high] }
    }
}

fn binary_called<I: Lift, N: Length>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let Operands { a, b, c, immediate, .. } = Operands::of(detail);
    let (left, right) = (cpu.wide(c), cpu.wide(b));
    let result = match I::FLOATS {
        true => guarded(cpu, |mxcsr| I::compute::<N>(mxcsr, left, right, immediate))?,
        false => I::compute::<N>(&mut 0, left, right, immediate),
    };
    cpu.set_wide(a, result);
    Ok(())
}

fn ternary_called<O: ThreeSources, N: Length>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let Operands { a, b, c, d, .. } = Operands::of(detail);
    let sources = [cpu.wide(d), cpu.wide(b), cpu.wide(c)];
    let compute =
        |mxcsr: &mut u32| each_of_three::<N>(|x, y, z| O::compute(mxcsr, x, y, z), sources);
    let result = if O::FLOATS { guarded(cpu, compute)? } else { compute(&mut 0) };
    cpu.set_wide(a, result);
    Ok(())
}

fn from_general_guarded<O: FromGeneral>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let Operands { a, b, c, immediate, .. } = Operands::of(detail);
    let left = cpu.vector(c);
    let right = match detail.memory {
        Detail::NO_MEMORY => cpu.get::<O::Width>(b),
        _ => <[u64; 2]>::of(cpu.vector(b))[0],
    };
    let low = guarded(cpu, |mxcsr| O::compute(mxcsr, left, right, immediate[0]))?;
    cpu.set_wide(a, [low, zero()]);
    Ok(())
}

/// What executes an instruction of one length.
#[derive(Clone, Copy)]
struct Body {
    /// What executes it on hosts with this, while all exceptions are masked that it may raise.
    handler: Handler,
    needs: HostVector,
    floats: bool,
    /// What executes it elsewhere; `None` if there is no elsewhere.
    called: Option<Function>,
}

impl Body {
    const fn binary<I: Lift, N: Length>() -> Self {
        let (needs, floats) = (I::NEEDS, I::FLOATS);
        // Only what is named here becomes code.
        let called = match floats || !needs.is_empty() {
            true => Some(binary_called::<I, N> as Function),
            false => None,
        };
        Self { handler: binary::<I, N>, needs, floats, called }
    }

    const fn ternary<O: ThreeSources, N: Length>() -> Self {
        let (needs, floats) = (O::NEEDS, O::FLOATS);
        let called = match floats || !needs.is_empty() {
            true => Some(ternary_called::<O, N> as Function),
            false => None,
        };
        Self { handler: ternary::<O, N>, needs, floats, called }
    }

    /// Whether the handler does.
    fn is_handled(&self, emit: &Emit) -> bool {
        emit.host_has(self.needs) && (emit.mode.simd_masked || !self.floats)
    }

    fn emit(&self, emit: &mut Emit, operands: Operands) {
        match self.called {
            Some(called) if !self.is_handled(emit) => {
                emit.call_out_with_immediate(called, operands.pack());
            }
            _ => {
                let Operands { a, b, c, d, immediate: [low, high] } = operands;
                emit.op(self.handler, a, b, c, d, i32::from(low) | i32::from(high) << 8);
            }
        }
    }
}

/// The bodies of both lengths.
type Bodies = [Body; 2];
/// The loads of both lengths.
pub(super) type Loads = [ByForm; 2];

const fn bodies<I: Lift>() -> Bodies {
    [Body::binary::<I, Xmm>(), Body::binary::<I, Ymm>()]
}

const fn bodies_of_three<O: ThreeSources>() -> Bodies {
    [Body::ternary::<O, Xmm>(), Body::ternary::<O, Ymm>()]
}

/// The loads of an operand that is as long as the instruction.
pub(super) const fn whole<L: Load>() -> Loads {
    [by_form!(A => load::<L, A, Xmm>), by_form!(A => load::<L, A, Ymm>)]
}

/// The loads of an operand that is `X` for 128 bits and `Y` for 256.
pub(super) const fn parts<X: Load, Y: Load>() -> Loads {
    [by_form!(A => load::<X, A, Xmm>), by_form!(A => load::<Y, A, Xmm>)]
}

/// The vector register with operand `position`; one in memory is loaded first.
pub(super) fn source(emit: &mut Emit, position: u32, loads: &Loads) -> u8 {
    if !emit.is_memory(position) {
        return emit.register(position);
    }
    emit.memory_op(&loads[usize::from(is_wide(emit))], SCRATCH, None);
    SCRATCH
}

/// Emits an instruction with one or two sources behind its destination, and perhaps an immediate, of
/// which the upper half sees what is above `shift` bits.
fn emit_sources(emit: &mut Emit, bodies: &Bodies, loads: &Loads, shift: u32) -> Option<()> {
    let wide = usize::from(is_wide(emit));
    let last = emit.instruction.op_count() - 1;
    let immediate = if emit.is_immediate(last) { emit.immediate(last) as u8 } else { 0 };
    let sources = if emit.is_immediate(last) { last - 1 } else { last };
    let b = source(emit, sources, loads);
    let c = if sources == 2 { emit.register(1) } else { b };
    let immediate = [immediate, immediate >> shift];
    bodies[wide].emit(emit, Operands { a: emit.register(0), b, c, d: 0, immediate });
    Some(())
}

/// Emits an operation of `sse` in each half.
pub(super) fn lanes<O: Operation>(emit: &mut Emit) -> Option<()> {
    let bodies = const { &bodies::<Each<O>>() };
    emit_sources(emit, bodies, const { &whole::<O::Source>() }, 0)
}

/// As [`lanes`], for operations on 128 bits alone.
pub(super) fn low<O: Operation>(emit: &mut Emit) -> Option<()> {
    let bodies = const { &[Body::binary::<Each<O>, Xmm>(); 2] };
    emit_sources(emit, bodies, const { &parts::<O::Source, O::Source>() }, 0)
}

/// As [`low`], for a source that is loaded as `L`.
pub(super) fn low_with<O: Operation, L: Load>(emit: &mut Emit) -> Option<()> {
    let bodies = const { &[Body::binary::<Each<O>, Xmm>(); 2] };
    emit_sources(emit, bodies, const { &parts::<L, L>() }, 0)
}

/// As [`lanes`], for an immediate that has `SHIFT` bits for each half.
pub(super) fn lanes_by_bits<O: Operation, const SHIFT: u32>(emit: &mut Emit) -> Option<()> {
    let bodies = const { &bodies::<Each<O>>() };
    emit_sources(emit, bodies, const { &whole::<O::Source>() }, SHIFT)
}

/// Emits an instruction whose source in memory is loaded by `loads`.
pub(super) fn lifted<I: Lift>(emit: &mut Emit, loads: &Loads) -> Option<()> {
    emit_sources(emit, const { &bodies::<I>() }, loads, 0)
}

/// The handlers with a source in memory, by length, for the forms without a second slot.
type Fused = [ByForm; 2];

/// Emits the op that loads its last operand itself, if there is one for its form.
fn emit_fused(
    emit: &mut Emit,
    fused: &Fused,
    body: &Body,
    position: u32,
    second: u8,
) -> Option<()> {
    if !body.is_handled(emit) || !emit.is_memory(position) {
        return None;
    }
    let registers = pair(emit.register(0), second);
    emit.memory_op(&fused[usize::from(is_wide(emit))], registers, None);
    Some(())
}

/// As [`lanes`], for an operation without an immediate and with two sources that is frequent enough for
/// one in memory to have handlers of its own.
pub(super) fn frequent<O: Operation>(emit: &mut Emit) -> Option<()> {
    let fused: &Fused = const {
        &[by_form!(A => binary_memory::<O, A, Xmm>), by_form!(A => binary_memory::<O, A, Ymm>)]
    };
    let body = const { &Body::binary::<Each<O>, Xmm>() };
    let second = emit.register(1);
    emit_fused(emit, fused, body, 2, second).or_else(|| lanes::<O>(emit))
}

/// As [`frequent`], for scalars.
pub(super) fn frequent_low<O: Operation>(emit: &mut Emit) -> Option<()> {
    let fused: &Fused = const { &[by_form!(A => binary_memory::<O, A, Xmm>); 2] };
    let body = const { &Body::binary::<Each<O>, Xmm>() };
    let second = emit.register(1);
    emit_fused(emit, fused, body, 2, second).or_else(|| low::<O>(emit))
}

/// Emits an operation whose third source is the fourth operand, and the first one the second.
pub(super) fn with_fourth<O: ThreeSources>(emit: &mut Emit) -> Option<()> {
    let wide = usize::from(is_wide(emit));
    let b = source(emit, 2, const { &whole::<O::Source>() });
    let (a, c, d) = (emit.register(0), emit.register(3), emit.register(1));
    let bodies = const { &bodies_of_three::<O>() };
    bodies[wide].emit(emit, Operands { a, b, c, d, immediate: [0; 2] });
    Some(())
}

fn accumulate(emit: &mut Emit, bodies: &Bodies, fused: &Fused, loads: &Loads) -> Option<()> {
    let wide = usize::from(is_wide(emit));
    let (a, c) = (emit.register(0), emit.register(1));
    emit_fused(emit, fused, &bodies[wide], 2, c).or_else(|| {
        let b = source(emit, 2, loads);
        bodies[wide].emit(emit, Operands { a, b, c, d: a, immediate: [0; 2] });
        Some(())
    })
}

/// Emits an operation of packed elements on the destination, the third operand and the second one.
pub(super) fn accumulate_lanes<O: ThreeSources>(emit: &mut Emit) -> Option<()> {
    let fused: &Fused = const {
        &[by_form!(A => ternary_memory::<O, A, Xmm>), by_form!(A => ternary_memory::<O, A, Ymm>)]
    };
    accumulate(emit, const { &bodies_of_three::<O>() }, fused, const { &whole::<O::Source>() })
}

/// As [`accumulate_lanes`], for scalars.
pub(super) fn accumulate_low<O: ThreeSources>(emit: &mut Emit) -> Option<()> {
    let fused: &Fused = const { &[by_form!(A => ternary_memory::<O, A, Xmm>); 2] };
    let bodies = const { &[Body::ternary::<O, Xmm>(); 2] };
    accumulate(emit, bodies, fused, const { &parts::<O::Source, O::Source>() })
}

/// Emits a [`FromGeneral`] whose first source, if it is not the destination alone, is operand 1.
pub(super) fn out_of_general<O: FromGeneral>(emit: &mut Emit) -> Option<()> {
    let last = emit.instruction.op_count() - 1;
    let immediate = if emit.is_immediate(last) { emit.immediate(last) as u8 } else { 0 };
    let position = if emit.is_immediate(last) { last - 1 } else { last };
    let in_memory = emit.is_memory(position);
    let b = source(emit, position, const { &parts::<O::Source, O::Source>() });
    let a = emit.register(0);
    let c = if position == 2 { emit.register(1) } else { a };
    let handler: Handler = if in_memory { from_low::<O> } else { from_general::<O> };
    let called: Option<Function> = if O::FLOATS { Some(from_general_guarded::<O>) } else { None };
    let body = Body { handler, needs: HostVector::empty(), floats: O::FLOATS, called };
    body.emit(emit, Operands { a, b, c, d: 0, immediate: [immediate; 2] });
    Some(())
}

const _: () = assert!(<u128 as Width>::BYTES == HALF);
