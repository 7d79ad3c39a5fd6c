//! Loads and stores in another way: MOVBE, which reverses the order of bytes, and MOVDIRI, a store past
//! caches, of which there are none.

use iced_x86::Mnemonic;

use crate::execute::address::{Address, operand};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{ByWidth, Emit, by_form_and_width, pick};
use crate::execute::op::{Detail, Op};
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};
use crate::memory::Width;

pub(in crate::execute) const ROWS: &[Row] =
    &[(Mnemonic::Movbe, movbe), (Mnemonic::Movdiri, store_directly)];

/// The bytes of a `W` in reverse.
#[inline(always)]
fn swapped<W: Width>(value: u64) -> u64 {
    value.swap_bytes() >> (64 - W::BITS)
}

unsafe extern "C" fn load<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, W::load(pointer).extend()) };
    cpu.set::<W>(a, swapped::<W>(value));
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn store<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(WRITE W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(swapped::<W>(cpu.get::<W>((*op).a)))) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

fn movbe(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(1) {
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => load::<W, A>);
        emit.memory_op(&pick(&handlers, width), emit.register(0), None);
    } else {
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => store::<W, A>);
        emit.memory_op(&pick(&handlers, width), emit.register(1), None);
    }
    Some(())
}

fn store_directly(emit: &mut Emit) -> Option<()> {
    emit.call_out(if emit.width(1) == 3 { movdiri::<u64> } else { movdiri::<u32> });
    Some(())
}

fn movdiri<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let value = W::truncate(cpu.get::<W>(detail.registers[1]));
    cpu.write_memory(detail, value)
}
