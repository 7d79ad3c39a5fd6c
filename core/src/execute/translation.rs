//! What software tells the processor about translations: INVLPG, INVPCID, RDPKRU, WRPKRU.

use iced_x86::Mnemonic;

use super::control_register::PROCESS_CONTEXT;
use super::op::Detail;
use super::table::Row;
use super::{Cpu, Leave, segment_register};
use crate::state::{Cr4Flags, Exception, Register};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Invlpg, |e| {
        e.call_out_last(invlpg);
        Some(())
    }),
    (Mnemonic::Invpcid, |e| {
        e.call_out_last(invpcid);
        Some(())
    }),
    (Mnemonic::Rdpkru, |e| {
        e.call_out(rdpkru);
        Some(())
    }),
    (Mnemonic::Wrpkru, |e| {
        e.call_out_last(wrpkru);
        Some(())
    }),
];

/// INVLPG. An address that is not canonical is no error, and neither segment limits nor rights are
/// looked at (SDM, INVLPG).
fn invlpg(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    let offset = cpu.effective_address(detail);
    let window = cpu.segment_windows[usize::from(detail.segment & 7)];
    let linear = window.base.wrapping_add(offset) & window.linear_mask;
    cpu.mmu.flush_page(linear);
    cpu.forget_jumps_near(linear);
    Ok(())
}

/// INVPCID. There are translations of the current process-context identifier alone, and global ones
/// (`control_register::write_cr3`), so that another one has nothing to be forgotten.
fn invpcid(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    const INDIVIDUAL_ADDRESS: u64 = 0;
    const SINGLE_CONTEXT: u64 = 1;
    const ALL_CONTEXTS_WITH_GLOBAL: u64 = 2;
    const ALL_CONTEXTS: u64 = 3;
    cpu.require_cpl0()?;
    let kind = match detail.bitness {
        64 => cpu.get::<u64>(detail.registers[0]),
        _ => cpu.get::<u32>(detail.registers[0]),
    };
    if kind > ALL_CONTEXTS {
        return Err(Exception::GP0.into());
    }
    let segment = segment_register(detail.segment);
    let at = cpu.linear(detail, 16, false)?;
    let descriptor = cpu.load::<u128>(segment, at)?;
    let (context, linear) = (descriptor as u64, (descriptor >> 64) as u64);
    let identified = cpu.state.control.cr4.contains(Cr4Flags::PCID);
    let names_context = kind <= SINGLE_CONTEXT;
    let reserved = context & !PROCESS_CONTEXT != 0;
    let unknown = names_context && !identified && context != 0;
    if reserved || unknown || kind == INDIVIDUAL_ADDRESS && !cpu.mmu.takes_base(linear) {
        return Err(Exception::GP0.into());
    }
    let current = !identified || context == cpu.state.control.cr3 & PROCESS_CONTEXT;
    match kind {
        INDIVIDUAL_ADDRESS if current => {
            cpu.mmu.flush_page(linear);
            cpu.forget_jumps_near(linear);
        }
        SINGLE_CONTEXT if current => cpu.mmu.flush_non_global(),
        ALL_CONTEXTS_WITH_GLOBAL => cpu.mmu.flush_all(),
        ALL_CONTEXTS => cpu.mmu.flush_non_global(),
        _ => {}
    }
    Ok(())
}

/// #UD unless the system uses the keys, #GP(0) unless ECX is 0.
fn require_keys(cpu: &Cpu) -> Result<(), Leave> {
    if !cpu.state.control.cr4.contains(Cr4Flags::PROTECTION_KEY_USER) {
        return Err(Exception::UD.into());
    }
    match cpu.state.gpr[Register::Rcx] as u32 {
        0 => Ok(()),
        _ => Err(Exception::GP0.into()),
    }
}

fn rdpkru(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require_keys(cpu)?;
    cpu.state.gpr[Register::Rax] = cpu.state.control.pkru.into();
    cpu.state.gpr[Register::Rdx] = 0;
    Ok(())
}

/// The block ends, and with it what the TLB permits by the keys' old meaning.
fn wrpkru(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require_keys(cpu)?;
    if cpu.state.gpr[Register::Rdx] as u32 != 0 {
        return Err(Exception::GP0.into());
    }
    cpu.state.control.pkru = cpu.state.gpr[Register::Rax] as u32;
    Ok(())
}
