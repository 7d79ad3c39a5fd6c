//! Moves: MOV, MOVZX, MOVSX, MOVSXD, LEA, XCHG, CMOVcc, PUSH, POP, and sign extension within the
//! accumulator.

use iced_x86::{Code, Mnemonic, OpKind, Register as Name};

use super::address::{Address, operand};
use super::arithmetic::pick;
use super::control_transfer::test_condition;
use super::dispatch::{Flow, next};
use super::emit::{ByWidth, Emit, Packed, by_form_and_width, by_width, functions};
use super::op::{Detail, Handler, Op};
use super::table::Row;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::state::{Gpr, Register};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Mov, mov),
    (Mnemonic::Movzx, movzx),
    (Mnemonic::Movsx, movsx),
    (Mnemonic::Movsxd, movsx),
    (Mnemonic::Lea, lea),
    (Mnemonic::Xchg, xchg),
    (Mnemonic::Push, push),
    (Mnemonic::Pop, pop),
    (Mnemonic::Leave, leave),
    (Mnemonic::Cbw, |e| extend_accumulator(e, extend::<i8, u16>)),
    (Mnemonic::Cwde, |e| extend_accumulator(e, extend::<i16, u32>)),
    (Mnemonic::Cdqe, |e| extend_accumulator(e, extend::<i32, u64>)),
    (Mnemonic::Cwd, |e| extend_accumulator(e, sign_to_data::<u16>)),
    (Mnemonic::Cdq, |e| extend_accumulator(e, sign_to_data::<u32>)),
    (Mnemonic::Cqo, |e| extend_accumulator(e, sign_to_data::<u64>)),
    (Mnemonic::Cmovo, cmov),
    (Mnemonic::Cmovno, cmov),
    (Mnemonic::Cmovb, cmov),
    (Mnemonic::Cmovae, cmov),
    (Mnemonic::Cmove, cmov),
    (Mnemonic::Cmovne, cmov),
    (Mnemonic::Cmovbe, cmov),
    (Mnemonic::Cmova, cmov),
    (Mnemonic::Cmovs, cmov),
    (Mnemonic::Cmovns, cmov),
    (Mnemonic::Cmovp, cmov),
    (Mnemonic::Cmovnp, cmov),
    (Mnemonic::Cmovl, cmov),
    (Mnemonic::Cmovge, cmov),
    (Mnemonic::Cmovle, cmov),
    (Mnemonic::Cmovg, cmov),
];

const RSP: u8 = Register::Rsp as u8 * 8;
const RBP: u8 = Register::Rbp as u8 * 8;
const RDX: u8 = Register::Rdx as u8 * 8;

unsafe extern "C" fn mov_rr<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    cpu.set::<W>(a, cpu.get::<W>(b));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Sign-extends its immediate to 64 bits.
unsafe extern "C" fn mov_ri<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    cpu.set::<W>(a, imm as u64);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// Takes all 64 bits from the next slot.
unsafe extern "C" fn mov_r_imm64(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op; the next slot holds the constant.
    let (a, value) = unsafe { ((*op).a, (*op.add(1)).payload()) };
    cpu.set::<u64>(a, value);
    next!(cpu, op.wrapping_add(2), res, src, budget)
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
    let (a, value) = unsafe { ((*op).a, W::load(pointer)) };
    cpu.set::<W>(a, value.extend());
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn store<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let value = unsafe { cpu.get::<W>((*op).a) };
    let pointer = operand!(WRITE W, A, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(value)) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn store_immediate<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slot behind the address holds the immediate.
    let value = unsafe { (*op.add(A::SLOTS)).payload() };
    let pointer = operand!(WRITE W, A, 1, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { W::store(pointer, W::truncate(value)) };
    next!(cpu, op.wrapping_add(A::SLOTS + 1), res, src, budget)
}

/// How a narrow value fills a wide register.
trait Extension: 'static {
    fn extend<W: Width>(value: W) -> u64;
}
struct Zero;
struct Sign;

impl Extension for Zero {
    #[inline(always)]
    fn extend<W: Width>(value: W) -> u64 {
        value.extend()
    }
}

impl Extension for Sign {
    #[inline(always)]
    fn extend<W: Width>(value: W) -> u64 {
        value.sign_extend()
    }
}

unsafe extern "C" fn extend_rr<E: Extension, From: Width, To: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    cpu.set::<To>(a, E::extend(From::truncate(cpu.get::<From>(b))));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn extend_rm<E: Extension, From: Width, To: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read From, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, From::load(pointer)) };
    cpu.set::<To>(a, E::extend(value));
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn lea_base<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    cpu.set::<W>(a, cpu.get::<u64>(b).wrapping_add(imm as u64));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn lea_indexed<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, d, imm, .. } = unsafe { *op };
    let index = cpu.get::<u64>(c).wrapping_shl(d.into());
    cpu.set::<W>(a, cpu.get::<u64>(b).wrapping_add(index).wrapping_add(imm as u64));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn push_r<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let value = unsafe { cpu.get::<W>((*op).a) };
    let pointer = operand!(WRITE W, super::address::Base, 0, cpu, op, res, src, budget);
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
    let pointer = operand!(WRITE W, super::address::Base, 1, cpu, op, res, src, budget);
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
    let pointer = operand!(read W, super::address::Base, 0, cpu, op, res, src, budget);
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
    let pointer = operand!(read u64, super::address::Base, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    let value = unsafe { u64::load(pointer) };
    cpu.set::<u64>(RSP, cpu.get::<u64>(RBP).wrapping_add(8));
    cpu.set::<u64>(RBP, value);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn cmov_rr<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    // A 32-bit move that does not happen still clears the upper half.
    let value = if cpu.condition { cpu.get::<W>(b) } else { cpu.get::<W>(a) };
    cpu.set::<W>(a, value);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn cmov_rm<W: Width, A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, W::load(pointer).extend()) };
    let value = if cpu.condition { value } else { cpu.get::<W>(a) };
    cpu.set::<W>(a, value);
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn xchg_rr<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (cpu.get::<W>(a), cpu.get::<W>(b));
    cpu.set::<W>(a, right);
    cpu.set::<W>(b, left);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// CBW, CWDE, CDQE.
unsafe extern "C" fn extend<From: Narrow, To: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.set::<To>(0, From::sign(cpu.get::<u64>(0)));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// The signed half of an accumulator.
trait Narrow: 'static {
    fn sign(value: u64) -> u64;
}

impl Narrow for i8 {
    fn sign(value: u64) -> u64 {
        value as i8 as u64
    }
}
impl Narrow for i16 {
    fn sign(value: u64) -> u64 {
        value as i16 as u64
    }
}
impl Narrow for i32 {
    fn sign(value: u64) -> u64 {
        value as i32 as u64
    }
}

/// CWD, CDQ, CQO.
unsafe extern "C" fn sign_to_data<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let sign = (W::truncate(cpu.get::<W>(0)).sign_extend() as i64) >> 63;
    cpu.set::<W>(RDX, sign as u64);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

fn extend_accumulator(emit: &mut Emit, handler: Handler) -> Option<()> {
    emit.op(handler, 0, 0, 0, 0, 0);
    Some(())
}

fn is_special(name: Name) -> bool {
    !name.is_gpr()
}

fn mov(emit: &mut Emit) -> Option<()> {
    for position in 0..2 {
        let special = emit.instruction.op_register(position);
        if emit.is_register(position) && is_special(special) {
            return super::system::mov_special(emit, special, position);
        }
    }
    let width = emit.width(0);
    let immediate = emit.is_immediate(1).then(|| emit.immediate(1));
    match (emit.is_memory(0), emit.is_memory(1), immediate) {
        (true, _, Some(immediate)) => {
            let handlers: [ByWidth; 3] = by_form_and_width!(A, W => store_immediate::<W, A>);
            emit.memory_op(&pick(&handlers, width), 0, Some(immediate));
        }
        (true, ..) => {
            let handlers: [ByWidth; 3] = by_form_and_width!(A, W => store::<W, A>);
            emit.memory_op(&pick(&handlers, width), emit.register(1), None);
        }
        (_, true, _) => load_register(emit, width),
        (_, _, Some(immediate)) if width == 3 && immediate as i64 != immediate as i32 as i64 => {
            emit.op(mov_r_imm64, emit.register(0), 0, 0, 0, 0);
            emit.record(Op::with_payload(mov_r_imm64, immediate));
        }
        (_, _, Some(immediate)) => {
            let handlers: ByWidth = by_width!(W => mov_ri::<W>);
            emit.op(handlers[width], emit.register(0), 0, 0, 0, immediate as i32);
        }
        _ => {
            let handlers: ByWidth = by_width!(W => mov_rr::<W>);
            emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, 0);
        }
    }
    Some(())
}

fn load_register(emit: &mut Emit, width: usize) {
    let handlers: [ByWidth; 3] = by_form_and_width!(A, W => load::<W, A>);
    emit.memory_op(&pick(&handlers, width), emit.register(0), None);
}

/// Loads 2^`width` bytes at `operand` into the scratch word.
pub(super) fn load_scratch(emit: &mut Emit, operand: &Packed, width: usize) {
    let handlers: [ByWidth; 3] = by_form_and_width!(A, W => load::<W, A>);
    emit.packed_op(&pick(&handlers, width), Gpr::SCRATCH_OFFSET, operand, None);
}

/// Loads operand 0, which is in memory, into the scratch word.
pub(super) fn load_operand(emit: &mut Emit) {
    let operand = emit.packed_address();
    load_scratch(emit, &operand, emit.width(0));
}

fn movzx(emit: &mut Emit) -> Option<()> {
    // Zero-extension to 64 bits is what a 32-bit register write does anyway.
    let registers: [ByWidth; 2] =
        [by_width!(To => extend_rr::<Zero, u8, To>), by_width!(To => extend_rr::<Zero, u16, To>)];
    let memory: [[ByWidth; 3]; 2] = [
        by_form_and_width!(A, To => extend_rm::<Zero, u8, To, A>),
        by_form_and_width!(A, To => extend_rm::<Zero, u16, To, A>),
    ];
    extension(emit, &registers, &memory)
}

fn movsx(emit: &mut Emit) -> Option<()> {
    let registers: [ByWidth; 3] = [
        by_width!(To => extend_rr::<Sign, u8, To>),
        by_width!(To => extend_rr::<Sign, u16, To>),
        by_width!(To => extend_rr::<Sign, u32, To>),
    ];
    let memory: [[ByWidth; 3]; 3] = [
        by_form_and_width!(A, To => extend_rm::<Sign, u8, To, A>),
        by_form_and_width!(A, To => extend_rm::<Sign, u16, To, A>),
        by_form_and_width!(A, To => extend_rm::<Sign, u32, To, A>),
    ];
    extension(emit, &registers, &memory)
}

fn extension(emit: &mut Emit, registers: &[ByWidth], memory: &[[ByWidth; 3]]) -> Option<()> {
    let (to, from) = (emit.width(0), emit.width(1));
    if emit.is_memory(1) {
        emit.memory_op(&pick(memory.get(from)?, to), emit.register(0), None);
    } else {
        emit.op(registers.get(from)?[to], emit.register(0), emit.register(1), 0, 0, 0);
    }
    Some(())
}

fn lea(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    let base: ByWidth = by_width!(W => lea_base::<W>);
    let indexed: ByWidth = by_width!(W => lea_indexed::<W>);
    // LEA ignores the segment; what is left of the far form is a narrow or a long address.
    emit.instruction.set_segment_prefix(Name::None);
    let packed = emit.packed_address();
    if packed.form == 2 {
        emit.call_out(functions!(lea_far)[width]);
    } else {
        emit.packed_op(
            &[base[width], indexed[width], base[width]],
            emit.register(0),
            &packed,
            None,
        );
    }
    Some(())
}

fn lea_far<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let address = cpu.effective_address(detail);
    cpu.set::<W>(detail.registers[0], address);
    Ok(())
}

fn xchg(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(0) {
        emit.call_out(functions!(xchg_memory)[width]);
    } else {
        let handlers: ByWidth = by_width!(W => xchg_rr::<W>);
        emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, 0);
    }
    Some(())
}

/// XCHG with memory is locked whether it says so or not.
fn xchg_memory<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let locked = Detail { prefixes: super::op::Prefixes::LOCK, ..*detail };
    let new = cpu.get::<W>(detail.registers[1]);
    let old = cpu.modify::<W>(&locked, |_| new)?;
    cpu.set::<W>(detail.registers[1], old);
    Ok(())
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
            return super::segment::push_segment(emit, bytes);
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
        return super::segment::pop_segment(emit, bytes);
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
    let mask = super::operand::address_mask(cpu.state.stack_bitness() as u8);
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

fn cmov(emit: &mut Emit) -> Option<()> {
    test_condition(emit);
    let width = emit.width(0);
    if emit.is_memory(1) {
        let handlers: [ByWidth; 3] = by_form_and_width!(A, W => cmov_rm::<W, A>);
        emit.memory_op(&pick(&handlers, width), emit.register(0), None);
    } else {
        let handlers: ByWidth = by_width!(W => cmov_rr::<W>);
        emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, 0);
    }
    Some(())
}
