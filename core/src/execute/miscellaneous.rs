//! Miscellaneous instructions: NOP in all its forms, CPUID, XLAT, RDRAND, RDSEED, BOUND, ENTER,
//! PUSHA and POPA. UD0, UD1 and UD2 have no rows: they are undefined, as they promise.

use iced_x86::{Code, Mnemonic};

use super::dispatch::{Flow, next};
use super::emit::{Emit, Function};
use super::flags::CF;
use super::op::{Detail, Op};
use super::operand::address_mask;
use super::table::Row;
use super::{Cpu, Leave};
use crate::cpuid::cpuid;
use crate::memory::Width;
use crate::paging::AccessKind;
use crate::state::{Exception, Register, SegmentRegister, Vector};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Nop, nothing),
    (Mnemonic::Reservednop, nothing),
    // What the processor has not got of these is a reserved NOP, and that is how the translator has them
    // decoded. Their rows are for whoever lists them by name. First those of CET and MPX.
    (Mnemonic::Endbr32, nothing),
    (Mnemonic::Endbr64, nothing),
    (Mnemonic::Rdsspd, nothing),
    (Mnemonic::Rdsspq, nothing),
    (Mnemonic::Bndldx, nothing),
    (Mnemonic::Bndstx, nothing),
    (Mnemonic::Bndmk, nothing),
    (Mnemonic::Bndmov, nothing),
    (Mnemonic::Bndcl, nothing),
    (Mnemonic::Bndcu, nothing),
    (Mnemonic::Bndcn, nothing),
    (Mnemonic::Cldemote, nothing),
    // Hints that the processor need not know to ignore.
    (Mnemonic::Prefetch, nothing),
    (Mnemonic::Prefetchw, nothing),
    (Mnemonic::Prefetchwt1, nothing),
    (Mnemonic::Prefetchit0, nothing),
    (Mnemonic::Prefetchit1, nothing),
    (Mnemonic::Cpuid, |e| plain(e, identify)),
    (Mnemonic::Xlatb, |e| plain(e, translate)),
    (Mnemonic::Rdrand, random),
    (Mnemonic::Rdseed, random),
    (Mnemonic::Bound, check_bounds),
    (Mnemonic::Enter, enter),
    (Mnemonic::Pusha, |e| plain(e, push_all::<u16>)),
    (Mnemonic::Pushad, |e| plain(e, push_all::<u32>)),
    (Mnemonic::Popa, |e| plain(e, pop_all::<u16>)),
    (Mnemonic::Popad, |e| plain(e, pop_all::<u32>)),
];

/// AL.
const AL: u8 = 0;

/// Mostly no op at all. But where the instruction in front may leave behind itself, to have its
/// write attended to, there must be a place to go on that does not skip this one.
pub(super) fn nothing(emit: &mut Emit) -> Option<()> {
    if emit.is_left_behind() {
        emit.op(pass, 0, 0, 0, 0, 0);
    }
    Some(())
}

unsafe extern "C" fn pass(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

fn plain(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out(function);
    Some(())
}

/// CPUID.
fn identify(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    let gpr = &cpu.state.gpr;
    let (leaf, subleaf) = (gpr[Register::Rax] as u32, gpr[Register::Rcx] as u32);
    let results = cpuid(&cpu.model, &cpu.state, cpu.apic_id, leaf, subleaf);
    let registers = [Register::Rax, Register::Rbx, Register::Rcx, Register::Rdx];
    for (register, result) in registers.into_iter().zip(results) {
        cpu.state.gpr[register] = u64::from(result);
    }
    cpu.mmu.serialize();
    Ok(())
}

/// XLAT: the index is AL alone, which the general form of an address can't say.
fn translate(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let offset = cpu.get::<u64>(detail.base).wrapping_add(cpu.get::<u8>(AL));
    let segment = super::segment_register(detail.segment);
    let offset = offset & address_mask(detail.address_bits);
    let linear = cpu.segment_linear(segment, offset, 1, false)?;
    let byte = cpu.load::<u8>(segment, linear)?;
    cpu.set::<u8>(AL, u64::from(byte));
    Ok(())
}

/// RDRAND and RDSEED.
fn random(emit: &mut Emit) -> Option<()> {
    let functions: [Function; 3] = [draw::<u16>, draw::<u32>, draw::<u64>];
    emit.call_out_with_flags(functions[emit.width(0) - 1]);
    Some(())
}

/// A number is always there, so CF is set; the other flags are clear (SDM, RDRAND).
fn draw<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    // SplitMix64.
    cpu.random = cpu.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = cpu.random;
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    cpu.set::<W>(detail.registers[0], value ^ value >> 31);
    cpu.set_status(CF);
    Ok(())
}

/// BOUND exists with 16 and 32 bits only.
fn check_bounds(emit: &mut Emit) -> Option<()> {
    emit.call_out(if emit.width(0) == 1 { bound::<u16> } else { bound::<u32> });
    Some(())
}

fn bound<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let segment = super::segment_register(detail.segment);
    let size = W::BYTES as u64;
    let offset = cpu.effective_address(detail);
    let mut load = |offset: u64| {
        let offset = offset & address_mask(detail.address_bits);
        let linear = cpu.segment_linear(segment, offset, size, false)?;
        Ok::<_, Leave>(cpu.load::<W>(segment, linear)?.sign_extend() as i64)
    };
    let (lower, upper) = (load(offset)?, load(offset.wrapping_add(size))?);
    let index = W::truncate(cpu.get::<W>(detail.registers[0])).sign_extend() as i64;
    if (lower..=upper).contains(&index) {
        return Ok(());
    }
    Err(Exception::plain(Vector::BoundRange).into())
}

fn enter(emit: &mut Emit) -> Option<()> {
    emit.call_out(match emit.instruction.code() {
        Code::Enterw_imm16_imm8 => make_frame::<u16>,
        Code::Enterd_imm16_imm8 => make_frame::<u32>,
        _ => make_frame::<u64>,
    });
    Some(())
}

/// ENTER.
fn make_frame<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let kept = [cpu.state.gpr[Register::Rsp], cpu.state.gpr[Register::Rbp]];
    let result = push_frame::<W>(cpu, detail);
    if result.is_err() {
        [cpu.state.gpr[Register::Rsp], cpu.state.gpr[Register::Rbp]] = kept;
    }
    result
}

fn push_frame<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    const RBP: u8 = Register::Rbp as u8 * 8;
    let (allocated, level) = (detail.immediate & 0xffff, detail.immediate >> 32 & 31);
    let mask = address_mask(cpu.state.stack_bitness() as u8);
    let old = cpu.state.gpr[Register::Rbp];
    cpu.push(W::truncate(old))?;
    let frame = cpu.state.gpr[Register::Rsp];
    for distance in 1..level {
        let offset = old.wrapping_sub(distance * W::BYTES as u64) & mask;
        let linear = cpu.segment_linear(SegmentRegister::Ss, offset, W::BYTES as u64, false)?;
        let link = cpu.load::<W>(SegmentRegister::Ss, linear)?;
        cpu.push(link)?;
    }
    if level > 0 {
        cpu.push(W::truncate(frame))?;
    }
    cpu.set::<W>(RBP, frame);
    cpu.add_to_stack_pointer(allocated.wrapping_neg());
    // SDM, ENTER: a page fault if a write at the final stack pointer would cause one.
    let top = cpu.state.gpr[Register::Rsp] & mask;
    let linear = cpu.segment_linear(SegmentRegister::Ss, top, W::BYTES as u64, true)?;
    cpu.mmu
        .check_alignment(&cpu.state, linear, W::BYTES, AccessKind::Write)
        .map_err(|error| Leave::access(error, SegmentRegister::Ss))?;
    cpu.probe_write(SegmentRegister::Ss, linear, W::BYTES as u32)
}

/// PUSHA and PUSHAD.
fn push_all<W: Width>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    let rsp = cpu.state.gpr[Register::Rsp];
    let values: [u64; 8] = core::array::from_fn(|number| cpu.state.gpr.as_array()[number]);
    let result = values.into_iter().try_for_each(|value| cpu.push(W::truncate(value)));
    if result.is_err() {
        cpu.state.gpr[Register::Rsp] = rsp;
    }
    result
}

/// POPA and POPAD: the image of (E)SP is skipped.
fn pop_all<W: Width>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    let mut values = [0; 8];
    for (place, value) in values.iter_mut().enumerate() {
        *value = cpu.peek::<W>((place * W::BYTES) as u64)?.extend();
    }
    for (register, value) in Register::ALL.into_iter().zip(values.into_iter().rev()) {
        if register != Register::Rsp {
            cpu.set::<W>(register as u8 * 8, value);
        }
    }
    cpu.add_to_stack_pointer(8 * W::BYTES as u64);
    Ok(())
}
