//! Decimal arithmetic, which 64-bit mode has not got: AAA, AAS, AAM, AAD, DAA, DAS; and SALC.
//!
//! Flags that the manual leaves undefined are clear, or follow the result.

use iced_x86::Mnemonic;

use super::emit::{Emit, Function};
use super::flags::{AF, CF, Class, Kind};
use super::op::Detail;
use super::table::Row;
use super::{Cpu, Leave};
use crate::state::Exception;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Aaa, |e| with_flags(e, |cpu, _| ascii_adjust(cpu, u64::wrapping_add))),
    (Mnemonic::Aas, |e| with_flags(e, |cpu, _| ascii_adjust(cpu, u64::wrapping_sub))),
    (Mnemonic::Aam, |e| with_flags(e, aam)),
    (Mnemonic::Aad, |e| with_flags(e, aad)),
    (Mnemonic::Daa, |e| with_flags(e, |cpu, _| decimal_adjust(cpu, u64::wrapping_add))),
    (Mnemonic::Das, |e| with_flags(e, |cpu, _| decimal_adjust(cpu, u64::wrapping_sub))),
    (Mnemonic::Salc, |e| with_flags(e, salc)),
];

const AL: u8 = 0;
const AH: u8 = 1;

/// An addition or subtraction.
type Operation = fn(u64, u64) -> u64;

fn with_flags(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_with_flags(function);
    Some(())
}

/// PF, ZF and SF of AL, and what else is given.
fn set_flags(cpu: &mut Cpu, carries: u64) {
    let al = cpu.get::<u8>(AL);
    cpu.set_status(Kind::of::<u8>(Class::Logic).word(al, 0) | carries);
}

/// AAA and AAS.
fn ascii_adjust(cpu: &mut Cpu, operation: Operation) -> Result<(), Leave> {
    let adjusts = cpu.get::<u8>(AL) & 0xf > 9 || cpu.status() & AF != 0;
    if adjusts {
        let ax = operation(cpu.get::<u16>(AL), 6);
        cpu.set::<u16>(AL, ax);
        cpu.set::<u8>(AH, operation(ax >> 8, 1));
    }
    cpu.set::<u8>(AL, cpu.get::<u8>(AL) & 0xf);
    set_flags(cpu, if adjusts { AF | CF } else { 0 });
    Ok(())
}

/// DAA and DAS.
fn decimal_adjust(cpu: &mut Cpu, operation: Operation) -> Result<(), Leave> {
    let old = cpu.get::<u8>(AL);
    let carry = cpu.status() & CF != 0;
    let mut carries = 0;
    let mut al = old;
    if old & 0xf > 9 || cpu.status() & AF != 0 {
        al = operation(al, 6);
        carries |= AF;
        // The borrow or carry of this step counts (SDM, DAA and DAS).
        if carry || al > 0xff {
            carries |= CF;
        }
    }
    if old > 0x99 || carry {
        al = operation(al, 0x60);
        carries |= CF;
    }
    cpu.set::<u8>(AL, al);
    set_flags(cpu, carries);
    Ok(())
}

fn aam(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let (al, base) = (cpu.get::<u8>(AL), detail.immediate & 0xff);
    let tens = al.checked_div(base).ok_or(Exception::DE)?;
    cpu.set::<u8>(AH, tens);
    cpu.set::<u8>(AL, al % base);
    set_flags(cpu, 0);
    Ok(())
}

fn aad(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let base = detail.immediate & 0xff;
    let sum = cpu.get::<u8>(AH).wrapping_mul(base).wrapping_add(cpu.get::<u8>(AL));
    cpu.set::<u16>(AL, sum & 0xff);
    set_flags(cpu, 0);
    Ok(())
}

/// SALC sets AL to all copies of CF.
fn salc(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.set::<u8>(AL, (cpu.status() & CF).wrapping_neg());
    Ok(())
}
