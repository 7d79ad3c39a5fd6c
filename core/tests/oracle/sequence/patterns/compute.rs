//! Copies and the operations on them, products and quotients, carries, shifts, and parts of registers.

use super::flow::user;
use super::memory::moves;
use super::{ADC, ADD, CMP, COMMON, SBB, SHIFTS, SUB, binary, constant, copy, step};
use crate::sequence::assembler::{Rm, Width, legacy};
use crate::sequence::builder::Builder;
use crate::sequence::code::Branch;

/// MOV, and an operation on its destination, or on the half of it.
pub(super) fn copy_and_operation(b: &mut Builder) {
    let (width, a) = (b.wide(), b.whole());
    let from = copy(b, width, a);
    let any = b.source();
    let right = b.one_of(&[any, any, a, from]);
    let width = if b.numbers.one_in(6) { b.wide() } else { width };
    match b.numbers.below(5) {
        0 => {
            let operation = b.one_of(&SHIFTS);
            let count = b.numbers.next() as u8 & 0x3f;
            b.with_immediate(width, &[0xc1], operation, Rm::Register(a), &[count]);
        }
        1 => {
            b.general(width, &[0x0f, 0xaf], a, Rm::Register(right));
            b.undefine_flags();
            return;
        }
        2 => {
            let (operation, value) = (b.one_of(&COMMON), b.constant());
            constant(b, operation, width, Rm::Register(a), value);
        }
        _ => {
            let operation = b.one_of(&COMMON);
            b.general(width, &[operation << 3 | 3], a, Rm::Register(right));
        }
    }
    b.define_flags();
}

/// MOV, a shift of the copy, an operation on that, and sometimes a product of it.
pub(super) fn copy_shift_operation(b: &mut Builder) {
    let (width, a) = (b.wide(), b.whole());
    let from = copy(b, width, a);
    let (operation, count) = (b.one_of(&SHIFTS), b.numbers.next() as u8 & 0x3f);
    b.with_immediate(width, &[0xc1], operation, Rm::Register(a), &[count]);
    let operation = b.one_of(&COMMON);
    if b.numbers.one_in(3) {
        let value = b.constant();
        constant(b, operation, width, Rm::Register(a), value);
    } else {
        let any = b.source();
        let right = b.one_of(&[any, from, from, a]);
        b.general(width, &[operation << 3 | 3], a, Rm::Register(right));
    }
    b.define_flags();
    if b.numbers.one_in(2) {
        let factor = b.source();
        b.general(width, &[0x0f, 0xaf], a, Rm::Register(factor));
        b.undefine_flags();
        if b.numbers.one_in(2) {
            binary(b, ADD, width);
            b.define_flags();
        }
    }
}

/// XOR EDX, EDX and DIV, with a move of the dividend and a test of the remainder, or without.
pub(super) fn division(b: &mut Builder) {
    let width = b.wide();
    let clear = |b: &mut Builder| b.general(Width::Double, &[0x31], 2, Rm::Register(2));
    match b.numbers.below(4) {
        0 => clear(b),
        1 => {
            copy(b, width, 0);
            clear(b);
        }
        2 => {
            clear(b);
            copy(b, width, 0);
        }
        // Of two registers, most of which overflow.
        _ => {}
    }
    let divisor = if b.numbers.one_in(4) { b.memory() } else { Rm::Register(b.source()) };
    b.general(width, &[0xf7], 6, divisor);
    b.undefine_flags();
    if b.numbers.one_in(2) {
        let width = b.wide();
        b.general(width, &[0x85], 2, Rm::Register(2));
        b.define_flags();
        let code = b.one_of(&[4, 5, 8]);
        b.branch(Branch::Conditional(code));
    }
}

/// CDQ or CQO, and IDIV; or DIV and IDIV of bytes and words.
pub(super) fn signed_division(b: &mut Builder) {
    if b.numbers.one_in(4) {
        let (width, operation) = (b.one_of(&[Width::Byte, Width::Word]), b.one_of(&[6, 7]));
        // Of AL or AX alone.
        b.general(Width::Double, &[0x0f, 0xb6], 0, Rm::Register(0));
        b.general(Width::Double, &[0x31], 2, Rm::Register(2));
        let rm = b.source_or_memory();
        b.general(width, &[width.opcode(0xf6)], operation, rm);
    } else {
        let (width, rm) = (b.wide(), b.source_or_memory());
        b.implied(width, 0x99);
        b.general(width, &[0xf7], 7, rm);
    }
    b.undefine_flags();
}

pub(super) fn multiplication(b: &mut Builder) {
    let (width, rm) = (b.width(), b.source_or_memory());
    match b.numbers.below(3) {
        0 => {
            let operation = b.one_of(&[4, 5]);
            b.general(width, &[width.opcode(0xf6)], operation, rm);
        }
        1 if width != Width::Byte => {
            let (a, value) = (b.target(width), b.constant());
            if b.numbers.one_in(2) {
                b.with_immediate(width, &[0x6b], a, rm, &[value as u8]);
            } else {
                b.with_immediate(width, &[0x69], a, rm, &width.immediate(value));
            }
        }
        _ => {
            let (width, a) = (b.wide(), b.whole());
            b.general(width, &[0x0f, 0xaf], a, rm);
        }
    }
    b.undefine_flags();
    if b.numbers.one_in(2) {
        // CF and OF are defined.
        let code = b.one_of(&[0, 1, 2, 3]);
        b.branch(Branch::Conditional(code));
    }
}

/// XOR, SUB or SBB of a register with itself.
pub(super) fn zeroing(b: &mut Builder) {
    let (width, a) = (b.wide(), b.whole());
    let operation = b.one_of(&[6, 6, SUB, SBB]);
    if operation == SBB {
        b.read_flags();
    }
    b.general(width, &[operation << 3 | 1], a, Rm::Register(a));
    b.define_flags();
    if b.numbers.one_in(3) {
        user(b);
    }
}

/// ADD or SUB, and what goes on with its carry.
pub(super) fn carry_chain(b: &mut Builder) {
    let (first, width) = (b.one_of(&[ADD, SUB, CMP]), b.width());
    binary(b, first, width);
    b.define_flags();
    for _ in 0..=b.numbers.below(4) {
        if b.numbers.one_in(4) {
            step(b);
        }
        if b.numbers.one_in(4) {
            moves(b);
        }
        let (operation, width) = (b.one_of(&[ADC, SBB]), b.width());
        binary(b, operation, width);
    }
    if b.numbers.one_in(2) {
        user(b);
    }
}

/// Bytes and words of registers, and the whole of them.
pub(super) fn partial_registers(b: &mut Builder) {
    let a = b.one_of(&[0, 1, 2, 3]);
    for _ in 0..=b.numbers.below(4) {
        match b.numbers.below(6) {
            0 => {
                let (to, from) = (a | b.one_of(&[0, 4]), b.source_or_memory());
                b.general(Width::Byte, &[0x8a], to, from);
            }
            1 => {
                let (to, operation) = (a | b.one_of(&[0, 4]), b.one_of(&COMMON));
                let from = b.source_or_memory();
                b.general(Width::Byte, &[operation << 3 | 2], to, from);
                b.define_flags();
            }
            2 => {
                let from = b.source();
                b.general(Width::Word, &[0x8b], a, Rm::Register(from));
            }
            3 => {
                let (width, to, opcode) =
                    (b.wide(), b.whole(), b.one_of(&[0xb6, 0xb7, 0xbe, 0xbf]));
                let high = if opcode & 1 == 0 { b.one_of(&[0, 4]) } else { 0 };
                b.general(width, &[0x0f, opcode], to, Rm::Register(a | high));
            }
            4 => {
                let (width, operation) = (b.wide(), b.one_of(&COMMON));
                b.general(width, &[operation << 3 | 1], a, Rm::Register(a));
                b.define_flags();
            }
            _ => {
                let (width, to) = (b.wide(), b.whole());
                b.general(width, &[0x8b], to, Rm::Register(a));
            }
        }
    }
}

/// A shift or rotation by a constant or by CL; SHLD and SHRD.
pub(super) fn shift(b: &mut Builder) {
    let (width, operation) = (b.width(), b.numbers.below(8) as u8);
    let rm = b.target_or_memory(width);
    let count = b.numbers.next() as u8;
    if matches!(operation, 2 | 3) {
        b.read_flags();
    }
    match b.numbers.below(5) {
        0 => b.general(width, &[width.opcode(0xd2)], operation, rm),
        1 => b.general(width, &[width.opcode(0xd0)], operation, rm),
        2 if width != Width::Byte => {
            let (reg, opcode) = (b.source(), b.one_of(&[0xa4, 0xac]));
            b.with_immediate(width, &[0x0f, opcode], reg, rm, &[count & 0x3f]);
        }
        _ => b.with_immediate(width, &[width.opcode(0xc0)], operation, rm, &[count & 0x3f]),
    }
}

/// BT and its kin, scans and counts, BSWAP.
pub(super) fn bits(b: &mut Builder) {
    let width = b.wide();
    match b.numbers.below(5) {
        0 => {
            let (operation, place) = (b.one_of(&[4, 5, 6, 7]), b.numbers.next() as u8);
            let rm = b.target_or_memory(width);
            b.with_immediate(width, &[0x0f, 0xba], operation, rm, &[place]);
        }
        1 => {
            let (opcode, place) = (b.one_of(&[0xa3, 0xab, 0xb3, 0xbb]), b.source());
            let a = b.whole();
            b.general(width, &[0x0f, opcode], place, Rm::Register(a));
        }
        2 => {
            let (opcode, a, rm) = (b.one_of(&[0xbc, 0xbd]), b.whole(), b.source_or_memory());
            b.general(width, &[0x0f, opcode], a, rm);
        }
        3 => {
            let (opcode, a, rm) = (b.one_of(&[0xb8, 0xbc, 0xbd]), b.whole(), b.source_or_memory());
            let bytes = legacy(b.mode, &[0xf3], width == Width::Quad, &[0x0f, opcode], a, rm);
            b.push(bytes);
            if opcode != 0xb8 {
                b.undefine_flags();
            }
        }
        _ => {
            let a = b.whole();
            let rex = u8::from(width == Width::Quad) << 3 | a >> 3;
            let opcode = [0x0f, 0xc8 | a & 7];
            let prefix = if rex == 0 { vec![] } else { vec![0x40 | rex] };
            b.push([&prefix[..], &opcode].concat());
        }
    }
}
