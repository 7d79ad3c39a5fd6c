//! Comparisons and operations with the jumps on them, calls, and counted loops.

use super::compute::copy_and_operation;
use super::memory::moves;
use super::{ADD, CMP, COMMON, SHIFTS, SUB, arithmetic, binary, constant, copy, step_of};
use crate::sequence::assembler::{Rm, Width};
use crate::sequence::builder::{Builder, RCX};
use crate::sequence::code::Branch;

/// Jcc, SETcc or CMOVcc.
pub(super) fn user(b: &mut Builder) {
    let code = b.numbers.below(16) as u8;
    match b.numbers.below(4) {
        0 => {
            let rm = b.target_or_memory(Width::Byte);
            b.general(Width::Byte, &[0x0f, 0x90 | code], 0, rm);
        }
        1 => {
            let (width, reg, rm) = (b.wide(), b.whole(), b.source_or_memory());
            b.general(width, &[0x0f, 0x40 | code], reg, rm);
        }
        _ => b.branch(Branch::Conditional(code)),
    }
}

pub(super) fn compare_and_use(b: &mut Builder) {
    let width = b.width();
    if b.numbers.one_in(2) {
        binary(b, CMP, width);
    } else {
        let (reg, rm) = (b.source(), b.source_or_memory());
        let same = Rm::Register(reg);
        let rm = if b.numbers.one_in(2) { same } else { rm };
        b.general(width, &[width.opcode(0x84)], reg, rm);
    }
    b.define_flags();
    for _ in 0..=b.numbers.below(3) {
        if b.numbers.one_in(4) {
            moves(b);
        }
        user(b);
    }
}

/// An operation on a register, and a jump on what it leaves.
pub(super) fn operation_and_jump(b: &mut Builder) {
    let (width, a) = (b.wide(), b.whole());
    match b.numbers.below(4) {
        0 => step_of(b, width, Rm::Register(a)),
        1 => {
            let (operation, count) = (b.one_of(&SHIFTS), b.numbers.next() as u8 & 0x3f);
            b.with_immediate(width, &[0xc1], operation, Rm::Register(a), &[count]);
        }
        2 => {
            let (operation, value) = (b.one_of(&COMMON), b.constant());
            constant(b, operation, width, Rm::Register(a), value);
        }
        _ => {
            let (operation, right) = (b.one_of(&COMMON), b.source());
            b.general(width, &[operation << 3 | 3], a, Rm::Register(right));
        }
    }
    b.read_flags();
    let code = b.one_of(&[4, 5, 8, 9, 2, 3, 6, 15]);
    b.branch(Branch::Conditional(code));
    if b.numbers.one_in(3) {
        user(b);
    }
}

/// A step of a register, its comparison with another or with a constant, and a jump.
pub(super) fn step_compare_jump(b: &mut Builder) {
    let (width, a, other) = (b.wide(), b.whole(), b.source());
    match b.numbers.below(3) {
        0 => {
            let operation = b.one_of(&[0, 1]);
            b.general(width, &[0xff], operation, Rm::Register(a));
        }
        _ => {
            let (operation, value) = (b.one_of(&[ADD, SUB]), b.constant());
            constant(b, operation, width, Rm::Register(a), value);
        }
    }
    match b.numbers.below(3) {
        0 => b.general(width, &[0x3b], a, Rm::Register(other)),
        1 => b.general(width, &[0x3b], other, Rm::Register(a)),
        _ => {
            let value = b.constant();
            constant(b, CMP, width, Rm::Register(a), value);
        }
    }
    b.define_flags();
    let code = b.numbers.below(16) as u8;
    b.branch(Branch::Conditional(code));
}

/// MOV, OR, SHR and Jcc: whether one of two numbers has bits above some place.
pub(super) fn guard(b: &mut Builder) {
    let a = b.whole();
    let width = b.address();
    copy(b, width, a);
    if b.numbers.one_in(2) {
        let other = b.source();
        b.general(width, &[0x0b], a, Rm::Register(other));
    }
    b.with_immediate(width, &[0xc1], 5, Rm::Register(a), &[32]);
    if b.is_long() {
        b.define_flags();
    } else {
        b.read_flags();
    }
    let code = b.one_of(&[4, 5]);
    b.branch(Branch::Conditional(code));
}

/// CALL of a function behind, which returns.
pub(super) fn call(b: &mut Builder) {
    let caller = b.len();
    b.branch_to(Branch::Call, 0);
    moves(b);
    let over = b.len();
    b.branch_to(Branch::Jump, 0);
    b.lead_here(caller);
    if b.numbers.one_in(2) {
        copy_and_operation(b);
    } else {
        arithmetic(b);
    }
    let releases = b.numbers.one_in(4);
    b.push(if releases { vec![0xc2, 8, 0] } else { vec![0xc3] });
    b.lead_here(over);
}

/// A counted loop around what `body` writes.
pub fn counted_loop(b: &mut Builder, body: impl FnOnce(&mut Builder)) {
    let counter = if b.numbers.one_in(4) { RCX } else { b.whole() };
    if b.is_reserved(counter, Width::Quad) {
        return body(b);
    }
    let (width, times) = (b.wide(), 1 + b.numbers.below(12) as u32);
    let kind = if counter == RCX { b.numbers.below(4) } else { 1 + b.numbers.below(3) };
    let up = kind == 3 && b.numbers.one_in(2);
    b.load(counter, if up { 0 } else { times });
    b.reserve(counter, true);
    let head = b.len();
    body(b);
    b.land();
    match kind {
        // LOOP.
        0 => b.branch_to(Branch::Counted(0xe2), head),
        1 => {
            b.read_flags();
            let opcode = b.one_of(&[(0xff, 1), (0x83, SUB)]);
            match opcode {
                (0xff, operation) => b.general(width, &[0xff], operation, Rm::Register(counter)),
                (opcode, operation) => {
                    b.with_immediate(width, &[opcode], operation, Rm::Register(counter), &[1]);
                    b.define_flags();
                }
            }
            let code = b.one_of(&[5, 5, 15]);
            b.branch_to(Branch::Conditional(code), head);
        }
        _ => {
            let step = b.one_of(&[1, 1, 2, 3]);
            let (operation, bound) = if up { (ADD, times as u8) } else { (SUB, 0) };
            if step == 1 && b.numbers.one_in(2) {
                b.general(width, &[0xff], u8::from(!up), Rm::Register(counter));
            } else {
                b.with_immediate(width, &[0x83], operation, Rm::Register(counter), &[step]);
            }
            let other = b.whole();
            match b.numbers.below(4) {
                0 => {
                    // With a register, which holds anything: many never end.
                    b.general(width, &[0x3b], counter, Rm::Register(other));
                }
                1 => b.general(width, &[0x3b], other, Rm::Register(counter)),
                _ => b.with_immediate(width, &[0x83], CMP, Rm::Register(counter), &[bound]),
            }
            b.define_flags();
            let down = [5, 15, 13];
            let code = if up { b.one_of(&[5, 2, 12, 6, 14]) } else { b.one_of(&down) };
            b.branch_to(Branch::Conditional(code), head);
        }
    }
    b.reserve(counter, false);
}
