//! Moves between MMX registers and memory, general and XMM registers; EMMS.

use iced_x86::Mnemonic;

use super::{into_general, operation, out_of_general, require, store_register};
use crate::execute::emit::{Emit, Function};
use crate::execute::op::Detail;
use crate::execute::operand::address_mask;
use crate::execute::sse::moves::{Bits, Copy};
use crate::execute::sse::shuffle::Pshuflw;
use crate::execute::sse::vector::{Lanes, Load, Low32, Low64, Store};
use crate::execute::sse::{FromGeneral, ToGeneral, enabled};
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave, segment_register};
use crate::memory::Width;
use crate::paging::AccessKind;
use crate::state::Register;

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Pshufw, operation::<Pshuflw>),
    (Mnemonic::Movntq, store_register::<Low64>),
    (Mnemonic::Maskmovq, |e| plain(e, mask_move)),
    (Mnemonic::Movq2dq, |e| enabled(e, |e| plain(e, to_xmm))),
    (Mnemonic::Movdq2q, |e| enabled(e, |e| plain(e, from_xmm))),
    (Mnemonic::Emms, |e| plain(e, empty)),
];

fn plain(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out(function);
    Some(())
}

/// MOVD and MOVQ between an MMX register and a general register or memory, and MOVQ between two of
/// them.
pub(in crate::execute) fn between<W: Width, M: Load + Store>(emit: &mut Emit) -> Option<()>
where
    Bits<W, M>: ToGeneral + FromGeneral,
{
    let mm = |position| emit.instruction.op_register(position).is_mm();
    match (emit.is_memory(0), mm(0), mm(1)) {
        (true, ..) => store_register::<M>(emit),
        (_, true, true) => operation::<Copy>(emit),
        (_, true, _) => out_of_general::<Bits<W, M>>(emit, 1),
        _ => into_general::<Bits<W, M>>(emit, 1),
    }
}

/// MOVD.
pub(in crate::execute) fn movd(emit: &mut Emit) -> Option<()> {
    between::<u32, Low32>(emit)
}

/// MOVQ.
pub(in crate::execute) fn movq(emit: &mut Emit) -> Option<()> {
    between::<u64, Low64>(emit)
}

/// EMMS.
fn empty(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    let fpu = &mut cpu.state.fpu;
    fpu.enter_mmx();
    fpu.tag_word = 0;
    Ok(())
}

/// MOVQ2DQ.
fn to_xmm(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    cpu.state.fpu.enter_mmx();
    let value = cpu.state.fpu.mm(detail.registers[1]);
    cpu.set_vector(detail.registers[0], u128::from(value).vector());
    Ok(())
}

/// MOVDQ2Q.
fn from_xmm(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    let [value, _] = Lanes::of(cpu.vector(detail.registers[1]));
    cpu.state.fpu.enter_mmx();
    cpu.state.fpu.set_mm(detail.registers[0], value);
    Ok(())
}

/// MASKMOVQ: as MASKMOVDQU, with eight bytes. The change of the x87 comes before a fault, as on
/// processors; the manual leaves that open.
fn mask_move(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    cpu.state.fpu.enter_mmx();
    let fpu = &cpu.state.fpu;
    let values = fpu.mm(detail.registers[1]).to_le_bytes();
    let mask = fpu.mm(detail.registers[2]).to_le_bytes();
    let segment = segment_register(detail.segment);
    let offset = cpu.state.gpr[Register::Rdi] & address_mask(detail.address_bits);
    let linear = cpu.segment_linear(segment, offset, values.len() as u64, true)?;
    cpu.mmu
        .check_alignment(&cpu.state, linear, values.len(), AccessKind::Write)
        .map_err(|error| Leave::access(error, segment))?;
    cpu.probe_write(segment, linear, values.len() as u32)?;
    for index in (0..values.len()).filter(|&index| mask[index] & 0x80 != 0) {
        cpu.store(segment, cpu.following(linear, index as u64), values[index])?;
    }
    Ok(())
}
