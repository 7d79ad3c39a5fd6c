//! Transcendental instructions: FSIN, FCOS, FSINCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1.

use iced_x86::Mnemonic;

use super::float80::{
    Environment, Float80, Number, arctangent, cosine, logarithm, logarithm_of_one_plus,
    power_minus_one, reducible, sine, tangent,
};
use super::stack::{C1, C2};
use super::{note, plain, unary, wait};
use crate::execute::op::Detail;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::F2xm1, |e| plain(e, |cpu, detail| unary(cpu, detail, power_minus_one))),
    (Mnemonic::Fyl2x, |e| plain(e, |cpu, detail| two_to_one(cpu, detail, logarithm))),
    (Mnemonic::Fyl2xp1, |e| plain(e, |cpu, detail| two_to_one(cpu, detail, logarithm_of_one_plus))),
    (Mnemonic::Fpatan, |e| plain(e, |cpu, detail| two_to_one(cpu, detail, arctangent))),
    (Mnemonic::Fsin, |e| plain(e, |cpu, detail| trigonometric(cpu, detail, sine))),
    (Mnemonic::Fcos, |e| plain(e, |cpu, detail| trigonometric(cpu, detail, cosine))),
    (Mnemonic::Fsincos, |e| plain(e, fsincos)),
    (Mnemonic::Fptan, |e| plain(e, fptan)),
];

/// Replaces ST(1) by what `function` makes of ST(0) and ST(1), and pops.
fn two_to_one(
    cpu: &mut Cpu,
    detail: &Detail,
    function: fn(&mut Environment, Number, Number) -> Float80,
) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let (Some(first), Some(second)) = (fpu.get(0), fpu.get(1)) else {
        if fpu.underflow() {
            fpu.pop();
            fpu.set(0, Float80::INDEFINITE);
        }
        return Ok(());
    };
    let mut env = fpu.environment();
    let result = function(&mut env, first.unpack(), second.unpack());
    if fpu.deliver(&env, 1, result) {
        fpu.pop();
    }
    Ok(())
}

/// FSIN and FCOS. C2 tells that the operand is out of range.
fn trigonometric(
    cpu: &mut Cpu,
    detail: &Detail,
    function: fn(&mut Environment, Number) -> Float80,
) -> Result<(), Leave> {
    wait(cpu)?;
    if let Some(value) = cpu.state.fpu.get(0)
        && !reducible(value.unpack())
    {
        note(cpu, detail).set_condition(C1 | C2, C2);
        return Ok(());
    }
    cpu.state.fpu.set_condition(C2, 0);
    unary(cpu, detail, function)
}

/// The operand of FSINCOS and FPTAN, if there is one in range and room for their results.
fn operand(cpu: &mut Cpu, detail: &Detail) -> Result<Option<Number>, Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    fpu.set_condition(C2, 0);
    let Some(source) = fpu.operand_of_two_results().map(Float80::unpack) else { return Ok(None) };
    if !reducible(source) {
        fpu.set_condition(C1 | C2, C2);
        return Ok(None);
    }
    Ok(Some(source))
}

fn fsincos(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let Some(source) = operand(cpu, detail)? else { return Ok(()) };
    let fpu = &mut cpu.state.fpu;
    let mut env = fpu.environment();
    let sine = sine(&mut env, source);
    let cosine = cosine(&mut env, source);
    if fpu.deliver(&env, 0, sine) {
        fpu.push(cosine);
    }
    Ok(())
}

/// FPTAN pushes 1.0 for the sake of the 8087's programs; for a NaN it is the NaN.
fn fptan(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let Some(source) = operand(cpu, detail)? else { return Ok(()) };
    let fpu = &mut cpu.state.fpu;
    let mut env = fpu.environment();
    let tangent = tangent(&mut env, source);
    if fpu.deliver(&env, 0, tangent) {
        fpu.push(if tangent.unpack().is_nan() { tangent } else { Float80::ONE });
    }
    Ok(())
}
