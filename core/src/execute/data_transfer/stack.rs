//! PUSH, POP and LEAVE. The handlers know the stack of 64-bit mode; every other is for functions.

use iced_x86::{Code, Mnemonic, OpKind};

use super::{is_special, load_operand};
use crate::execute::address::{Address, Base, operand};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{Emit, Packed};
use crate::execute::op::{Detail, Handler, Op};
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};
use crate::memory::Width;
use crate::state::{Gpr, Register};

pub(in crate::execute) const ROWS: &[Row] =
    &[(Mnemonic::Push, push), (Mnemonic::Pop, pop), (Mnemonic::Leave, leave)];

const RSP: u8 = Register::Rsp as u8 * 8;
const RBP: u8 = Register::Rbp as u8 * 8;

unsafe extern "C" fn push_r<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let value = unsafe { cpu.get::<W>((*op).a) };
    let pointer = operand!(WRITE W, Base, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(value)) };
    cpu.set::<u64>(RSP, cpu.get::<u64>(RSP).wrapping_sub(W::BYTES as u64));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn push_i<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the next slot holds the constant.
    let value = unsafe { (*op.add(1)).payload() };
    let pointer = operand!(WRITE W, Base, 1, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(value)) };
    cpu.set::<u64>(RSP, cpu.get::<u64>(RSP).wrapping_sub(W::BYTES as u64));
    next!(cpu, op.wrapping_add(2), res, src, budget)
}

unsafe extern "C" fn pop_r<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, Base, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, W::load(pointer)) };
    cpu.set::<u64>(RSP, cpu.get::<u64>(RSP).wrapping_add(W::BYTES as u64));
    cpu.set::<W>(a, value.extend());
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// LEAVE: RSP and RBP change together, after the only access.
unsafe extern "C" fn leave_64(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read u64, Base, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    let value = unsafe { u64::load(pointer) };
    cpu.set::<u64>(RSP, cpu.get::<u64>(RBP).wrapping_add(8));
    cpu.set::<u64>(RBP, value);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Whether the stack is 64 bits wide and `bytes` is 8 or 2: what the handlers know.
fn fast_stack(emit: &Emit, bytes: i32) -> bool {
    emit.mode.bitness == 64 && matches!(bytes, 8 | 2)
}

fn push(emit: &mut Emit) -> Option<()> {
    let bytes = -emit.instruction.stack_pointer_increment();
    let slot = emit.stack_slot(-bytes);
    let wide = bytes == 8;
    match emit.instruction.op_kind(0) {
        OpKind::Register if is_special(emit.instruction.op_register(0)) => {
            return crate::execute::segment::push_segment(emit, bytes);
        }
        _ if !fast_stack(emit, bytes) => {
            let function = match bytes {
                2 => push_slow::<u16>,
                4 => push_slow::<u32>,
                _ => push_slow::<u64>,
            };
            emit.call_out(function);
        }
        OpKind::Register => push_register(emit, emit.register(0), wide, &slot),
        OpKind::Memory => {
            load_operand(emit);
            push_register(emit, Gpr::SCRATCH_OFFSET, wide, &slot);
        }
        _ => {
            let handler = if wide { push_i::<u64> } else { push_i::<u16> as Handler };
            let immediate = emit.immediate(0);
            emit.packed_op(&[handler; 3], 0, &slot, Some(immediate));
        }
    }
    Some(())
}

fn push_register(emit: &mut Emit, register: u8, wide: bool, slot: &Packed) {
    let handler = if wide { push_r::<u64> } else { push_r::<u16> as Handler };
    emit.packed_op(&[handler; 3], register, slot, None);
}

fn push_slow<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let value = match (detail.memory, detail.registers[0]) {
        (0, _) => cpu.read_memory::<W>(detail)?.extend(),
        (_, Gpr::ZERO_OFFSET) => detail.immediate,
        (_, register) => cpu.get::<W>(register),
    };
    cpu.push(W::truncate(value))
}

fn pop(emit: &mut Emit) -> Option<()> {
    let bytes = emit.instruction.stack_pointer_increment();
    if emit.is_register(0) && is_special(emit.instruction.op_register(0)) {
        return crate::execute::segment::pop_segment(emit, bytes);
    }
    if emit.is_register(0) && fast_stack(emit, bytes) {
        let handler = if bytes == 8 { pop_r::<u64> } else { pop_r::<u16> as Handler };
        let slot = emit.stack_slot(0);
        emit.packed_op(&[handler; 3], emit.register(0), &slot, None);
    } else {
        let function = match bytes {
            2 => pop_slow::<u16>,
            4 => pop_slow::<u32>,
            _ => pop_slow::<u64>,
        };
        emit.call_out(function);
    }
    Some(())
}

/// A memory operand that is addressed by RSP uses its value after the pop (SDM, POP).
fn pop_slow<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let value = cpu.peek::<W>(0)?;
    let rsp = cpu.state.gpr[Register::Rsp];
    cpu.add_to_stack_pointer(W::BYTES as u64);
    let result = cpu.write::<W>(detail, 0, value.extend());
    if result.is_err() {
        cpu.state.gpr[Register::Rsp] = rsp;
    }
    result
}

fn leave(emit: &mut Emit) -> Option<()> {
    match emit.instruction.code() {
        Code::Leavew => emit.call_out(leave_slow::<u16>),
        Code::Leaved => emit.call_out(leave_slow::<u32>),
        _ => {
            let slot = emit.stack_slot(0).with_base(RBP);
            emit.packed_op(&[leave_64; 3], 0, &slot, None);
        }
    }
    Some(())
}

fn leave_slow<W: Width>(cpu: &mut Cpu, _detail: &Detail) -> Result<(), Leave> {
    let rsp = cpu.state.gpr[Register::Rsp];
    let mask = crate::execute::operand::address_mask(cpu.state.stack_bitness() as u8);
    cpu.state.gpr[Register::Rsp] = rsp & !mask | cpu.state.gpr[Register::Rbp] & mask;
    match cpu.peek::<W>(0) {
        Ok(value) => {
            cpu.add_to_stack_pointer(W::BYTES as u64);
            cpu.set::<W>(RBP, value.extend());
            Ok(())
        }
        Err(leave) => {
            cpu.state.gpr[Register::Rsp] = rsp;
            Err(leave)
        }
    }
}
