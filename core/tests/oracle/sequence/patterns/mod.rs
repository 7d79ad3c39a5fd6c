//! What compilers write one behind the other on general registers, and what lazily kept flags and
//! forwarded operands could get wrong.

mod compute;
mod flow;
mod memory;
mod undo;

pub use self::flow::counted_loop;

use self::compute::{
    bits, carry_chain, copy_and_operation, copy_shift_operation, division, multiplication,
    partial_registers, shift, signed_division, zeroing,
};
use self::flow::{call, compare_and_use, guard, operation_and_jump, step_compare_jump};
use self::memory::{address_chain, element, exchange, moves, read_of_flags, stack};
use self::undo::undo;
use super::assembler::{Rm, Width};
use super::builder::Builder;

/// A way to write a few instructions.
pub type Pattern = fn(&mut Builder);

/// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP by their numbers.
const ADD: u8 = 0;
const ADC: u8 = 2;
const SBB: u8 = 3;
const AND: u8 = 4;
const SUB: u8 = 5;
const CMP: u8 = 7;

/// Those that are most of compiled code.
const COMMON: [u8; 5] = [ADD, 1, AND, SUB, 6];

/// SHL, SHR, SAR by their numbers.
const SHIFTS: [u8; 3] = [4, 5, 7];

/// The patterns, the frequent ones more than once.
pub const PATTERNS: &[Pattern] = &[
    arithmetic,
    arithmetic,
    arithmetic,
    copy_and_operation,
    copy_and_operation,
    copy_and_operation,
    copy_shift_operation,
    copy_shift_operation,
    compare_and_use,
    compare_and_use,
    compare_and_use,
    operation_and_jump,
    operation_and_jump,
    step_compare_jump,
    guard,
    division,
    division,
    signed_division,
    multiplication,
    stack,
    call,
    address_chain,
    element,
    zeroing,
    carry_chain,
    partial_registers,
    partial_registers,
    read_of_flags,
    read_of_flags,
    shift,
    shift,
    bits,
    exchange,
    undo,
    undo,
    step,
    moves,
    moves,
];

/// `operation` of a register with anything, or of memory with a register or a constant.
fn binary(b: &mut Builder, operation: u8, width: Width) {
    let code = operation << 3;
    match b.numbers.below(4) {
        0 => {
            let (reg, rm) = (b.source(), b.target_or_memory(width));
            b.general(width, &[width.opcode(code)], reg, rm);
        }
        1 => {
            let (rm, value) = (b.target_or_memory(width), b.constant());
            constant(b, operation, width, rm, value);
        }
        _ => {
            let (reg, rm) = (b.target(width), b.source_or_memory());
            b.general(width, &[width.opcode(code) | 2], reg, rm);
        }
    }
}

/// `operation` with a constant, in its short form where that will do.
fn constant(b: &mut Builder, operation: u8, width: Width, rm: Rm, value: u64) {
    if width == Width::Byte || b.numbers.one_in(2) {
        let opcode = if width == Width::Byte { 0x80 } else { 0x83 };
        b.with_immediate(width, &[opcode], operation, rm, &[value as u8]);
    } else {
        b.with_immediate(width, &[0x81], operation, rm, &width.immediate(value));
    }
}

fn arithmetic(b: &mut Builder) {
    let (operation, width) = (b.numbers.below(8) as u8, b.width());
    if matches!(operation, ADC | SBB) {
        b.read_flags();
    }
    binary(b, operation, width);
    b.define_flags();
}

fn copy(b: &mut Builder, width: Width, to: u8) -> u8 {
    let from = b.source();
    b.general(width, &[0x8b], to, Rm::Register(from));
    from
}

/// An opcode of which the lowest three bits are a register.
fn short(b: &mut Builder, opcode: u8, register: u8) {
    let opcode = opcode | register & 7;
    b.push(if register < 8 { vec![opcode] } else { vec![0x41, opcode] });
}

/// INC, DEC, NEG or NOT of anything.
fn step(b: &mut Builder) {
    let width = b.width();
    let rm = b.target_or_memory(width);
    step_of(b, width, rm);
}

fn step_of(b: &mut Builder, width: Width, rm: Rm) {
    let (opcode, operation) =
        b.one_of(&[(0xfe, 0), (0xfe, 1), (0xfe, 0), (0xfe, 1), (0xf6, 3), (0xf6, 2)]);
    b.general(width, &[width.opcode(opcode)], operation, rm);
}

fn binary_on(b: &mut Builder, width: Width, a: u8) {
    let (operation, rm) = (b.one_of(&COMMON), b.source_or_memory());
    b.general(width, &[operation << 3 | 3], a, rm);
    b.define_flags();
}
