//! Basic arithmetic: FADD, FSUB, FMUL, FDIV and their reversed, popping and integer forms, FABS,
//! FCHS, FSQRT, FPREM, FPREM1, FRNDINT, FSCALE, FXTRACT.

use iced_x86::Mnemonic;

use super::float80::{
    Environment, Float80, Number, Quotient, add, divide, multiply, remainder, root, scale, split,
    subtract, to_integral,
};
use super::stack::{C0, C1, C2, C3};
use super::{Format, note, plain, read_number, unary, wait};
use crate::execute::op::Detail;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Fadd, |e| plain(e, |cpu, detail| operate(cpu, detail, add))),
    (Mnemonic::Fsub, |e| plain(e, |cpu, detail| operate(cpu, detail, subtract))),
    (Mnemonic::Fsubr, |e| plain(e, |cpu, detail| operate(cpu, detail, subtract_from))),
    (Mnemonic::Fmul, |e| plain(e, |cpu, detail| operate(cpu, detail, multiply))),
    (Mnemonic::Fdiv, |e| plain(e, |cpu, detail| operate(cpu, detail, divide))),
    (Mnemonic::Fdivr, |e| plain(e, |cpu, detail| operate(cpu, detail, divide_into))),
    (Mnemonic::Faddp, |e| plain(e, |cpu, detail| operate_and_pop(cpu, detail, add))),
    (Mnemonic::Fsubp, |e| plain(e, |cpu, detail| operate_and_pop(cpu, detail, subtract))),
    (Mnemonic::Fsubrp, |e| plain(e, |cpu, detail| operate_and_pop(cpu, detail, subtract_from))),
    (Mnemonic::Fmulp, |e| plain(e, |cpu, detail| operate_and_pop(cpu, detail, multiply))),
    (Mnemonic::Fdivp, |e| plain(e, |cpu, detail| operate_and_pop(cpu, detail, divide))),
    (Mnemonic::Fdivrp, |e| plain(e, |cpu, detail| operate_and_pop(cpu, detail, divide_into))),
    (Mnemonic::Fiadd, |e| plain(e, |cpu, detail| with_integer(cpu, detail, add))),
    (Mnemonic::Fisub, |e| plain(e, |cpu, detail| with_integer(cpu, detail, subtract))),
    (Mnemonic::Fisubr, |e| plain(e, |cpu, detail| with_integer(cpu, detail, subtract_from))),
    (Mnemonic::Fimul, |e| plain(e, |cpu, detail| with_integer(cpu, detail, multiply))),
    (Mnemonic::Fidiv, |e| plain(e, |cpu, detail| with_integer(cpu, detail, divide))),
    (Mnemonic::Fidivr, |e| plain(e, |cpu, detail| with_integer(cpu, detail, divide_into))),
    (Mnemonic::Fabs, |e| plain(e, |cpu, detail| change_sign(cpu, detail, |_| false))),
    (Mnemonic::Fchs, |e| plain(e, |cpu, detail| change_sign(cpu, detail, |negative| !negative))),
    (Mnemonic::Fsqrt, |e| plain(e, |cpu, detail| unary(cpu, detail, root))),
    (Mnemonic::Frndint, |e| plain(e, |cpu, detail| unary(cpu, detail, to_integral))),
    (Mnemonic::Fscale, |e| plain(e, fscale)),
    (Mnemonic::Fprem, |e| plain(e, |cpu, detail| partial_remainder(cpu, detail, false))),
    (Mnemonic::Fprem1, |e| plain(e, |cpu, detail| partial_remainder(cpu, detail, true))),
    (Mnemonic::Fxtract, |e| plain(e, fxtract)),
];

/// Makes a result of destination and source.
type Operation = fn(&mut Environment, Number, Number) -> Float80;

fn subtract_from(env: &mut Environment, destination: Number, source: Number) -> Float80 {
    subtract(env, source, destination)
}

fn divide_into(env: &mut Environment, destination: Number, source: Number) -> Float80 {
    divide(env, source, destination)
}

/// With two registers, or ST(0) and a number in memory.
fn operate(cpu: &mut Cpu, detail: &Detail, operation: Operation) -> Result<(), Leave> {
    match detail.memory {
        Detail::NO_MEMORY => registers(cpu, detail, operation).map(|_| ()),
        _ => with_memory(cpu, detail, operation, Format::Float),
    }
}

fn operate_and_pop(cpu: &mut Cpu, detail: &Detail, operation: Operation) -> Result<(), Leave> {
    if registers(cpu, detail, operation)? {
        cpu.state.fpu.pop();
    }
    Ok(())
}

fn with_integer(cpu: &mut Cpu, detail: &Detail, operation: Operation) -> Result<(), Leave> {
    with_memory(cpu, detail, operation, Format::Integer)
}

/// Whether the result was stored.
fn registers(cpu: &mut Cpu, detail: &Detail, operation: Operation) -> Result<bool, Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let [destination, source, ..] = detail.registers;
    let (Some(left), Some(right)) = (fpu.get(destination), fpu.get(source)) else {
        let masked = fpu.underflow();
        if masked {
            fpu.set(destination, Float80::INDEFINITE);
        }
        return Ok(masked);
    };
    let mut env = fpu.environment();
    let result = operation(&mut env, left.unpack(), right.unpack());
    Ok(fpu.deliver(&env, destination, result))
}

fn with_memory(
    cpu: &mut Cpu,
    detail: &Detail,
    operation: Operation,
    format: Format,
) -> Result<(), Leave> {
    wait(cpu)?;
    let source = read_number(cpu, detail, format)?;
    let fpu = note(cpu, detail);
    let Some(destination) = fpu.get(0) else {
        if fpu.underflow() {
            fpu.set(0, Float80::INDEFINITE);
        }
        return Ok(());
    };
    let mut env = fpu.environment();
    let result = operation(&mut env, destination.unpack(), source);
    fpu.deliver(&env, 0, result);
    Ok(())
}

/// FABS and FCHS take any encoding and raise nothing.
fn change_sign(cpu: &mut Cpu, detail: &Detail, sign: fn(bool) -> bool) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let Some(value) = fpu.get(0) else {
        if fpu.underflow() {
            fpu.set(0, Float80::INDEFINITE);
        }
        return Ok(());
    };
    fpu.set_condition(C1, 0);
    fpu.set(0, value.with_sign(sign(value.is_negative())));
    Ok(())
}

/// ST(0) and ST(1), unless one is empty: then the exception's masked response is in ST(0).
fn top_two(fpu: &mut crate::state::Fpu) -> Option<(Number, Number)> {
    if let (Some(first), Some(second)) = (fpu.get(0), fpu.get(1)) {
        return Some((first.unpack(), second.unpack()));
    }
    if fpu.underflow() {
        fpu.set(0, Float80::INDEFINITE);
    }
    None
}

fn fscale(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    if let Some((source, by)) = top_two(fpu) {
        let mut env = fpu.environment();
        let result = scale(&mut env, source, by);
        fpu.deliver(&env, 0, result);
    }
    Ok(())
}

/// FPREM and FPREM1. The quotient's lowest bits go to C0, C3 and C1.
fn partial_remainder(cpu: &mut Cpu, detail: &Detail, nearest: bool) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    fpu.set_condition(C2, 0);
    let Some((dividend, divisor)) = top_two(fpu) else { return Ok(()) };
    let mut env = fpu.environment();
    let (result, quotient) = remainder(&mut env, dividend, divisor, nearest);
    if fpu.deliver(&env, 0, result) {
        let condition = match quotient {
            Quotient::None => return Ok(()),
            Quotient::Partial => C2,
            Quotient::Complete(low) => {
                let bit = |place: u8, flag: u16| if low >> place & 1 != 0 { flag } else { 0 };
                bit(2, C0) | bit(1, C3) | bit(0, C1)
            }
        };
        fpu.set_condition(C0 | C1 | C2 | C3, condition);
    }
    Ok(())
}

fn fxtract(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let Some(source) = fpu.operand_of_two_results() else { return Ok(()) };
    let mut env = fpu.environment();
    let (exponent, significand) = split(&mut env, source.unpack());
    if fpu.deliver(&env, 0, exponent) {
        fpu.push(significand);
    }
    Ok(())
}
