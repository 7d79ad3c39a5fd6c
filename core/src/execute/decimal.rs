//! Decimal arithmetic, which 64-bit mode has not got: AAA, AAS, AAM, AAD, DAA, DAS; and SALC.
//!
//! Flags that the manual leaves undefined are those of the addition or subtraction within, as
//! processors have them.

use iced_x86::Mnemonic;

use super::arithmetic::cut;
use super::emit::{Emit, Function};
use super::flags::{AF, CF, Class, Kind};
use super::op::Detail;
use super::table::Row;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::state::Exception;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Aaa, |e| with_flags(e, |cpu, _| ascii_adjust(cpu, Operation::Add))),
    (Mnemonic::Aas, |e| with_flags(e, |cpu, _| ascii_adjust(cpu, Operation::Sub))),
    (Mnemonic::Aam, |e| with_flags(e, aam)),
    (Mnemonic::Aad, |e| with_flags(e, aad)),
    (Mnemonic::Daa, |e| with_flags(e, |cpu, _| decimal_adjust(cpu, Operation::Add))),
    (Mnemonic::Das, |e| with_flags(e, |cpu, _| decimal_adjust(cpu, Operation::Sub))),
    (Mnemonic::Salc, |e| with_flags(e, salc)),
];

const AL: u8 = 0;
const AH: u8 = 1;

/// ADD or SUB.
#[derive(Clone, Copy)]
enum Operation {
    Add,
    Sub,
}

impl Operation {
    fn apply(self, left: u64, right: u64) -> u64 {
        match self {
            Self::Add => left.wrapping_add(right),
            Self::Sub => left.wrapping_sub(right),
        }
    }

    /// The flags of the operation on words of width `W`, whose right operand was `right`.
    fn flags<W: Width>(self, res: u64, right: u64) -> u64 {
        let class = match self {
            Self::Add => Class::Add,
            Self::Sub => Class::Sub,
        };
        Kind::of::<W>(class).word(cut::<W>(res), cut::<W>(right))
    }
}

fn with_flags(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_with_flags(function);
    Some(())
}

/// AAA and AAS, which are one operation on AX. SF, ZF, PF and OF are those of that.
fn ascii_adjust(cpu: &mut Cpu, operation: Operation) -> Result<(), Leave> {
    let ax = cpu.get::<u16>(AL);
    let adjusts = ax & 0xf > 9 || cpu.status() & AF != 0;
    let (distance, carries) = if adjusts { (0x106, AF | CF) } else { (0, 0) };
    let res = operation.apply(ax, distance);
    cpu.set::<u16>(AL, res & 0xff0f);
    cpu.set_status(operation.flags::<u16>(res, distance) & !(AF | CF) | carries);
    Ok(())
}

/// DAA and DAS. OF is that of both steps in one.
fn decimal_adjust(cpu: &mut Cpu, operation: Operation) -> Result<(), Leave> {
    let old = cpu.get::<u8>(AL);
    let carry = cpu.status() & CF != 0;
    let (mut distance, mut carries) = (0, 0);
    if old & 0xf > 9 || cpu.status() & AF != 0 {
        distance = 6;
        carries |= AF;
        // The borrow or carry of this step counts (SDM, DAA and DAS).
        if carry || operation.apply(old, distance) > 0xff {
            carries |= CF;
        }
    }
    if old > 0x99 || carry {
        distance += 0x60;
        carries |= CF;
    }
    let al = operation.apply(old, distance);
    cpu.set::<u8>(AL, al);
    cpu.set_status(operation.flags::<u8>(al, distance) & !(AF | CF) | carries);
    Ok(())
}

fn aam(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let (al, base) = (cpu.get::<u8>(AL), detail.immediate & 0xff);
    let tens = al.checked_div(base).ok_or(Exception::DE)?;
    cpu.set::<u8>(AH, tens);
    cpu.set::<u8>(AL, al % base);
    cpu.set_status(Kind::of::<u8>(Class::Logic).word(al % base, 0));
    Ok(())
}

/// AAD: an ADD of AL and AH times the base.
fn aad(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let tens = cpu.get::<u8>(AH).wrapping_mul(detail.immediate & 0xff);
    let sum = tens.wrapping_add(cpu.get::<u8>(AL));
    cpu.set::<u16>(AL, sum & 0xff);
    cpu.set_status(Operation::Add.flags::<u8>(sum, tens));
    Ok(())
}

/// SALC sets AL to all copies of CF.
fn salc(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.set::<u8>(AL, (cpu.status() & CF).wrapping_neg());
    Ok(())
}
