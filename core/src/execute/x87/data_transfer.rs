//! Data transfer: FLD, FST, FSTP, FILD, FIST, FISTP, FISTTP, FBLD, FBSTP, FXCH and FCMOVcc.

use iced_x86::Mnemonic;

use super::float80::{
    Environment, Float80, INVALID, from_decimal, narrow_double, narrow_single, to_decimal,
    to_integer,
};
use super::stack::C1;
use super::{Format, note, plain, probe, read_number, read_ten, wait, with_flags, write_ten};
use crate::execute::flags::{CF, PF, ZF};
use crate::execute::op::Detail;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};
use crate::state::Fpu;

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Fld, |e| plain(e, fld)),
    (Mnemonic::Fild, |e| plain(e, |cpu, detail| load_number(cpu, detail, Format::Integer))),
    (Mnemonic::Fbld, |e| plain(e, fbld)),
    (Mnemonic::Fst, |e| plain(e, |cpu, detail| store_float(cpu, detail, false))),
    (Mnemonic::Fstp, |e| plain(e, |cpu, detail| store_float(cpu, detail, true))),
    (Mnemonic::Fstpnce, |e| plain(e, fstpnce)),
    (Mnemonic::Fist, |e| plain(e, |cpu, detail| store(cpu, detail, to_rounded, false))),
    (Mnemonic::Fistp, |e| plain(e, |cpu, detail| store(cpu, detail, to_rounded, true))),
    (Mnemonic::Fisttp, |e| plain(e, |cpu, detail| store(cpu, detail, to_truncated, true))),
    (Mnemonic::Fbstp, |e| plain(e, |cpu, detail| store(cpu, detail, to_packed_decimal, true))),
    (Mnemonic::Fxch, |e| plain(e, fxch)),
    (Mnemonic::Fcmovb, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, CF, true))),
    (Mnemonic::Fcmove, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, ZF, true))),
    (Mnemonic::Fcmovbe, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, CF | ZF, true))),
    (Mnemonic::Fcmovu, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, PF, true))),
    (Mnemonic::Fcmovnb, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, CF, false))),
    (Mnemonic::Fcmovne, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, ZF, false))),
    (Mnemonic::Fcmovnbe, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, CF | ZF, false))),
    (Mnemonic::Fcmovnu, |e| with_flags(e, |cpu, detail| move_if(cpu, detail, PF, false))),
];

fn fld(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    match (detail.memory, detail.width) {
        (Detail::NO_MEMORY, _) => {
            wait(cpu)?;
            let fpu = note(cpu, detail);
            match fpu.get(detail.registers[0]) {
                Some(value) => fpu.load(value),
                None if fpu.underflow() => fpu.push(Float80::INDEFINITE),
                None => {}
            }
            Ok(())
        }
        (_, 10) => {
            wait(cpu)?;
            let value = Float80::from_bits(read_ten(cpu, detail)?);
            note(cpu, detail).load(value);
            Ok(())
        }
        _ => load_number(cpu, detail, Format::Float),
    }
}

fn load_number(cpu: &mut Cpu, detail: &Detail, format: Format) -> Result<(), Leave> {
    wait(cpu)?;
    let number = read_number(cpu, detail, format)?;
    let fpu = note(cpu, detail);
    let mut env = fpu.environment();
    let value = number.load(&mut env);
    // A full stack is found before the value is looked at. A denormal is loaded even if that is
    // reported.
    if !fpu.is_empty(7) || fpu.settle(&env) || env.unmasked(INVALID) == 0 {
        fpu.load(value);
    }
    Ok(())
}

fn fbld(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let value = from_decimal(read_ten(cpu, detail)?).pack();
    note(cpu, detail).load(value);
    Ok(())
}

/// Makes the image in memory, of so many bytes, of a value.
type Convert = fn(&mut Environment, Float80, u8) -> u128;

fn to_float(env: &mut Environment, value: Float80, bytes: u8) -> u128 {
    match bytes {
        4 => narrow_single(env, value.unpack()).into(),
        8 => narrow_double(env, value.unpack()).into(),
        _ => value.bits(),
    }
}

fn to_rounded(env: &mut Environment, value: Float80, bytes: u8) -> u128 {
    to_integer(env, value.unpack(), u32::from(bytes) * 8) as u128
}

fn to_truncated(env: &mut Environment, value: Float80, bytes: u8) -> u128 {
    let mut truncating = env.toward_zero();
    let integer = to_rounded(&mut truncating, value, bytes);
    env.raise(truncating.raised);
    integer
}

fn to_packed_decimal(env: &mut Environment, value: Float80, _: u8) -> u128 {
    to_decimal(env, value.unpack())
}

/// FST and FSTP.
fn store_float(cpu: &mut Cpu, detail: &Detail, pops: bool) -> Result<(), Leave> {
    match detail.memory {
        Detail::NO_MEMORY => store_register(cpu, detail, pops),
        _ => store(cpu, detail, to_float, pops),
    }
}

/// Stores to memory first, since that may fault, and even if an unmasked exception forbids to store. An
/// empty register's masked response is stored like any other value.
fn store(cpu: &mut Cpu, detail: &Detail, convert: Convert, pops: bool) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = &cpu.state.fpu;
    let (value, mut env) = (fpu.get(0), fpu.environment());
    let bits = convert(&mut env, value.unwrap_or(Float80::INDEFINITE), detail.width);
    let stores = match value {
        Some(_) => Fpu::storable(&env),
        None => fpu.control_word & INVALID != 0,
    };
    match detail.width {
        _ if !stores => {
            probe(cpu, detail)?;
        }
        2 => cpu.write_memory(detail, bits as u16)?,
        4 => cpu.write_memory(detail, bits as u32)?,
        8 => cpu.write_memory(detail, bits as u64)?,
        _ => write_ten(cpu, detail, bits)?,
    }
    let fpu = note(cpu, detail);
    match value {
        Some(_) => fpu.settle(&env),
        None => fpu.underflow(),
    };
    if stores && pops {
        fpu.pop();
    }
    Ok(())
}

fn store_register(cpu: &mut Cpu, detail: &Detail, pops: bool) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let value = match fpu.get(0) {
        Some(value) => {
            fpu.set_condition(C1, 0);
            value
        }
        None if fpu.underflow() => Float80::INDEFINITE,
        None => return Ok(()),
    };
    fpu.set(detail.registers[0], value);
    if pops {
        fpu.pop();
    }
    Ok(())
}

/// FSTPNCE, which no manual names, is an FSTP that raises nothing: what is empty is not stored.
fn fstpnce(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    fpu.set_condition(C1, 0);
    if let Some(value) = fpu.get(0) {
        fpu.set(detail.registers[0], value);
    }
    fpu.pop();
    Ok(())
}

fn fxch(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    let other = detail.registers[1];
    let (first, second) = (fpu.get(0), fpu.get(other));
    if first.is_some() && second.is_some() {
        fpu.set_condition(C1, 0);
    } else if !fpu.underflow() {
        return Ok(());
    }
    fpu.set(0, second.unwrap_or(Float80::INDEFINITE));
    fpu.set(other, first.unwrap_or(Float80::INDEFINITE));
    Ok(())
}

/// FCMOVcc: moves if one of `flags` is set, or if none is. The operands count whether it does or
/// not.
fn move_if(cpu: &mut Cpu, detail: &Detail, flags: u64, set: bool) -> Result<(), Leave> {
    wait(cpu)?;
    let moves = (cpu.status() & flags != 0) == set;
    let fpu = note(cpu, detail);
    match (fpu.get(0), fpu.get(detail.registers[1])) {
        (Some(_), Some(value)) if moves => fpu.set(0, value),
        (Some(_), Some(_)) => {}
        _ if fpu.underflow() => fpu.set(0, Float80::INDEFINITE),
        _ => {}
    }
    Ok(())
}
