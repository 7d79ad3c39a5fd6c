//! Zero and sign extension: MOVZX, MOVSX, MOVSXD; CBW, CWDE, CDQE, CWD, CDQ, CQO.

use iced_x86::Mnemonic;

use crate::execute::Cpu;
use crate::execute::address::{Address, operand};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{ByWidth, Emit, by_form_and_width, by_width, pick};
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
