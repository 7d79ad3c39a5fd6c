//! VZEROUPPER and VZEROALL; MXCSR's instructions in their VEX encoding.

use super::super::Cpu;
use super::super::address::opaque;
use super::super::dispatch::{Flow, next};
use super::super::emit::Emit;
use super::super::op::{Handler, Op};
use super::super::sse::control::{load_mxcsr, store_mxcsr};
use super::super::sse::vector::{Lanes, Vector};
use super::{rows, zero};

rows! {
    Vzeroupper => |e| clear(e, [clear_uppers::<8>, clear_uppers::<16>]),
    Vzeroall => |e| clear(e, [clear_all::<8>, clear_all::<16>]),
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
    emit.op(clear_upper, register, 0, 0, 0, 0);
}

/// Outside 64-bit mode registers 8 to 15 are left alone.
fn clear(emit: &mut Emit, handlers: [Handler; 2]) -> Option<()> {
    emit.op(handlers[usize::from(emit.mode.bitness == 64)], 0, 0, 0, 0, 0);
    Some(())
}

/// Clears the upper half of register `a`.
unsafe extern "C" fn clear_upper(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    cpu.set_upper(a, zero());
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// A zero of which the compiler does not know: it would have a function fill the registers, around
/// which a handler has to save all that it passes on.
#[inline(always)]
fn unknown_zero() -> Vector {
    [opaque(0); 2].vector()
}

/// Clears the upper halves of the first `COUNT` registers.
unsafe extern "C" fn clear_uppers<const COUNT: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let zero = unknown_zero();
    for number in 0..COUNT {
        cpu.set_upper(number, zero);
    }
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Clears the first `COUNT` registers.
unsafe extern "C" fn clear_all<const COUNT: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let zero = unknown_zero();
    for number in 0..COUNT {
        cpu.set_wide(number, [zero; 2]);
    }
    next!(cpu, op.wrapping_add(1), res, src, budget)
}
