//! Conversions between two integers in an MMX register and floating point in an XMM register. They are
//! rare, so they are functions, behind the load of an operand in memory. The change of the x87 comes
//! before an exception of the conversion, as on processors; the manual leaves that open.

use iced_x86::Mnemonic;

use super::{begin, low};
use crate::execute::emit::{Emit, Function};
use crate::execute::op::Detail;
use crate::execute::sse::convert::{Cvtdq2pd, Cvtdq2ps, Cvtpd2dq, Cvtps2dq, Cvttpd2dq, Cvttps2dq};
use crate::execute::sse::handler::vector_source;
use crate::execute::sse::host_float::guarded;
use crate::execute::sse::vector::{Aligned, Lanes, Load, Low64, SCRATCH, Vector};
use crate::execute::sse::{Operation, enabled, is_mmx};
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Cvtpi2ps, |e| row::<Low64>(e, to_singles)),
    (Mnemonic::Cvtpi2pd, |e| row::<Low64>(e, to_doubles)),
    (Mnemonic::Cvtps2pi, |e| row::<Low64>(e, from_singles::<Cvtps2dq>)),
    (Mnemonic::Cvttps2pi, |e| row::<Low64>(e, from_singles::<Cvttps2dq>)),
    (Mnemonic::Cvtpd2pi, |e| row::<Aligned>(e, from_doubles::<Cvtpd2dq>)),
    (Mnemonic::Cvttpd2pi, |e| row::<Aligned>(e, from_doubles::<Cvttpd2dq>)),
];

fn row<L: Load>(emit: &mut Emit, function: Function) -> Option<()> {
    enabled(emit, |emit| {
        if is_mmx(emit) {
            begin(emit);
        }
        if emit.is_memory(1) {
            vector_source::<L>(emit, 1);
        }
        emit.call_out(function);
        Some(())
    })
}

/// Operand 1, of which an MMX register is `mm`.
fn source(cpu: &Cpu, detail: &Detail, register: impl Fn(&Cpu, u8) -> Vector) -> Vector {
    match detail.memory {
        1 => cpu.vector(SCRATCH),
        _ => register(cpu, detail.registers[1]),
    }
}

fn mm(cpu: &Cpu, number: u8) -> Vector {
    [cpu.state.fpu.mm(number), 0].vector()
}

/// What a source in an MMX register does to the x87. One in memory has nothing to do with it: SDM says
/// so of CVTPI2PD, and processors do it in CVTPI2PS, too.
fn change(cpu: &mut Cpu, detail: &Detail) {
    if detail.memory == Detail::NO_MEMORY {
        cpu.state.fpu.enter_mmx();
    }
}

/// CVTPI2PS: the upper half stays.
fn to_singles(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let (target, source) = (detail.registers[0], source(cpu, detail, mm));
    change(cpu, detail);
    let singles = guarded(cpu, |mxcsr| Cvtdq2ps::compute(mxcsr, source, source, 0))?;
    let [_, high] = Lanes::of(cpu.vector(target));
    let [singles, _] = <[u64; 2]>::of(singles);
    cpu.set_vector(target, [singles, high].vector());
    Ok(())
}

/// CVTPI2PD.
fn to_doubles(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let source = source(cpu, detail, mm);
    change(cpu, detail);
    let doubles = guarded(cpu, |mxcsr| Cvtdq2pd::compute(mxcsr, source, source, 0))?;
    cpu.set_vector(detail.registers[0], doubles);
    Ok(())
}

/// CVTPS2PI and CVTTPS2PI.
fn from_singles<O: Operation>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let source = low(source(cpu, detail, Cpu::vector));
    cpu.state.fpu.enter_mmx();
    let integers = guarded(cpu, |mxcsr| O::compute(mxcsr, source, source, 0))?;
    cpu.state.fpu.set_mm(detail.registers[0], <[u64; 2]>::of(integers)[0]);
    Ok(())
}

/// CVTPD2PI and CVTTPD2PI.
fn from_doubles<O: Operation>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let source = source(cpu, detail, Cpu::vector);
    cpu.state.fpu.enter_mmx();
    let integers = guarded(cpu, |mxcsr| O::compute(mxcsr, source, source, 0))?;
    cpu.state.fpu.set_mm(detail.registers[0], <[u64; 2]>::of(integers)[0]);
    Ok(())
}
