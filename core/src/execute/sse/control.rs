//! MXCSR's own instructions, fences and hints.
//!
//! Fences: an interpreted load or store is one of the host's and seen in program order by TSO,
//! except that a later load may pass an earlier store: MFENCE is the host's full barrier. Nothing is
//! fetched ahead or cached, so that PREFETCHh has nothing to do, and CLFLUSH only what a read of the
//! line would fault at.

use core::sync::atomic::{Ordering, fence};

use iced_x86::Mnemonic;

use super::super::emit::Emit;
use super::super::miscellaneous::nothing;
use super::super::op::Detail;
use super::super::table::Row;
use super::super::{Cpu, Leave};
use super::{host_float, rows};
use crate::paging::{AccessKind, Privilege};
use crate::state::Exception;

rows! {
    Ldmxcsr => |e| {
        e.call_out_last(load_mxcsr);
        Some(())
    },
    Stmxcsr => |e| {
        e.call_out(store_mxcsr);
        Some(())
    },
}

/// What needs no SSE state to be enabled.
pub(in crate::execute) const FENCE_ROWS: &[Row] = &[
    (Mnemonic::Lfence, nothing),
    (Mnemonic::Sfence, nothing),
    (Mnemonic::Mfence, |e| {
        e.call_out(full_fence);
        Some(())
    }),
    (Mnemonic::Pause, |e| {
        e.call_out(pause);
        Some(())
    }),
    (Mnemonic::Clflush, line),
    (Mnemonic::Clflushopt, line),
    (Mnemonic::Clwb, line),
    (Mnemonic::Prefetchnta, nothing),
    (Mnemonic::Prefetcht0, nothing),
    (Mnemonic::Prefetcht1, nothing),
    (Mnemonic::Prefetcht2, nothing),
];

fn full_fence(_: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    fence(Ordering::SeqCst);
    Ok(())
}

fn pause(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    core::hint::spin_loop();
    cpu.mmu.attention |= cpu.pauses.add_one();
    Ok(())
}

/// CLFLUSH, CLFLUSHOPT, CLWB.
fn line(emit: &mut Emit) -> Option<()> {
    emit.call_out(flush_line);
    Some(())
}

fn flush_line(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let linear = cpu.linear(detail, 1, false)?;
    let segment = super::super::segment_register(detail.segment);
    cpu.mmu
        .probe(&cpu.state, linear, 1, AccessKind::Read, Privilege::Current)
        .map_err(|error| Leave::access(error, segment))
}

pub(in crate::execute) fn load_mxcsr(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let mxcsr = cpu.read_memory::<u32>(detail)?;
    if mxcsr & !host_float::WRITABLE != 0 {
        return Err(Exception::GP0.into());
    }
    cpu.set_mxcsr(mxcsr);
    Ok(())
}

pub(in crate::execute) fn store_mxcsr(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let mxcsr = cpu.mxcsr();
    cpu.write_memory(detail, mxcsr)
}
