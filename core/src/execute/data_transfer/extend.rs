//! Zero and sign extension: MOVZX, MOVSX, MOVSXD; CBW, CWDE, CDQE, CWD, CDQ, CQO.

use iced_x86::Mnemonic;

use crate::execute::Cpu;
use crate::execute::address::{Address, operand};
use crate::execute::arithmetic::cut;
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{ByWidth, Emit, by_address_and_width, by_width, pick};
use crate::execute::forward::{Carried, Place, by_place};
use crate::execute::op::{Handler, Op};
use crate::execute::table::Row;
use crate::memory::Width;
use crate::state::Register;

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Movzx, movzx),
    (Mnemonic::Movsx, movsx),
    (Mnemonic::Movsxd, movsx),
    (Mnemonic::Cbw, |e| extend_accumulator(e, extend::<i8, u16>)),
    (Mnemonic::Cwde, |e| extend_accumulator(e, extend::<i16, u32>)),
    (Mnemonic::Cdqe, |e| extend_accumulator(e, extend::<i32, u64>)),
    (Mnemonic::Cwd, |e| extend_accumulator(e, sign_to_data::<u16>)),
    (Mnemonic::Cdq, |e| extend_accumulator(e, sign_to_data::<u32>)),
    (Mnemonic::Cqo, |e| extend_accumulator(e, sign_to_data::<u64>)),
];

const RDX: u8 = Register::Rdx as u8 * 8;

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

/// Where the flags are dead (`QUIET`), the value is the result, too.
unsafe extern "C" fn extend_rr<
    E: Extension,
    From: Width,
    To: Width,
    P: Place,
    const QUIET: bool,
>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let value = cut::<To>(E::extend(From::truncate(P::get::<From>(cpu, b, res, src))));
    cpu.set::<To>(a, value);
    let res = if QUIET { value } else { res };
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// `QUIET` as for [`extend_rr`].
unsafe extern "C" fn extend_rm<
    E: Extension,
    From: Width,
    To: Width,
    A: Address,
    const QUIET: bool,
>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(read From, A, 0, cpu, op, res, src, budget);
    // SAFETY: dispatch hands each handler its own op; the TLB has vouched for the pointer.
    let (a, value) = unsafe { ((*op).a, From::load(pointer)) };
    let value = cut::<To>(E::extend(value));
    cpu.set::<To>(a, value);
    let res = if QUIET { value } else { res };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
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

fn movzx(emit: &mut Emit) -> Option<()> {
    // Zero-extension to 64 bits is what a 32-bit register write does anyway.
    match emit.width(1) {
        0 => extension::<Zero, u8>(emit),
        1 => extension::<Zero, u16>(emit),
        _ => None,
    }
}

fn movsx(emit: &mut Emit) -> Option<()> {
    match emit.width(1) {
        0 => extension::<Sign, u8>(emit),
        1 => extension::<Sign, u16>(emit),
        2 => extension::<Sign, u32>(emit),
        _ => None,
    }
}

fn extension<E: Extension, From: Width>(emit: &mut Emit) -> Option<()> {
    let (a, width) = (emit.register(0), emit.width(0));
    if emit.flags_dead {
        extension_op::<E, From, true>(emit, a, width);
        emit.carried = Carried::result(a, width);
    } else {
        let carried = emit.carried.without(a);
        extension_op::<E, From, false>(emit, a, width);
        emit.carried = carried;
    }
    Some(())
}

fn extension_op<E: Extension, From: Width, const QUIET: bool>(
    emit: &mut Emit,
    a: u8,
    width: usize,
) {
    if emit.is_memory(1) {
        let handlers: &[ByWidth; 6] =
            const { &by_address_and_width!(A, To => extend_rm::<E, From, To, A, QUIET>) };
        emit.load_op(&pick(handlers, width), a);
    } else {
        let handlers: &[ByWidth; 3] =
            const { &by_place!(P => by_width!(To => extend_rr::<E, From, To, P, QUIET>)) };
        let b = emit.register(1);
        let place = emit.carried.place(b, emit.width(1));
        emit.op(handlers[place][width], a, b, 0, 0, 0);
    }
}
