//! Comparison and classification: FCOM, FUCOM, FICOM, FCOMI, FUCOMI and their popping forms, FTST,
//! FXAM.

use iced_x86::Mnemonic;

use super::float80::{Float80, Kind, Number, Order, order};
use super::stack::{C0, C1, C2, C3};
use super::{Format, note, plain, read_number, wait, with_flags};
use crate::execute::flags::{CF, PF, ZF};
use crate::execute::op::Detail;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Fcom, |e| plain(e, |cpu, detail| compare(cpu, detail, Format::Float, 0))),
    (Mnemonic::Fcomp, |e| plain(e, |cpu, detail| compare(cpu, detail, Format::Float, 1))),
    (Mnemonic::Fcompp, |e| plain(e, |cpu, detail| compare_below(cpu, detail, false))),
    (Mnemonic::Ficom, |e| plain(e, |cpu, detail| compare(cpu, detail, Format::Integer, 0))),
    (Mnemonic::Ficomp, |e| plain(e, |cpu, detail| compare(cpu, detail, Format::Integer, 1))),
    (Mnemonic::Fucom, |e| plain(e, |cpu, detail| compare_quietly(cpu, detail, 0))),
    (Mnemonic::Fucomp, |e| plain(e, |cpu, detail| compare_quietly(cpu, detail, 1))),
    (Mnemonic::Fucompp, |e| plain(e, |cpu, detail| compare_below(cpu, detail, true))),
    (Mnemonic::Ftst, |e| plain(e, test)),
    (Mnemonic::Fxam, |e| plain(e, examine)),
    (Mnemonic::Fcomi, |e| with_flags(e, |cpu, detail| compare_flags(cpu, detail, false, 0))),
    (Mnemonic::Fcomip, |e| with_flags(e, |cpu, detail| compare_flags(cpu, detail, false, 1))),
    (Mnemonic::Fucomi, |e| with_flags(e, |cpu, detail| compare_flags(cpu, detail, true, 0))),
    (Mnemonic::Fucomip, |e| with_flags(e, |cpu, detail| compare_flags(cpu, detail, true, 1))),
];

/// The condition code of an order.
fn condition(order: Order) -> u16 {
    match order {
        Order::Greater => 0,
        Order::Less => C0,
        Order::Equal => C3,
        Order::Unordered => C0 | C2 | C3,
    }
}

/// Compares ST(0) with `right` as far as both are there. Whether the instruction may pop: an unmasked
/// exception forbids that alone.
fn order_of(cpu: &mut Cpu, right: Option<Number>, quiet: bool) -> (Order, bool) {
    let fpu = &mut cpu.state.fpu;
    let (Some(left), Some(right)) = (fpu.get(0), right) else {
        return (Order::Unordered, fpu.underflow());
    };
    let mut env = fpu.environment();
    let order = order(&mut env, left.unpack(), right, quiet);
    (order, fpu.settle(&env))
}

/// Leaves the order in the condition code, and pops.
fn conclude(cpu: &mut Cpu, (order, completes): (Order, bool), pops: u8) {
    let fpu = &mut cpu.state.fpu;
    fpu.set_condition(C0 | C2 | C3, condition(order));
    for _ in 0..if completes { pops } else { 0 } {
        fpu.pop();
    }
}

/// The value of a register, unless it is empty.
fn register(cpu: &Cpu, index: u8) -> Option<Number> {
    cpu.state.fpu.get(index).map(Float80::unpack)
}

/// With a register or a number in memory.
fn compare(cpu: &mut Cpu, detail: &Detail, format: Format, pops: u8) -> Result<(), Leave> {
    wait(cpu)?;
    let right = match detail.memory {
        Detail::NO_MEMORY => register(cpu, detail.registers[1]),
        _ => Some(read_number(cpu, detail, format)?),
    };
    note(cpu, detail);
    let order = order_of(cpu, right, false);
    conclude(cpu, order, pops);
    Ok(())
}

fn compare_quietly(cpu: &mut Cpu, detail: &Detail, pops: u8) -> Result<(), Leave> {
    wait(cpu)?;
    note(cpu, detail);
    let right = register(cpu, detail.registers[1]);
    let order = order_of(cpu, right, true);
    conclude(cpu, order, pops);
    Ok(())
}

/// FCOMPP and FUCOMPP.
fn compare_below(cpu: &mut Cpu, detail: &Detail, quiet: bool) -> Result<(), Leave> {
    wait(cpu)?;
    note(cpu, detail);
    let right = register(cpu, 1);
    let order = order_of(cpu, right, quiet);
    conclude(cpu, order, 2);
    Ok(())
}

/// FTST.
fn test(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    note(cpu, detail);
    let order = order_of(cpu, Some(Float80::ZERO.unpack()), false);
    conclude(cpu, order, 0);
    Ok(())
}

/// FCOMI and its kin: the order goes to ZF, PF and CF.
fn compare_flags(cpu: &mut Cpu, detail: &Detail, quiet: bool, pops: u8) -> Result<(), Leave> {
    wait(cpu)?;
    note(cpu, detail);
    let right = register(cpu, detail.registers[1]);
    let (order, completes) = order_of(cpu, right, quiet);
    cpu.set_status(match order {
        Order::Greater => 0,
        Order::Less => CF,
        Order::Equal => ZF,
        Order::Unordered => ZF | PF | CF,
    });
    if completes && pops != 0 {
        cpu.state.fpu.pop();
    }
    Ok(())
}

/// FXAM: the class of ST(0), its sign even if it is empty.
fn examine(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let value = fpu.content(0);
    let number = value.unpack();
    let class = match number.kind {
        _ if fpu.is_empty(0) => C3 | C0,
        Kind::Unsupported => 0,
        Kind::Quiet | Kind::Signalling => C0,
        Kind::Finite if number.denormal => C3 | C2,
        Kind::Finite => C2,
        Kind::Infinite => C2 | C0,
        Kind::Zero => C3,
    };
    let sign = if value.is_negative() { C1 } else { 0 };
    fpu.set_condition(C0 | C1 | C2 | C3, class | sign);
    Ok(())
}
