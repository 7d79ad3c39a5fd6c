//! CALL and RET. The handlers know the stack of 64-bit mode; every other is for functions.

use iced_x86::{Code, Mnemonic};

use super::links::{CALL, RETURN, follow, jump_to, leave_jump};
use super::{fail, jump_through};
use crate::execute::dispatch::{Flow, Frame, LEFT, leave, next};
use crate::execute::emit::{Emit, Origin};
use crate::execute::flags::Kind;
use crate::execute::op::{Detail, Handler, Links, Op};
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};
use crate::memory::Width;
use crate::paging::{AccessKind, Privilege, is_canonical};
use crate::state::{Exception, Gpr, Register, SegmentRegister};

pub(in crate::execute) const ROWS: &[Row] = &[(Mnemonic::Call, call), (Mnemonic::Ret, ret)];

const RSP: u8 = Register::Rsp as u8 * 8;

/// CALL rel32 in 64-bit mode: the address to return to is behind the links.
unsafe extern "C" fn call_direct<const KNOWN: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slots behind this op hold its links and the return address.
    let (links, value) = unsafe { (op.add(1).cast::<Links>(), (*op.add(2)).payload()) };
    let linear = cpu.get::<u64>(RSP).wrapping_sub(8);
    let Some(pointer) = cpu.write_hit::<u64>(linear) else {
        return call_slow(cpu, op, res, src, budget, value);
    };
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { u64::store(pointer, value) };
    cpu.set::<u64>(RSP, linear);
    if KNOWN {
        // SAFETY: as above.
        cpu.kind = Kind(unsafe { (*links).kind });
    }
    // SAFETY: as above.
    let distance = unsafe { (*links).taken };
    follow!(cpu, links, distance, res, src, budget)
}

/// CALL through register `a` in 64-bit mode.
unsafe extern "C" fn call_register(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slot behind this op holds the return address.
    let (Op { a, b, c, .. }, value) = unsafe { (*op, (*op.add(1)).payload()) };
    let linear = cpu.get::<u64>(RSP).wrapping_sub(8);
    let target = cpu.get::<u64>(a);
    // What the jump cache knows can be executed; the rest is looked at before anything is pushed.
    if !cpu.knows_jump(target) && !is_canonical(&cpu.state, target) {
        return leave(cpu, op, res, src, budget, &const { Leave::Exception(Exception::GP0) });
    }
    let Some(pointer) = cpu.write_hit::<u64>(linear) else {
        return call_slow(cpu, op, res, src, budget, value);
    };
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { u64::store(pointer, value) };
    cpu.set::<u64>(RSP, linear);
    if c != Origin::DYNAMIC {
        cpu.kind = Kind(c);
    }
    jump_to!(look_up_indirect, cpu, op, target, res, src, budget - i64::from(b))
}

/// The stack's TLB entry is missing: fills it and calls again, or pushes the slow way.
#[cold]
#[inline(never)]
extern "C" fn call_slow(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
    value: u64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    if cpu.push_served(value) {
        next!(cpu, op, res, src, budget)
    }
    LEFT
}

impl Cpu {
    /// Whether the CALL of the frame's op can be executed again, with its stack in the TLB. If not,
    /// it has been executed, or has failed.
    #[inline(never)]
    fn push_served(&mut self, value: u64) -> bool {
        let linear = self.get::<u64>(RSP).wrapping_sub(8);
        let fault = |error| Leave::access(error, SegmentRegister::Ss);
        let crosses = linear & 0xfff > 0xff8;
        let pushed = match self.mmu.fill(&self.state, linear, AccessKind::Write) {
            Ok(true) if !crosses => return true,
            Ok(_) => self.mmu.write(&self.state, linear, value, Privilege::Current),
            Err(error) => Err(error),
        };
        self.leave = match pushed.map_err(fault) {
            Err(leave) => leave,
            Ok(()) => {
                // The target first: it may be in RSP.
                // SAFETY: the frame's op is the call's own.
                let target = unsafe { self.call_target(self.frame.op) };
                self.set::<u64>(RSP, linear);
                Leave::Jump { target }
            }
        };
        false
    }

    /// Completes a CALL whose push is done: counts the block and gives its target.
    ///
    /// # Safety
    /// `op` is a `call_direct` or a `call_register`.
    unsafe fn call_target(&mut self, op: *const Op) -> u64 {
        // SAFETY: by the caller's promise.
        let (Op { a, b, c, d, .. }, links) = unsafe { (*op, op.add(1).cast::<Links>()) };
        let (count, kind, target) = if d == CALL {
            (u32::from(b), c, self.get::<u64>(a))
        } else {
            // SAFETY: the slots behind a direct call: links, return address, target.
            unsafe { ((*links).count, (*links).kind, (*op.add(3)).payload()) }
        };
        self.frame.budget -= i64::from(count);
        if kind != Origin::DYNAMIC {
            self.kind = Kind(kind);
        }
        target
    }
}

/// RET in 64-bit mode; `imm` is what it takes off the stack.
unsafe extern "C" fn ret_near(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { b, c, imm, .. } = unsafe { *op };
    let linear = cpu.get::<u64>(RSP);
    let Some(pointer) = cpu.read_hit::<u64>(linear) else {
        return ret_slow(cpu, op, res, src, budget);
    };
    // SAFETY: the TLB has vouched for the pointer.
    let target = unsafe { u64::load(pointer) };
    cpu.set::<u64>(RSP, linear.wrapping_add(imm as u64));
    if c != Origin::DYNAMIC {
        cpu.kind = Kind(c);
    }
    jump_to!(look_up_indirect, cpu, op, target, res, src, budget - i64::from(b))
}

#[cold]
#[inline(never)]
extern "C" fn ret_slow(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    let linear = cpu.get::<u64>(RSP);
    let read = cpu.mmu.read::<u64>(&cpu.state, linear, Privilege::Current);
    cpu.leave = match read.map_err(|error| Leave::access(error, SegmentRegister::Ss)) {
        Err(leave) => leave,
        Ok(target) => {
            // SAFETY: `op` is the return's own.
            let op = unsafe { *op };
            cpu.set::<u64>(RSP, linear.wrapping_add(op.imm as u64));
            if op.c != Origin::DYNAMIC {
                cpu.kind = Kind(op.c);
            }
            cpu.frame.budget -= i64::from(op.b);
            cpu.arrive(op, target)
        }
    };
    LEFT
}

fn call(emit: &mut Emit) -> Option<()> {
    let instruction = emit.instruction;
    if instruction.is_call_far() || instruction.is_call_far_indirect() {
        return crate::execute::far_transfer::far_call(emit);
    }
    let bytes = -instruction.stack_pointer_increment();
    if bytes != 8 {
        let function = if bytes == 2 { call_near_slow::<u16> } else { call_near_slow::<u32> };
        emit.call_out_last(function);
        return Some(());
    }
    if instruction.is_call_near() && !emit.reaches(instruction.near_branch_target()) {
        emit.call_out_last(fail);
        return Some(());
    }
    let return_address = Op::with_payload(leave_jump, instruction.next_ip());
    let known = emit.flags().is_some();
    if instruction.is_call_near_indirect() {
        let register = if emit.is_memory(0) {
            crate::execute::data_transfer::load_operand(emit);
            Gpr::SCRATCH_OFFSET
        } else {
            emit.register(0)
        };
        jump_through(emit, call_register, register, CALL);
        emit.record(return_address);
    } else {
        let handler = if known { call_direct::<true> } else { call_direct::<false> as Handler };
        emit.call(handler, instruction.near_branch_target(), return_address);
    }
    Some(())
}

/// CALL with a 16- or 32-bit stack slot.
fn call_near_slow<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = match (detail.memory, detail.registers[0]) {
        (0, _) => cpu.read_memory::<W>(detail)?.extend(),
        (_, Gpr::ZERO_OFFSET) => detail.immediate,
        (_, register) => cpu.get::<W>(register),
    };
    cpu.check_target(target)?;
    cpu.push(W::truncate(detail.next_rip))?;
    cpu.state.rip = target;
    Ok(())
}

fn ret(emit: &mut Emit) -> Option<()> {
    let released = if emit.is_immediate(0) { emit.immediate(0) as i32 } else { 0 };
    match emit.instruction.code() {
        Code::Retnq | Code::Retnq_imm16 => {
            let kind = emit.flags().map_or(Origin::DYNAMIC, |kind| kind.0);
            emit.op(ret_near, 0, emit.count() + 1, kind, RETURN, 8 + (released & 0xffff));
            emit.ended = true;
        }
        Code::Retnw | Code::Retnw_imm16 => emit.call_out_last(ret_near_slow::<u16>),
        _ => emit.call_out_last(ret_near_slow::<u32>),
    }
    Some(())
}

/// RET with a 16- or 32-bit stack slot.
fn ret_near_slow<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = cpu.peek::<W>(0)?.extend();
    cpu.check_target(target)?;
    cpu.add_to_stack_pointer(W::BYTES as u64 + (detail.immediate & 0xffff));
    cpu.state.rip = target;
    Ok(())
}
