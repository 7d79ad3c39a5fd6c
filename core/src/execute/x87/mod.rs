//! x87 instructions, one file per group of the manual. Arithmetic is in `float80`, in integers; the
//! register stack in `stack`.
//!
//! Every instruction here is a call-out: it checks that it may execute, accesses memory at most once
//! before anything changes, and settles its exceptions at its end. Unmasked exceptions are left for
//! the next waiting instruction to raise.

pub(super) mod arithmetic;
pub(super) mod comparison;
pub(super) mod constants;
pub(super) mod control;
pub(super) mod data_transfer;
pub(super) mod environment;
mod float80;
mod stack;
pub(super) mod transcendental;

pub(super) use self::control::{initialize, set_control_word};

use self::float80::{Float80, Number, from_integer, widen_double, widen_single};
use self::stack::SUMMARY;
use super::emit::{Emit, Function};
use super::op::Detail;
use super::{Cpu, Leave};
use crate::state::{Cr0Flags, Exception, Fpu, SegmentRegister, Vector};

/// The row's function, with the opcode that the instruction leaves behind.
fn plain(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_with_immediate(function, last_opcode(emit).into());
    Some(())
}

/// As [`plain`], for a function that reads or writes status flags.
fn with_flags(emit: &mut Emit, function: Function) -> Option<()> {
    emit.materialize();
    plain(emit, function)
}

/// The last-instruction opcode: the low three bits of the first byte behind the prefixes, and the
/// second (SDM, "Last Instruction Opcode").
fn last_opcode(emit: &Emit) -> u16 {
    let bytes = &emit.bytes[..emit.instruction.len()];
    let at = bytes.iter().position(|byte| byte & 0xf8 == 0xd8).unwrap_or(0);
    let second = bytes.get(at + 1).copied().unwrap_or(0);
    u16::from(bytes[at] & 7) << 8 | u16::from(second)
}

/// #NM while the system keeps the state from use.
pub(super) fn require(cpu: &Cpu) -> Result<(), Leave> {
    let withheld = Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED;
    match cpu.state.control.cr0.intersects(withheld) {
        true => Err(Exception::NM.into()),
        false => Ok(()),
    }
}

/// Whether an earlier instruction has left an unmasked exception.
pub(super) fn is_pending(fpu: &Fpu) -> bool {
    fpu.status_word & SUMMARY != 0
}

/// Raises #MF for an unmasked exception that an earlier instruction has left. With CR0.NE clear the
/// processor asserts FERR# instead and waits for an interrupt, unless the platform answers by IGNNE#
/// (SDM, "MS-DOS* Compatibility Sub-mode").
fn raise_pending(cpu: &mut Cpu) -> Result<(), Leave> {
    if !is_pending(&cpu.state.fpu) {
        cpu.error_line = ErrorLine::Low;
        return Ok(());
    }
    if cpu.state.control.cr0.contains(Cr0Flags::NUMERIC_ERROR) {
        return Err(Exception::plain(Vector::X87FloatingPoint).into());
    }
    match cpu.error_line {
        ErrorLine::Ignored => Ok(()),
        ErrorLine::Low | ErrorLine::Asserted => Err(Leave::FloatingPointError),
    }
}

/// FERR# and IGNNE#, as waiting instructions know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorLine {
    /// No exception is pending that the host has been told of.
    Low,
    /// The host has been told of the exception that is pending.
    Asserted,
    /// It has asserted IGNNE#: instructions go on until no exception is pending.
    Ignored,
}

/// What every waiting instruction begins with.
pub(super) fn wait(cpu: &mut Cpu) -> Result<(), Leave> {
    require(cpu)?;
    raise_pending(cpu)
}

/// Notes the instruction as the last one, once it can no longer fault. Without descriptors the pointers
/// are linear, as images of those modes have them: no selector is kept from which that could be made
/// later.
fn note<'a>(cpu: &'a mut Cpu, detail: &Detail) -> &'a mut Fpu {
    let linear = !cpu.state.has_descriptors();
    let base = |cpu: &Cpu, segment| if linear { cpu.state.segments[segment].base } else { 0 };
    let segment = super::segment_register(detail.segment);
    let data = (detail.memory != Detail::NO_MEMORY)
        .then(|| base(cpu, segment).wrapping_add(cpu.effective_address(detail)));
    let instruction = base(cpu, SegmentRegister::Cs).wrapping_add(detail.rip());
    let fpu = &mut cpu.state.fpu;
    fpu.instruction_pointer = instruction;
    fpu.opcode = detail.immediate as u16;
    if let Some(data) = data {
        fpu.data_pointer = data;
    }
    fpu
}

/// How a number lies in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Float,
    Integer,
}

/// Reads a memory operand of up to eight bytes.
fn read_number(cpu: &mut Cpu, detail: &Detail, format: Format) -> Result<Number, Leave> {
    Ok(match (format, detail.width) {
        (Format::Float, 4) => widen_single(cpu.read_memory::<u32>(detail)?.into()),
        (Format::Float, _) => widen_double(cpu.read_memory::<u64>(detail)?),
        (Format::Integer, 2) => from_integer((cpu.read_memory::<u16>(detail)? as i16).into()),
        (Format::Integer, 4) => from_integer((cpu.read_memory::<u32>(detail)? as i32).into()),
        (Format::Integer, _) => from_integer(cpu.read_memory::<u64>(detail)? as i64),
    })
}

/// Reads ten bytes: eight, and then two, as the processor does.
fn read_ten(cpu: &mut Cpu, detail: &Detail) -> Result<u128, Leave> {
    let segment = super::segment_register(detail.segment);
    let low = cpu.read_memory::<u64>(detail)?;
    let linear = cpu.linear(detail, 10, false)?;
    let high = cpu.load::<u16>(segment, cpu.following(linear, 8))?;
    Ok(u128::from(high) << 64 | u128::from(low))
}

/// Whether the memory operand can be written; its linear address. Eight bytes are looked at, and then
/// all.
fn probe(cpu: &mut Cpu, detail: &Detail) -> Result<u64, Leave> {
    let segment = super::segment_register(detail.segment);
    let (bytes, first) = (detail.width, detail.width.min(8));
    let linear = cpu.linear(detail, first.into(), true)?;
    cpu.probe_store(segment, linear, first)?;
    if bytes > first {
        cpu.linear(detail, bytes.into(), true)?;
        cpu.probe_write(segment, linear, bytes.into())?;
    }
    Ok(linear)
}

/// Writes ten bytes.
fn write_ten(cpu: &mut Cpu, detail: &Detail, bits: u128) -> Result<(), Leave> {
    let segment = super::segment_register(detail.segment);
    let linear = probe(cpu, detail)?;
    cpu.store(segment, linear, bits as u64)?;
    cpu.store(segment, cpu.following(linear, 8), (bits >> 64) as u16)
}

/// Replaces ST(0) by what `operation` makes of it.
fn unary(
    cpu: &mut Cpu,
    detail: &Detail,
    operation: fn(&mut float80::Environment, Number) -> Float80,
) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let Some(source) = fpu.get(0) else {
        if fpu.underflow() {
            fpu.set(0, Float80::INDEFINITE);
        }
        return Ok(());
    };
    let mut env = fpu.environment();
    let result = operation(&mut env, source.unpack());
    fpu.deliver(&env, 0, result);
    Ok(())
}
