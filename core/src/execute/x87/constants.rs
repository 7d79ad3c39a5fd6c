//! Load constants: FLD1, FLDZ, FLDPI, FLDL2E, FLDLN2, FLDL2T, FLDLG2. They are rounded as the control
//! word says, whatever its precision.

use iced_x86::Mnemonic;

use super::float80::{Constant, Float80};
use super::{note, plain, wait};
use crate::execute::op::Detail;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Fld1, |e| plain(e, |cpu, detail| load(cpu, detail, Float80::ONE))),
    (Mnemonic::Fldz, |e| plain(e, |cpu, detail| load(cpu, detail, Float80::ZERO))),
    (Mnemonic::Fldpi, |e| plain(e, |cpu, detail| load_rounded(cpu, detail, Constant::Pi))),
    (Mnemonic::Fldl2e, |e| plain(e, |cpu, detail| load_rounded(cpu, detail, Constant::Log2E))),
    (Mnemonic::Fldln2, |e| plain(e, |cpu, detail| load_rounded(cpu, detail, Constant::Ln2))),
    (Mnemonic::Fldl2t, |e| plain(e, |cpu, detail| load_rounded(cpu, detail, Constant::Log2Ten))),
    (Mnemonic::Fldlg2, |e| plain(e, |cpu, detail| load_rounded(cpu, detail, Constant::Log10Two))),
];

fn load_rounded(cpu: &mut Cpu, detail: &Detail, constant: Constant) -> Result<(), Leave> {
    let value = constant.value(cpu.state.fpu.environment());
    load(cpu, detail, value)
}

fn load(cpu: &mut Cpu, detail: &Detail, value: Float80) -> Result<(), Leave> {
    wait(cpu)?;
    note(cpu, detail).load(value);
    Ok(())
}
