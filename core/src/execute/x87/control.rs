//! x87 control: FNINIT, FNCLEX, FLDCW, FNSTCW, FNSTSW, FWAIT, FINCSTP, FDECSTP, FFREE, FNOP, and what
//! is left of the 8087's and 287's control instructions.

use iced_x86::Mnemonic;

use super::stack::C1;
use super::{note, plain, raise_pending, require, wait};
use crate::execute::op::Detail;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};
use crate::state::{Cr0Flags, Exception, Fpu};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Fninit, |e| plain(e, fninit)),
    (Mnemonic::Fnclex, |e| plain(e, fnclex)),
    (Mnemonic::Fnstcw, |e| plain(e, fnstcw)),
    (Mnemonic::Fldcw, |e| plain(e, fldcw)),
    (Mnemonic::Fnstsw, |e| plain(e, fnstsw)),
    (Mnemonic::Wait, |e| plain(e, fwait)),
    (Mnemonic::Fincstp, |e| plain(e, |cpu, detail| turn(cpu, detail, 1))),
    (Mnemonic::Fdecstp, |e| plain(e, |cpu, detail| turn(cpu, detail, 7))),
    (Mnemonic::Ffree, |e| plain(e, |cpu, detail| free(cpu, detail, false))),
    (Mnemonic::Ffreep, |e| plain(e, |cpu, detail| free(cpu, detail, true))),
    (Mnemonic::Fnop, |e| plain(e, fnop)),
    // FENI, FDISI and FSETPM mean nothing to later processors.
    (Mnemonic::Fneni, |e| plain(e, |cpu, _| require(cpu))),
    (Mnemonic::Fndisi, |e| plain(e, |cpu, _| require(cpu))),
    (Mnemonic::Fnsetpm, |e| plain(e, |cpu, _| require(cpu))),
];

/// The control word after FNINIT: all exceptions masked, extended precision.
pub(super) const INITIAL_CONTROL_WORD: u16 = 0x37f;
/// The bits of the control word that software can set; bit 6 reads as one.
const WRITABLE: u16 = 0x1f3f;
const ALWAYS_ONE: u16 = 0x40;

/// The x87 state after FNINIT, but for what the registers hold.
pub(in super::super) fn initialize(fpu: &mut Fpu) {
    fpu.set_top(0);
    *fpu = Fpu {
        control_word: INITIAL_CONTROL_WORD,
        status_word: 0,
        tag_word: 0,
        opcode: 0,
        instruction_pointer: 0,
        data_pointer: 0,
        ..*fpu
    };
}

/// Takes a control word.
pub(in super::super) fn set_control_word(fpu: &mut Fpu, word: u16) {
    fpu.control_word = word & WRITABLE | ALWAYS_ONE;
    fpu.summarize();
}

fn fninit(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    initialize(&mut cpu.state.fpu);
    Ok(())
}

fn fnclex(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    // Exceptions, stack fault, summary and busy.
    cpu.state.fpu.status_word &= 0x7f00;
    Ok(())
}

fn fnstcw(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    cpu.write_memory(detail, cpu.state.fpu.control_word)
}

fn fldcw(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    let word = cpu.read_memory::<u16>(detail)?;
    set_control_word(&mut cpu.state.fpu, word);
    Ok(())
}

/// To AX or memory.
fn fnstsw(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require(cpu)?;
    cpu.write::<u16>(detail, 0, cpu.state.fpu.status_word.into())
}

/// FWAIT: #NM only if CR0.MP says that it belongs to the state that is withheld.
fn fwait(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    let withheld = Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::TASK_SWITCHED;
    if cpu.state.control.cr0.contains(withheld) {
        return Err(Exception::NM.into());
    }
    raise_pending(cpu)
}

/// FINCSTP and FDECSTP.
fn turn(cpu: &mut Cpu, detail: &Detail, by: u16) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    fpu.set_top(fpu.top() + by);
    fpu.set_condition(C1, 0);
    Ok(())
}

/// FFREE, and FFREEP, which pops.
fn free(cpu: &mut Cpu, detail: &Detail, pops: bool) -> Result<(), Leave> {
    wait(cpu)?;
    let fpu = note(cpu, detail);
    fpu.free(detail.registers[0]);
    fpu.set_condition(C1, 0);
    if pops {
        fpu.pop();
    }
    Ok(())
}

fn fnop(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    wait(cpu)?;
    note(cpu, detail);
    Ok(())
}
