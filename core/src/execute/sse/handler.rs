//! The ops of vector instructions, and how each kind of instruction becomes ops.

use super::super::address::{Address, operand};
use super::super::dispatch::{Flow, leave, next};
use super::super::emit::{ByForm, Emit, Function, by_form};
use super::super::flags::Kind;
use super::super::host_vector::HostVector;
use super::super::op::{Detail, Handler, Op};
use super::super::{Cpu, Leave};
use super::host_float::guarded;
use super::vector::{Lanes, Load, Registers, SCRATCH, Store, Xmm};
use super::{Compare, FromGeneral, Operation, Portable, ThreeSources, ToGeneral};
use crate::state::Exception;

/// The address of a 16-byte operand is no multiple of 16.
#[cold]
#[inline(never)]
pub(in crate::execute) unsafe extern "C" fn misaligned(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &const { Leave::Exception(Exception::GP0) })
}

/// Leaves the handler unless its operand is aligned as `$form` says.
macro_rules! check_alignment {
    ($form:ty, $write:literal, $address:ty, $cpu:ident, $op:ident, $res:ident, $src:ident, $budget:ident) => {
        if <$form>::ALIGNED {
            // SAFETY: the emitter pairs the handler with an op of this form.
            let linear = unsafe { <$address>::linear::<u128, $write>($cpu, $op, $res, $src) };
            if !linear.is_multiple_of(16) {
                // SAFETY: the handler's own arguments.
                return unsafe {
                    $crate::execute::sse::handler::misaligned($cpu, $op, $res, $src, $budget)
                };
            }
        }
    };
}

pub(super) use check_alignment;

/// Loads register `a`.
pub(super) unsafe extern "C" fn load<L: Load, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    check_alignment!(L, false, A, cpu, op, res, src, budget);
    let pointer = operand!(read L::Memory, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe {
        let a = (*op).a;
        (a, L::load(pointer, cpu.vector(a)))
    };
    cpu.set_vector(a, value);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// Stores register `a`.
pub(in crate::execute) unsafe extern "C" fn store<S: Store, A: Address, R: Registers>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    check_alignment!(S, true, A, cpu, op, res, src, budget);
    let pointer = operand!(WRITE S::Memory, A, 0, cpu, op, res, src, budget);
    R::enter(cpu);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    unsafe { S::store(pointer, R::get(cpu, (*op).a)) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// Register `a` becomes what the operation makes of it and register `b`.
pub(in crate::execute) unsafe extern "C" fn binary<O: Operation, R: Registers>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    R::enter(cpu);
    let (left, right) = (R::get(cpu, a), R::get(cpu, b));
    let result = O::apply(&mut cpu.state.fpu.mxcsr, left, right, imm as u8);
    R::set(cpu, a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Register `a` becomes what the operation makes of it and memory.
unsafe extern "C" fn binary_memory<O: Operation, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    check_alignment!(O::Source, false, A, cpu, op, res, src, budget);
    let pointer = operand!(read <O::Source as Load>::Memory, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, right) = unsafe { ((*op).a, O::Source::load(pointer, 0_u128.vector())) };
    let left = cpu.vector(a);
    let result = O::apply(&mut cpu.state.fpu.mxcsr, left, right, 0);
    cpu.set_vector(a, result);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// Register `a` becomes what the operation makes of it and registers `b` and `c`.
unsafe extern "C" fn three_sources<O: ThreeSources>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, .. } = unsafe { *op };
    let (left, right, third) = (cpu.vector(a), cpu.vector(b), cpu.vector(c));
    let result = O::apply(&mut cpu.state.fpu.mxcsr, left, right, third);
    cpu.set_vector(a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// General register `a` becomes what the operation makes of register `b`.
pub(in crate::execute) unsafe extern "C" fn to_general<O: ToGeneral, R: Registers>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    R::enter(cpu);
    let source = R::get(cpu, b);
    let value = O::apply(&mut cpu.state.fpu.mxcsr, source, imm as u8);
    cpu.set::<O::Width>(a, value);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Register `a` becomes what the operation makes of it and general register `b`.
pub(in crate::execute) unsafe extern "C" fn from_general<O: FromGeneral, R: Registers>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    R::enter(cpu);
    let (left, right) = (R::get(cpu, a), cpu.get::<O::Width>(b));
    let result = O::apply(&mut cpu.state.fpu.mxcsr, left, right, imm as u8);
    R::set(cpu, a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Register `a` becomes what the operation makes of it and the low part of vector register `b`.
pub(in crate::execute) unsafe extern "C" fn from_low<O: FromGeneral, R: Registers>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    R::enter(cpu);
    let (left, [right, _]) = (R::get(cpu, a), Lanes::of(cpu.vector(b)));
    let result = O::apply(&mut cpu.state.fpu.mxcsr, left, right, imm as u8);
    R::set(cpu, a, result);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// The status flags become what the comparison of registers `a` and `b` makes of them.
unsafe extern "C" fn compare<O: Compare>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (cpu.vector(a), cpu.vector(b));
    let src = O::apply(&mut cpu.state.fpu.mxcsr, left, right);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

// The same while an exception is unmasked: functions, which can raise #XM.

/// The number of the vector register with operand `position`, which has been loaded if it was in
/// memory.
fn number(detail: &Detail, position: usize) -> u8 {
    match usize::from(detail.memory) == position {
        true => SCRATCH,
        false => detail.registers[position],
    }
}

fn binary_guarded<O: Operation>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let a = number(detail, 0);
    let (left, right) = (cpu.vector(a), cpu.vector(number(detail, 1)));
    let result = guarded(cpu, |mxcsr| O::compute(mxcsr, left, right, detail.immediate as u8))?;
    cpu.set_vector(a, result);
    Ok(())
}

fn to_general_guarded<O: ToGeneral>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let source = cpu.vector(number(detail, 1));
    let value = guarded(cpu, |mxcsr| O::compute(mxcsr, source, detail.immediate as u8))?;
    cpu.set::<O::Width>(detail.registers[0], value);
    Ok(())
}

fn from_general_guarded<O: FromGeneral>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let a = number(detail, 0);
    let left = cpu.vector(a);
    let right = match detail.memory {
        1 => <[u64; 2]>::of(cpu.vector(SCRATCH))[0],
        _ => cpu.get::<O::Width>(detail.registers[1]),
    };
    let result = guarded(cpu, |mxcsr| O::compute(mxcsr, left, right, detail.immediate as u8))?;
    cpu.set_vector(a, result);
    Ok(())
}

fn compare_guarded<O: Compare>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let (left, right) = (cpu.vector(number(detail, 0)), cpu.vector(number(detail, 1)));
    let flags = guarded(cpu, |mxcsr| O::compute(mxcsr, left, right))?;
    cpu.set_status(flags);
    Ok(())
}

// Aligned operands outside 64-bit mode. There the fast path does not know the linear address of an
// operand that its segment does not simply let through, so functions look at its alignment.

fn aligned_linear(cpu: &Cpu, detail: &Detail, write: bool) -> Result<u64, Leave> {
    // The alignment comes first: in the stack segment, another exception.
    let base = cpu.state.segments[super::super::segment_register(detail.segment)].base;
    if !base.wrapping_add(cpu.effective_address(detail)).is_multiple_of(16) {
        return Err(Exception::GP0.into());
    }
    cpu.linear(detail, 16, write)
}

fn load_aligned(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let linear = aligned_linear(cpu, detail, false)?;
    let value: u128 = cpu.load(super::super::segment_register(detail.segment), linear)?;
    cpu.set_vector(SCRATCH, value.vector());
    Ok(())
}

fn store_aligned(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let linear = aligned_linear(cpu, detail, true)?;
    let value = u128::of(cpu.vector(detail.registers[1]));
    cpu.store(super::super::segment_register(detail.segment), linear, value)
}

/// Whether the fast path can check the alignment of an operand.
pub(super) fn checks_alignment(emit: &Emit) -> bool {
    emit.mode.bitness == 64
}

/// What an operand in memory asks of the emitter.
struct Source {
    load: ByForm,
    aligned: bool,
}

const fn source_of<L: Load>() -> Source {
    Source { load: by_form!(A => load::<L, A>), aligned: L::ALIGNED }
}

/// The handlers of an operation: for hosts that have what it needs, and for others.
#[derive(Clone, Copy)]
pub(in crate::execute) struct Masked {
    needs: HostVector,
    accelerated: Handler,
    portable: Handler,
}

impl Masked {
    /// One that every host can use.
    pub const fn anywhere(handler: Handler) -> Self {
        Self::accelerated(HostVector::empty(), handler, handler)
    }

    /// One for hosts that have what it needs, and one for others.
    pub const fn accelerated(needs: HostVector, accelerated: Handler, portable: Handler) -> Self {
        Self { needs, accelerated, portable }
    }

    /// The one for this host.
    pub fn pick(&self, emit: &Emit) -> Handler {
        if emit.host_has(self.needs) { self.accelerated } else { self.portable }
    }
}

/// What an instruction asks of the emitter.
struct Body {
    source: Source,
    /// What executes it while all exceptions are masked.
    masked: Masked,
    /// What executes it while one is not; `None` if it raises none.
    guarded: Option<Function>,
}

/// The vector register with operand `position`; one in memory is loaded first.
fn source(emit: &mut Emit, position: u32, source: &Source) -> u8 {
    if !emit.is_memory(position) {
        return emit.register(position);
    }
    if source.aligned && !checks_alignment(emit) {
        emit.call_out_within(load_aligned);
    } else {
        emit.memory_op(&source.load, SCRATCH, None);
    }
    SCRATCH
}

/// Emits an instruction that reads operand 1 and writes operand 0.
fn emit_body(emit: &mut Emit, body: &Body) -> Option<()> {
    let last = emit.instruction.op_count() - 1;
    let immediate = if emit.is_immediate(last) { emit.immediate(last) as u8 } else { 0 };
    let b = if emit.is_immediate(1) { 0 } else { source(emit, 1, &body.source) };
    match body.guarded {
        Some(guarded) if !emit.mode.simd_masked => emit.call_out(guarded),
        _ => emit.op(body.masked.pick(emit), emit.register(0), b, 0, 0, immediate.into()),
    }
    Some(())
}

/// Emits a load of register operand 0 from memory.
pub(super) fn load_register<L: Load>(emit: &mut Emit) -> Option<()> {
    let form = const { source_of::<L>() };
    if form.aligned && !checks_alignment(emit) {
        let b = source(emit, 1, &form);
        emit.op(binary::<super::moves::Copy, Xmm>, emit.register(0), b, 0, 0, 0);
    } else {
        emit.memory_op(&form.load, emit.register(0), None);
    }
    Some(())
}

/// Emits a store of register operand 1 to memory.
pub(super) fn store_register<S: Store>(emit: &mut Emit) -> Option<()> {
    if S::ALIGNED && !checks_alignment(emit) {
        emit.call_out(store_aligned);
    } else {
        let handlers: ByForm = by_form!(A => store::<S, A, Xmm>);
        emit.memory_op(&handlers, emit.register(1), None);
    }
    Some(())
}

/// Emits an [`Operation`].
pub(super) fn operation<O: Operation>(emit: &mut Emit) -> Option<()> {
    let form = const {
        Body {
            source: source_of::<O::Source>(),
            masked: on_registers::<O, Xmm>(),
            guarded: if O::FLOATS { Some(binary_guarded::<O> as Function) } else { None },
        }
    };
    emit_body(emit, &form)
}

/// The handlers of an operation by its immediate, the upper four bits first: one that the host's
/// own instruction has in its code, too.
pub(super) type ByImmediate = [[Handler; 16]; 16];

/// What executes an [`Operation`] on registers.
pub(in crate::execute) const fn on_registers<O: Operation, R: Registers>() -> Masked {
    // Only what is named here becomes code.
    match O::NEEDS.is_empty() {
        true => Masked::anywhere(binary::<O, R>),
        false => Masked::accelerated(O::NEEDS, binary::<O, R>, binary::<Portable<O>, R>),
    }
}

/// What executes an [`Operation`] on registers where the host has what it needs.
pub(super) const fn on_host<O: Operation>() -> Handler {
    binary::<O, Xmm>
}

/// Emits an operation without exceptions that has its source in operand 1, and an immediate.
pub(super) fn operation_by_immediate<L: Load>(
    emit: &mut Emit,
    handlers: &ByImmediate,
) -> Option<()> {
    let immediate = emit.immediate(2) as usize;
    let masked = Masked::anywhere(handlers[immediate >> 4 & 15][immediate & 15]);
    emit_body(emit, &Body { source: const { source_of::<L>() }, masked, guarded: None })
}

/// Emits an [`Operation`] whose immediate the host's instruction has in its code: `accelerated` are the
/// handlers for it, of which `choose` gives the place.
pub(super) fn emit_by_immediate<O: Operation>(
    emit: &mut Emit,
    accelerated: &[Handler],
    choose: fn(u8) -> u8,
) -> Option<()> {
    let place = choose(emit.immediate(2) as u8);
    let accelerated = *accelerated.get(usize::from(place))?;
    let masked = Masked::accelerated(O::NEEDS, accelerated, binary::<Portable<O>, Xmm>);
    let guarded = if O::FLOATS { Some(binary_guarded::<O> as Function) } else { None };
    emit_body(emit, &Body { source: const { source_of::<O::Source>() }, masked, guarded })
}

/// The vector register with operand `position`; one in memory is loaded first.
pub(in crate::execute) fn vector_source<L: Load>(emit: &mut Emit, position: u32) -> u8 {
    source(emit, position, &const { source_of::<L>() })
}

/// Emits an [`Operation`] without an immediate operand that is frequent enough for a source in
/// memory to have handlers of its own.
pub(super) fn frequent<O: Operation>(emit: &mut Emit) -> Option<()> {
    const { assert!(O::NEEDS.is_empty(), "what is frequent has one handler for all hosts") };
    let guarded = O::FLOATS && !emit.mode.simd_masked;
    let slow = O::Source::ALIGNED && !checks_alignment(emit);
    if guarded || slow || !emit.is_memory(1) {
        return operation::<O>(emit);
    }
    let handlers: ByForm = by_form!(A => binary_memory::<O, A>);
    emit.memory_op(&handlers, emit.register(0), None);
    Some(())
}

/// Emits a [`ThreeSources`] whose third one is XMM0.
pub(super) fn with_xmm0<O: ThreeSources>(emit: &mut Emit) -> Option<()> {
    const { assert!(!O::FLOATS, "no function raises exceptions") };
    let masked = const {
        match O::NEEDS.is_empty() {
            true => Masked::anywhere(three_sources::<O>),
            false => {
                Masked::accelerated(O::NEEDS, three_sources::<O>, three_sources::<Portable<O>>)
            }
        }
    };
    let b = source(emit, 1, &const { source_of::<O::Source>() });
    emit.op(masked.pick(emit), emit.register(0), b, 0, 0, 0);
    Some(())
}

/// Emits a [`ToGeneral`].
pub(in crate::execute) fn into_general<O: ToGeneral>(emit: &mut Emit) -> Option<()> {
    let form = const {
        Body {
            source: source_of::<O::Source>(),
            masked: Masked::anywhere(to_general::<O, Xmm>),
            guarded: if O::FLOATS { Some(to_general_guarded::<O> as Function) } else { None },
        }
    };
    emit_body(emit, &form)
}

/// Emits a [`FromGeneral`].
pub(super) fn out_of_general<O: FromGeneral>(emit: &mut Emit) -> Option<()> {
    let form = Body {
        source: const { source_of::<O::Source>() },
        masked: Masked::anywhere(match emit.is_memory(1) {
            true => from_low::<O, Xmm>,
            false => from_general::<O, Xmm>,
        }),
        guarded: if O::FLOATS { Some(from_general_guarded::<O>) } else { None },
    };
    emit_body(emit, &form)
}

/// Emits a [`Compare`].
pub(in crate::execute) fn comparison<O: Compare>(emit: &mut Emit) -> Option<()> {
    let b = source(emit, 1, &const { source_of::<O::Source>() });
    if emit.mode.simd_masked {
        emit.op(compare::<O>, emit.register(0), b, 0, 0, 0);
        emit.writes_flags(Kind::KNOWN);
    } else {
        emit.call_out_with_flags(compare_guarded::<O>);
    }
    Some(())
}
