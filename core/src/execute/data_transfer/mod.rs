//! Moves: MOV, LEA, XCHG and CMOVcc. PUSH, POP and LEAVE are in `stack`; MOVZX, MOVSX, MOVSXD and sign
//! extension within the accumulator in `extend`; MOVBE in `swap`.

pub(super) mod extend;
pub(super) mod stack;
pub(super) mod swap;

use iced_x86::{Mnemonic, Register as Name};

use super::address::{Address, operand};
use super::arithmetic::cut;
use super::control_transfer::test_condition;
use super::dispatch::{Flow, next};
use super::emit::{
    ByWidth, Emit, Packed, by_address_and_width, by_form_and_width, by_width, functions, pick,
};
use super::forward::{Carried, Place, by_place};
use super::op::{Detail, Handler, Op};
use super::table::Row;
use super::{Cpu, Leave, locked};
use crate::memory::Width;
use crate::state::Gpr;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Mov, mov),
    (Mnemonic::Lea, lea),
    (Mnemonic::Xchg, xchg),
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

unsafe extern "C" fn mov_rr<W: Width, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    cpu.set::<W>(a, P::get::<W>(cpu, b, res, src));
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

/// Where the flags are dead (`QUIET`), the value is the result, too.
unsafe extern "C" fn load<W: Width, A: Address, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read W, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, W::load(pointer).extend()) };
    cpu.set::<W>(a, value);
    let res = if QUIET { value } else { res };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

unsafe extern "C" fn store<W: Width, A: Address, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let value = P::get::<W>(cpu, unsafe { (*op).a }, res, src);
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

/// Where the flags are dead (`QUIET`), the address is the result, too, and the base is the source.
unsafe extern "C" fn lea_base<W: Width, B: Place, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let base = B::get::<u64>(cpu, b, res, src);
    let address = base.wrapping_add(imm as u64);
    cpu.set::<W>(a, address);
    let (res, src) = if QUIET { (cut::<W>(address), base) } else { (res, src) };
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// `QUIET` as for [`lea_base`].
unsafe extern "C" fn lea_indexed<W: Width, B: Place, I: Place, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, d, imm, .. } = unsafe { *op };
    let base = B::get::<u64>(cpu, b, res, src);
    let index = I::get::<u64>(cpu, c, res, src).wrapping_shl(d.into());
    let address = base.wrapping_add(index).wrapping_add(imm as u64);
    cpu.set::<W>(a, address);
    let (res, src) = if QUIET { (cut::<W>(address), base) } else { (res, src) };
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
            let carried = emit.carried;
            emit.memory_op(&pick(&handlers, width), 0, Some(immediate));
            emit.carried = carried;
        }
        (true, ..) => {
            let handlers: &[[ByWidth; 3]; 3] =
                const { &by_place!(P => by_form_and_width!(A, W => store::<W, A, P>)) };
            let (carried, a) = (emit.carried, emit.register(1));
            emit.memory_op(&pick(&handlers[carried.place(a, width)], width), a, None);
            emit.carried = carried;
        }
        (_, true, _) => load_register(emit, width),
        (_, _, Some(immediate)) if width == 3 && immediate as i64 != immediate as i32 as i64 => {
            emit.op(mov_r_imm64, emit.register(0), 0, 0, 0, 0);
            emit.record(Op::with_payload(mov_r_imm64, immediate));
        }
        (_, _, Some(immediate)) => {
            let handlers: ByWidth = by_width!(W => mov_ri::<W>);
            emit.op_beside(handlers[width], emit.register(0), 0, 0, 0, immediate as i32);
        }
        _ => {
            let handlers: &[ByWidth; 3] = const { &by_place!(P => by_width!(W => mov_rr::<W, P>)) };
            let (a, b) = (emit.register(0), emit.register(1));
            let place = emit.carried.place(b, width);
            emit.op_beside(handlers[place][width], a, b, 0, 0, 0);
        }
    }
    Some(())
}

fn load_register(emit: &mut Emit, width: usize) {
    let a = emit.register(0);
    let (handlers, carried): (&[ByWidth; 6], _) = match emit.flags_dead {
        true => {
            let quiet = const { &by_address_and_width!(A, W => load::<W, A, true>) };
            (quiet, Carried::result(a, width))
        }
        false => {
            let loud = const { &by_address_and_width!(A, W => load::<W, A, false>) };
            (loud, emit.carried.without(a))
        }
    };
    emit.load_op(&pick(handlers, width), a);
    emit.carried = carried;
}

/// Loads 2^`width` bytes at `operand` into the scratch word.
pub(super) fn load_scratch(emit: &mut Emit, operand: &Packed, width: usize) {
    let handlers: [ByWidth; 3] = by_form_and_width!(A, W => load::<W, A, false>);
    emit.packed_op(&pick(&handlers, width), Gpr::SCRATCH_OFFSET, operand, None);
}

/// Loads operand 0, which is in memory, into the scratch word.
pub(super) fn load_operand(emit: &mut Emit) {
    let operand = emit.packed_address();
    load_scratch(emit, &operand, emit.width(0));
}

fn lea(emit: &mut Emit) -> Option<()> {
    // LEA ignores the segment; what is left of the far form is a narrow or a long address.
    emit.instruction.set_segment_prefix(Name::None);
    let packed = emit.packed_address();
    let width = emit.width(0);
    let handler = match packed.form {
        0 if emit.flags_dead => lea_base_handler::<true>(emit, &packed, width),
        0 => lea_base_handler::<false>(emit, &packed, width),
        1 if emit.flags_dead => lea_indexed_handler::<true>(emit, &packed, width),
        1 => lea_indexed_handler::<false>(emit, &packed, width),
        _ => {
            emit.call_out(functions!(lea_far)[width]);
            return Some(());
        }
    };
    let a = emit.register(0);
    let carried = match emit.flags_dead {
        true => Carried::result(a, width).and_source(packed.base, 3),
        false => emit.carried.without(a),
    };
    emit.packed_op(&[handler; 3], a, &packed, None);
    emit.carried = carried;
    Some(())
}

fn lea_base_handler<const QUIET: bool>(emit: &Emit, packed: &Packed, width: usize) -> Handler {
    let handlers: &[ByWidth; 3] =
        const { &by_place!(B => by_width!(W => lea_base::<W, B, QUIET>)) };
    handlers[emit.carried.place(packed.base, 3)][width]
}

fn lea_indexed_handler<const QUIET: bool>(emit: &Emit, packed: &Packed, width: usize) -> Handler {
    let handlers: &[[ByWidth; 3]; 3] =
        const { &by_place!(B => by_place!(I => by_width!(W => lea_indexed::<W, B, I, QUIET>))) };
    let place = |register| emit.carried.place(register, 3);
    handlers[place(packed.base)][place(packed.index)][width]
}

fn lea_far<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let address = cpu.effective_address(detail);
    cpu.set::<W>(detail.registers[0], address);
    Ok(())
}

fn xchg(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(0) {
        return locked::exchange(emit);
    }
    let handlers: ByWidth = by_width!(W => xchg_rr::<W>);
    emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, 0);
    Some(())
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
