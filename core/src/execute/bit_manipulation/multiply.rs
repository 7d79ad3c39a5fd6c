//! MULX: a product in two registers, and no flags.

use iced_x86::Mnemonic;

use crate::execute::Cpu;
use crate::execute::address::{Address, operand};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{ByForm, Emit, by_form};
use crate::execute::op::{Handler, Op};
use crate::execute::table::Row;
use crate::memory::Width;
use crate::state::Register;

pub(in crate::execute) const ROWS: &[Row] = &[(Mnemonic::Mulx, mulx)];

const RDX: u8 = Register::Rdx as u8 * 8;

/// Multiplies (E/R)DX by `value`. Where both halves go to one register, it has the upper one (SDM,
/// MULX).
#[inline(always)]
fn multiply<W: Width>(cpu: &mut Cpu, high: u8, low: u8, value: u64) {
    let product = u128::from(cpu.get::<W>(RDX)) * u128::from(value);
    cpu.set::<W>(low, product as u64);
    cpu.set::<W>(high, (product >> W::BITS) as u64);
}

/// `a` and `c` become the halves of a product with `b`.
unsafe extern "C" fn mulx_r<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, .. } = unsafe { *op };
    let value = cpu.get::<W>(b);
    multiply::<W>(cpu, a, c, value);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// The register for the lower half is in the slot behind.
unsafe extern "C" fn mulx_m<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 1, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the slot behind the address names a register,
    // and the TLB has vouched for the pointer.
    let (a, low, value) =
        unsafe { ((*op).a, (*op.add(A::SLOTS)).payload() as u8, W::load(pointer).extend()) };
    multiply::<W>(cpu, a, low, value);
    next!(cpu, op.wrapping_add(A::SLOTS + 1), res, src, budget)
}

fn mulx(emit: &mut Emit) -> Option<()> {
    let wide = usize::from(emit.width(0) == 3);
    let (high, low) = (emit.register(0), emit.register(1));
    if emit.is_memory(2) {
        let handlers: &[ByForm; 2] =
            const { &[by_form!(A => mulx_m::<u32, A>), by_form!(A => mulx_m::<u64, A>)] };
        emit.memory_op(&handlers[wide], high, Some(low.into()));
    } else {
        let handlers: [Handler; 2] = [mulx_r::<u32>, mulx_r::<u64>];
        emit.op(handlers[wide], high, emit.register(2), low, 0, 0);
    }
    Some(())
}
