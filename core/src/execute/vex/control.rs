//! VZEROUPPER and VZEROALL; MXCSR's instructions in their VEX encoding.

use super::super::Cpu;
use super::super::dispatch::{Flow, next};
use super::super::emit::Emit;
use super::super::op::{Handler, Op};
use super::super::sse::control::{load_mxcsr, store_mxcsr};
use super::{rows, zero};

rows! {
    Vzeroupper => |e| clear(e, clear_upper),
    Vzeroall => |e| clear(e, clear_all),
    Vldmxcsr => |e| {
        e.call_out_last(load_mxcsr);
        Some(())
    },
    Vstmxcsr => |e| {
        e.call_out(store_mxcsr);
        Some(())
    },
}

/// Appends an op that clears the upper half of a register, and keeps the flags.
pub(super) fn clear_upper_of(emit: &mut Emit, register: u8) {
    emit.op(clear_upper, register + 1, register, 0, 0, 0);
}

/// Outside 64-bit mode registers 8 to 15 are left alone.
fn clear(emit: &mut Emit, handler: Handler) -> Option<()> {
    let count = if emit.mode.bitness == 64 { 16 } else { 8 };
    emit.op(handler, count, 0, 0, 0, 0);
    Some(())
}

/// Clears the upper halves of the registers from `b` to below `a`.
unsafe extern "C" fn clear_upper(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    for number in b..a {
        cpu.set_upper(number, zero());
    }
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Clears the first `a` registers.
unsafe extern "C" fn clear_all(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let count = unsafe { (*op).a };
    for number in 0..count {
        cpu.set_wide(number, [zero(); 2]);
    }
    next!(cpu, op.wrapping_add(1), res, src, budget)
}
