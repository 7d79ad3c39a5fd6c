//! Loads of two neighbouring vectors with an operation on each by one op, which is how compilers add up
//! arrays. One look into the TLB serves both. Loads and stores alone are in `fused`.
//!
//! Invariant: behind such an op stand the plain ops of all its instructions, from which it takes its
//! registers. Where the TLB does not serve both vectors at once it goes on there, and so never faults.

use iced_x86::Instruction;

use super::super::Cpu;
use super::super::address::{Address, Base, Bytes32, Indexed};
use super::super::dispatch::{Flow, next};
use super::super::emit::Emit;
use super::super::op::{Handler, Op};
use super::Operation;
use super::pair::finish;
use super::vector::{Lanes, Load, Unaligned};

/// Bytes from one vector to the next.
const DISTANCE: usize = 16;

/// Goes on with the plain ops. Apart, so that there is a dispatch for either way.
#[cold]
#[inline(never)]
unsafe extern "C" fn one_by_one(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Loads two vectors, each of which becomes the right operand of an operation. The pairs of a load and
/// an operation are the next two ops.
pub(super) unsafe extern "C" fn load_both<O: Operation, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    const { assert!(A::SLOTS == 1, "the plain ops are where this one looks") };
    // SAFETY: the emitter pairs the handler with an op of this form.
    let linear = unsafe { A::linear::<Bytes32, false>(cpu, op, res, src) };
    let Some(pointer) = cpu.read_hit::<Bytes32>(linear) else {
        // SAFETY: the handler's own arguments.
        return unsafe { one_by_one(cpu, op, res, src, budget) };
    };
    let nothing = 0_u128.vector();
    // SAFETY: the TLB has vouched for the pointer.
    let (first, second) = unsafe {
        (Unaligned::load(pointer, nothing), Unaligned::load(pointer.add(DISTANCE), nothing))
    };
    // SAFETY: the plain ops follow.
    finish::<O, true>(cpu, unsafe { (*op.add(1)).a }, first);
    // SAFETY: as above.
    finish::<O, true>(cpu, unsafe { (*op.add(2)).a }, second);
    next!(cpu, op.wrapping_add(3), res, src, budget)
}

/// Handlers for the two forms of address that take one slot.
pub(super) type Near = [Handler; 2];

macro_rules! near {
    ($address:ident => $handler:expr) => {
        [
            {
                type $address = Base;
                $handler as Handler
            },
            {
                type $address = Indexed;
                $handler as Handler
            },
        ]
    };
}

/// The handlers of two loads with an operation on each.
pub(super) const fn on_loads<O: Operation>() -> Near {
    near!(A => load_both::<O, A>)
}

/// Appends the op that does the same as the plain ones that are to follow, if it has a handler for the
/// operand in memory.
pub(super) fn emit_in_front(emit: &mut Emit, handlers: &Near) -> Option<()> {
    let packed = emit.packed_address();
    let handler = *handlers.get(packed.form)?;
    emit.packed_op(&[handler; 3], 0, &packed, None);
    Some(())
}

/// Whether the operand of `second` in memory is the vector behind that of `first`.
pub(super) fn are_neighbours(first: &Instruction, second: &Instruction) -> bool {
    let displacement = second.memory_displacement64();
    first.memory_base() == second.memory_base()
        && first.memory_index() == second.memory_index()
        && first.memory_index_scale() == second.memory_index_scale()
        && first.memory_segment() == second.memory_segment()
        && first.memory_displacement64().checked_add(DISTANCE as u64) == Some(displacement)
        && displacement as i64 == i64::from(displacement as i32)
}
