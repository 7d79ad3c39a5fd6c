//! Ops that turn lazy status flags into what an instruction needs of them: all of them in RFLAGS's
//! places ([`Kind::KNOWN`]), or CF alone.

use super::Cpu;
use super::dispatch::{Flow, next};
use super::emit::by_kind;
use super::flags::Kind;
use super::op::{Handler, Op};

unsafe extern "C" fn materialize<const KIND: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    next!(cpu, op.wrapping_add(1), res, Kind(KIND).word(res, src), budget)
}

/// Turns flags of a kind that is known at run time only into known ones.
pub(super) unsafe extern "C" fn materialize_dynamic(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    match MATERIALIZE.get(usize::from(cpu.kind.0)) {
        // SAFETY: one of the handlers above, with what this one was given.
        Some(handler) => unsafe { handler(cpu, op, res, src, budget) },
        None => next!(cpu, op.wrapping_add(1), res, src, budget),
    }
}

unsafe extern "C" fn carry<const KIND: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    next!(cpu, op.wrapping_add(1), res, u64::from(Kind(KIND).carry(res, src)), budget)
}

/// Puts CF of a kind that is known at run time only into the source word.
pub(super) unsafe extern "C" fn carry_dynamic(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let src = u64::from(cpu.kind.carry(res, src));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Turn flags of each kind into known ones.
pub(super) static MATERIALIZE: [Handler; Kind::COUNT] = by_kind!(materialize);
/// Put CF of each kind into the source word.
pub(super) static CARRY: [Handler; Kind::COUNT] = by_kind!(carry);
