//! Loads and stores, the stack, addresses that are computed, exchanges, and the flags as a word.

use super::{AND, COMMON, arithmetic, binary_on, short};
use crate::sequence::assembler::{Rm, Width, general};
use crate::sequence::builder::{Builder, RSP};

/// Pushes and pops that meet, or do not.
pub(super) fn stack(b: &mut Builder) {
    let pushes = 1 + b.numbers.below(3);
    for _ in 0..pushes {
        match b.numbers.below(6) {
            0 => b.push(vec![0x6a, 0x5a]),
            1 => {
                let rm = b.memory();
                b.general(Width::Double, &[0xff], 6, rm);
            }
            _ => {
                let register = b.source();
                short(b, 0x50, register);
            }
        }
    }
    if b.numbers.one_in(3) {
        arithmetic(b);
    }
    for _ in 0..pushes {
        let register = b.whole();
        short(b, 0x58, register);
    }
}

/// LEA of what LEA has computed, and a load from near an address.
pub(super) fn address_chain(b: &mut Builder) {
    let a = b.whole();
    for _ in 0..=b.numbers.below(3) {
        let (width, base, index) = (b.wide(), b.source(), b.source());
        let base = b.one_of(&[base, a]);
        let index = (index != RSP).then(|| (index, b.numbers.below(4) as u8));
        let displacement = b.numbers.operand() as i32;
        b.general(width, &[0x8d], a, Rm::Memory { base, index, displacement });
    }
    // An address that an operation has just made.
    let (width, memory) = (b.address(), b.memory());
    b.general(width, &[0x8d], a, memory);
    let (reg, narrow) = (b.target(Width::Byte), b.width());
    let memory = Rm::Memory { base: a, index: None, displacement: b.numbers.below(16) as i32 };
    let reg = if narrow == Width::Byte { reg } else { b.whole() };
    b.general(narrow, &[narrow.opcode(0x8a)], reg, memory);
}

/// All flags at once, behind whatever was before: PUSHF, LAHF, RCL and RCR, and CF alone.
pub(super) fn read_of_flags(b: &mut Builder) {
    match b.numbers.below(8) {
        0 | 1 => {
            b.read_flags();
            b.push(vec![0x9c]);
            let register = b.whole();
            short(b, 0x58, register);
        }
        2 => {
            b.read_flags();
            // PUSHF, other flags, POPF.
            b.push(vec![0x9c]);
            let mask = b.numbers.next() as u32 & 0x8d5;
            let top = Rm::Memory { base: RSP, index: None, displacement: 0 };
            b.with_immediate(Width::Double, &[0x81], 6, top, &mask.to_le_bytes());
            b.push(vec![0x9d]);
            b.define_flags();
        }
        3 => {
            b.read_flags();
            b.push(vec![0x9f]);
        }
        4 => b.push(vec![0x9e]),
        5 => {
            let opcode = b.one_of(&[0xf5, 0xf8, 0xf9]);
            b.push(vec![opcode]);
        }
        _ => {
            b.read_flags();
            let (width, operation) = (b.width(), b.one_of(&[2, 3]));
            let rm = b.target_or_memory(width);
            b.general(width, &[width.opcode(0xd0)], operation, rm);
        }
    }
}

/// An index that has just been computed, and what is there.
pub(super) fn element(b: &mut Builder) {
    let (width, a) = (b.wide(), b.whole());
    let pointers = Builder::pointers(b.mode);
    let (base, shift) = (b.one_of(pointers), b.numbers.below(4) as u8);
    b.with_immediate(width, &[0x83], AND, Rm::Register(a), &[0x1f]);
    b.define_flags();
    let memory = Rm::Memory { base, index: Some((a, shift)), displacement: 0 };
    match b.numbers.below(3) {
        0 => {
            let narrow = b.width();
            let reg = b.target(narrow);
            b.general(narrow, &[narrow.opcode(0x8a)], reg, memory);
        }
        1 => {
            let (narrow, reg) = (b.width(), b.source());
            b.general(narrow, &[narrow.opcode(0x88)], reg, memory);
        }
        _ => {
            let (operation, reg) = (b.one_of(&COMMON), b.whole());
            let opcode = operation << 3 | b.one_of(&[1, 3]);
            b.general(width, &[opcode], reg, memory);
        }
    }
}

/// XCHG, XADD, CMPXCHG, and operations on memory with LOCK.
pub(super) fn exchange(b: &mut Builder) {
    let width = b.width();
    let reg = b.target(width);
    let memory = b.memory();
    let locked = b.numbers.one_in(2);
    let rm = if locked || b.numbers.one_in(2) { memory } else { Rm::Register(b.target(width)) };
    let opcode = b.one_of(&[0x86, 0xc0, 0xb0, 0x00]);
    let mut bytes = general(b.mode, width, &[0x0f, width.opcode(opcode)], reg, rm);
    if matches!(opcode, 0x86 | 0) {
        bytes = general(b.mode, width, &[width.opcode(opcode)], reg, rm);
    }
    if locked && opcode != 0x86 {
        bytes.insert(0, 0xf0);
    }
    b.push(bytes);
    if opcode != 0x86 {
        b.define_flags();
    }
}

/// Loads, stores, constants and extensions.
pub(super) fn moves(b: &mut Builder) {
    let width = b.width();
    match b.numbers.below(5) {
        0 => {
            let (reg, rm) = (b.target(width), b.source_or_memory());
            b.general(width, &[width.opcode(0x8a)], reg, rm);
        }
        1 => {
            let (reg, memory) = (b.source(), b.memory());
            b.general(width, &[width.opcode(0x88)], reg, memory);
        }
        2 => {
            let (rm, value) = (b.target_or_memory(width), b.constant());
            b.with_immediate(width, &[width.opcode(0xc6)], 0, rm, &width.immediate(value));
        }
        3 => {
            let (wide, reg, rm) = (b.wide(), b.whole(), b.source_or_memory());
            let opcode = b.one_of(&[0xb6, 0xb7, 0xbe, 0xbf]);
            b.general(wide, &[0x0f, opcode], reg, rm);
        }
        _ => {
            // An operation and its store, which reads the result.
            let (wide, a, memory) = (b.wide(), b.whole(), b.memory());
            binary_on(b, wide, a);
            b.general(wide, &[0x89], a, memory);
        }
    }
}
