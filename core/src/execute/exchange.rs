//! Exchanges: XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B. XCHG and BSWAP are elsewhere; what is locked is in
//! `locked`.

use iced_x86::Mnemonic;

use super::arithmetic::{Add, Binary, Sub, cut};
use super::emit::{Emit, functions};
use super::flags::{Kind, ZF};
use super::op::{Detail, Prefixes};
use super::table::Row;
use super::{Cpu, Leave, locked, segment_register};
use crate::memory::Width;
use crate::paging::Update;
use crate::state::Exception;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Xadd, xadd),
    (Mnemonic::Cmpxchg, cmpxchg),
    (Mnemonic::Cmpxchg8b, |e| compare_pair::<u32, u64>(e)),
    (Mnemonic::Cmpxchg16b, |e| compare_pair::<u64, u128>(e)),
];

fn xadd(emit: &mut Emit) -> Option<()> {
    if emit.is_locked() {
        return locked::exchange_add(emit);
    }
    emit.call_out_with_flags(functions!(exchange_add)[emit.width(0)]);
    Some(())
}

/// Operand 1 takes the old value before operand 0 takes the sum, which counts when both are one
/// register.
fn exchange_add<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let right = cpu.get::<W>(detail.registers[1]);
    let old = if detail.memory == 0 {
        let old = cpu.update(detail, false, Update::Add(W::truncate(right)))?;
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
    if emit.is_locked() {
        return locked::compare(emit);
    }
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
        cpu.update(detail, false, Update::ReplaceIf { expected, new })?
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
    let function = compare_exchange_pair::<Half, Whole>;
    if emit.is_locked() {
        locked::compare_pair::<Half, Whole>(emit, function);
    } else {
        emit.call_out_with_flags(function);
    }
    Some(())
}

/// CMPXCHG8B and CMPXCHG16B compare with (E/R)DX:(E/R)AX and store (E/R)CX:(E/R)BX.
fn compare_exchange_pair<Half: Width, Whole: Width>(
    cpu: &mut Cpu,
    detail: &Detail,
) -> Result<(), Leave> {
    let (expected, new) = locked::pairs::<Half, Whole>(cpu);
    let linear = cpu.linear(detail, Whole::BYTES as u64, true)?;
    // SDM, CMPXCHG16B: the operand has to be aligned.
    if Whole::BYTES == 16 && linear % 16 != 0 {
        return Err(Exception::GP0.into());
    }
    let is_locked = detail.prefixes.contains(Prefixes::LOCK);
    let segment = segment_register(detail.segment);
    let found = cpu
        .mmu
        .update(&cpu.state, linear, is_locked, Update::ReplaceIf { expected, new })
        .map_err(|error| Leave::access(error, segment))?;
    let equal = locked::compared_pair::<Half, Whole>(cpu, expected, found);
    cpu.set_status(cpu.status() & !ZF | equal);
    Ok(())
}
