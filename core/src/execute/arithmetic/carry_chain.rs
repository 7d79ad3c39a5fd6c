//! ADX: ADCX and ADOX, additions with two independent chains of carries.
//!
//! Each has one flag for carry in and out and leaves the others alone, so the flags are materialised in
//! front of them: once for a whole chain.

use iced_x86::Mnemonic;

use super::cut;
use crate::execute::Cpu;
use crate::execute::address::{Address, operand};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{ByForm, Emit, by_form};
use crate::execute::flags::{CF, OF};
use crate::execute::op::{Handler, Op};
use crate::execute::table::Row;
use crate::memory::Width;

pub(in crate::execute) const ROWS: &[Row] =
    &[(Mnemonic::Adcx, add::<CF>), (Mnemonic::Adox, add::<OF>)];

/// Adds `right` and the flag to register `a`; the flags behind it.
#[inline(always)]
fn add_with<W: Width, const FLAG: u64>(cpu: &mut Cpu, a: u8, right: u64, flags: u64) -> u64 {
    let left = cpu.get::<W>(a);
    let carry = u64::from(flags & FLAG != 0);
    let sum = u128::from(left) + u128::from(right) + u128::from(carry);
    cpu.set::<W>(a, cut::<W>(sum as u64));
    flags & !FLAG | if sum >> W::BITS != 0 { FLAG } else { 0 }
}

unsafe extern "C" fn add_register<W: Width, const FLAG: u64>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let right = cpu.get::<W>(b);
    let src = add_with::<W, FLAG>(cpu, a, right, src);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn add_memory<W: Width, A: Address, const FLAG: u64>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, right) = unsafe { ((*op).a, W::load(pointer).extend()) };
    let src = add_with::<W, FLAG>(cpu, a, right, src);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

fn add<const FLAG: u64>(emit: &mut Emit) -> Option<()> {
    let wide = usize::from(emit.width(0) == 3);
    let a = emit.register(0);
    emit.materialize();
    if emit.is_memory(1) {
        let handlers: &[ByForm; 2] = const {
            &[by_form!(A => add_memory::<u32, A, FLAG>), by_form!(A => add_memory::<u64, A, FLAG>)]
        };
        emit.memory_op(&handlers[wide], a, None);
    } else {
        let handlers: [Handler; 2] = [add_register::<u32, FLAG>, add_register::<u64, FLAG>];
        emit.op(handlers[wide], a, emit.register(1), 0, 0, 0);
    }
    Some(())
}
