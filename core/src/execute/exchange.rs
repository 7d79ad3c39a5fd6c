//! Exchanges: XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B. XCHG and BSWAP are elsewhere.

use iced_x86::Mnemonic;

use super::arithmetic::{Add, Binary, Sub, cut};
use super::emit::{Emit, functions};
use super::flags::{Kind, ZF};
use super::op::{Detail, Prefixes};
use super::table::Row;
use super::{Cpu, Leave, segment_register};
use crate::memory::Width;
use crate::paging::Update;
use crate::state::{Exception, Register};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Xadd, xadd),
    (Mnemonic::Cmpxchg, cmpxchg),
    (Mnemonic::Cmpxchg8b, |e| compare_pair::<u32, u64>(e)),
    (Mnemonic::Cmpxchg16b, |e| compare_pair::<u64, u128>(e)),
];

fn xadd(emit: &mut Emit) -> Option<()> {
    emit.call_out_with_flags(functions!(exchange_add)[emit.width(0)]);
    Some(())
}

/// Operand 1 takes the old value before operand 0 takes the sum, which counts when both are one
/// register.
fn exchange_add<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = cpu.get::<W>(detail.registers[1]);
    let old = if detail.memory == 0 {
        let locked = detail.prefixes.contains(Prefixes::LOCK);
        let old = cpu.update(detail, locked, Update::Add(W::truncate(right)))?;
        cpu.set::<W>(detail.registers[1], old);
        old
    } else {
        let old = cpu.get::<W>(detail.registers[0]);
        cpu.set::<W>(detail.registers[1], old);
        cpu.set::<W>(detail.registers[0], old.wrapping_add(right));
        old
    };
    let sum = cut::<W>(old.wrapping_add(right));
    cpu.set_status(Kind::of::<W>(Add::CLASS).word(sum, right));
    Ok(())
}

fn cmpxchg(emit: &mut Emit) -> Option<()> {
    emit.call_out_with_flags(functions!(compare_exchange)[emit.width(0)]);
    Some(())
}

/// (E/R)AX or AL.
const ACCUMULATOR: u8 = 0;

/// The destination is written in either case (SDM, CMPXCHG), so it must be writable.
fn compare_exchange<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let expected = cpu.get::<W>(ACCUMULATOR);
    let new = cpu.get::<W>(detail.registers[1]);
    let old = if detail.memory == 0 {
        let (expected, new) = (W::truncate(expected), W::truncate(new));
        let locked = detail.prefixes.contains(Prefixes::LOCK);
        cpu.update(detail, locked, Update::ReplaceIf { expected, new })?
    } else {
        cpu.get::<W>(detail.registers[0])
    };
    if old != expected {
        cpu.set::<W>(ACCUMULATOR, old);
    } else if detail.memory != 0 {
        cpu.set::<W>(detail.registers[0], new);
    }
    let difference = cut::<W>(expected.wrapping_sub(old));
    cpu.set_status(Kind::of::<W>(Sub::CLASS).word(difference, old));
    Ok(())
}

fn compare_pair<Half: Width, Whole: Width>(emit: &mut Emit) -> Option<()> {
    emit.call_out_with_flags(compare_exchange_pair::<Half, Whole>);
    Some(())
}

/// CMPXCHG8B and CMPXCHG16B compare with (E/R)DX:(E/R)AX and store (E/R)CX:(E/R)BX.
fn compare_exchange_pair<Half: Width, Whole: Width>(
    cpu: &mut Cpu,
    detail: &Detail,
) -> Result<(), Leave> {
    const RAX: u8 = Register::Rax as u8 * 8;
    const RDX: u8 = Register::Rdx as u8 * 8;
    let gpr = cpu.state.gpr;
    let pair = |high, low| {
        let half = |register| u128::from(Half::truncate(gpr[register]).extend());
        Whole::narrow(half(high) << Half::BITS | half(low))
    };
    let expected = pair(Register::Rdx, Register::Rax);
    let new = pair(Register::Rcx, Register::Rbx);
    let linear = cpu.linear(detail, Whole::BYTES as u64, true)?;
    // SDM, CMPXCHG16B: the operand has to be aligned.
    if Whole::BYTES == 16 && linear % 16 != 0 {
        return Err(Exception::GP0.into());
    }
    let locked = detail.prefixes.contains(Prefixes::LOCK);
    let segment = segment_register(detail.segment);
    let old = cpu
        .mmu
        .update(&cpu.state, linear, locked, Update::ReplaceIf { expected, new })
        .map_err(|error| Leave::access(error, segment))?;
    let equal = old == expected;
    if !equal {
        let old = old.widen();
        cpu.set::<Half>(RAX, old as u64);
        cpu.set::<Half>(RDX, (old >> Half::BITS) as u64);
    }
    let others = cpu.status() & !ZF;
    cpu.set_status(if equal { others | ZF } else { others });
    Ok(())
}
