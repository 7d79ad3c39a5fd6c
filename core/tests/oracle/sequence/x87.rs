//! What compilers write one behind the other on the x87, and its state in memory and back.
//!
//! What of that state processors differ in is overwritten before anything can read it: each store is one
//! element with the instructions that do so. What is in front of it in the element leaves the pointers
//! to instruction and data, which nothing before the sequence has.

use super::assembler::{Rm, Width, legacy};
use super::builder::{Builder, RAX};
use super::code::Branch;
use super::patterns::Pattern;

pub const PATTERNS: &[Pattern] =
    &[expression, expression, expression, comparison, environment, environment, extended];

/// Opcode and digits of a load and of a store that pops: of numbers in single, double and extended
/// precision, of integers of 16, 32 and 64 bits, and of decimals.
const FORMATS: [(u8, u8, u8); 7] = [
    (0xd9, 0, 3),
    (0xdd, 0, 3),
    (0xdb, 5, 7),
    (0xdf, 0, 3),
    (0xdb, 0, 3),
    (0xdf, 5, 7),
    (0xdf, 4, 6),
];

/// Opcodes of what has no operand, in D9: FCHS, FABS, FXAM, FLD1, FLDPI, FLDZ, FPREM, FSQRT, FRNDINT, FSCALE.
const ALONE: [u8; 10] = [0xe0, 0xe1, 0xe5, 0xe8, 0xeb, 0xee, 0xf8, 0xfa, 0xfc, 0xfd];

fn write(b: &mut Builder, opcode: u8, digit: u8, rm: Rm) {
    b.push(legacy(b.mode, &[], false, &[opcode], digit, rm));
}

/// One of the registers, most often near the top.
fn register(b: &mut Builder) -> Rm {
    let most = if b.numbers.one_in(4) { 8 } else { 3 };
    Rm::Register(b.numbers.below(most) as u8)
}

fn load(b: &mut Builder) {
    let ((opcode, digit, _), memory) = (b.one_of(&FORMATS), b.memory());
    write(b, opcode, digit, memory);
}

fn store(b: &mut Builder) {
    let ((opcode, _, digit), memory) = (b.one_of(&FORMATS), b.memory());
    write(b, opcode, digit, memory);
}

/// An operation on the top of the stack.
fn operation(b: &mut Builder) {
    // Not comparisons.
    let arithmetic = b.one_of(&[0, 1, 4, 5, 6, 7]);
    let rm = register(b);
    match b.numbers.below(8) {
        0 | 1 => {
            let (opcode, memory) = (b.one_of(&[0xd8, 0xdc, 0xda, 0xde]), b.memory());
            write(b, opcode, arithmetic, memory);
        }
        2 => write(b, 0xd8, arithmetic, rm),
        3 => {
            let opcode = b.one_of(&[0xdc, 0xde]);
            write(b, opcode, arithmetic, rm);
        }
        // FXCH.
        4 => write(b, 0xd9, 1, rm),
        // FLD.
        5 => write(b, 0xd9, 0, rm),
        6 => {
            // FST and FSTP.
            let digit = b.one_of(&[2, 3]);
            write(b, 0xdd, digit, rm);
        }
        _ => {
            let opcode = b.one_of(&ALONE);
            b.push(vec![0xd9, opcode]);
        }
    }
}

/// Loads, operations and stores.
fn expression(b: &mut Builder) {
    if b.numbers.one_in(8) {
        // FNINIT.
        b.push(vec![0xdb, 0xe3]);
    }
    for _ in 0..=b.numbers.below(2) {
        load(b);
    }
    for _ in 0..=b.numbers.below(3) {
        operation(b);
    }
    store(b);
}

/// A comparison, and a jump on its flags or on its condition code as flags.
fn comparison(b: &mut Builder) {
    let (rm, code) = (register(b), b.one_of(&[2, 3, 4, 5, 6, 7, 10, 11]));
    if b.is_reserved(RAX, Width::Quad) || b.numbers.one_in(3) {
        // FCOMI, FUCOMI and the same with a pop.
        let (opcode, digit) = (b.one_of(&[0xdb, 0xdf]), b.one_of(&[5, 6]));
        write(b, opcode, digit, rm);
        b.define_flags();
    } else {
        match b.numbers.below(3) {
            0 => {
                let digit = b.one_of(&[2, 3]);
                let memory = b.memory();
                write(b, 0xd8, digit, memory);
            }
            1 => {
                // FUCOM and FUCOMP.
                let digit = b.one_of(&[4, 5]);
                write(b, 0xdd, digit, rm);
            }
            // FTST.
            _ => b.push(vec![0xd9, 0xe4]),
        }
        // FNSTSW, SAHF.
        b.push(vec![0xdf, 0xe0]);
        b.push(vec![0x9e]);
    }
    b.branch(Branch::Conditional(code));
}

/// Something that leaves pointers.
fn leave_pointers(b: &mut Builder) {
    load(b);
    for _ in 0..b.numbers.below(3) {
        operation(b);
    }
}

/// FNSTENV or FNSAVE, and some time later FLDENV or FRSTOR.
fn environment(b: &mut Builder) {
    let (width, opcode) = (b.one_of(&[Width::Word, Width::Double]), b.one_of(&[0xd9, 0xdd]));
    let (memory, first) = (b.memory(), b.len());
    leave_pointers(b);
    b.general(width, &[opcode], 6, memory);
    // The selectors, which the interpreter has deprecated.
    let selectors = if width == Width::Word { [8, 12] } else { [16, 24] };
    for at in selectors {
        b.with_immediate(Width::Word, &[0xc7], 0, memory.behind(at), &[0; 2]);
    }
    b.join(first);
    for _ in 0..b.numbers.below(3) {
        operation(b);
    }
    if b.numbers.one_in(2) {
        b.general(width, &[opcode], 4, memory);
    }
}

/// FXSAVE, and some time later FXRSTOR.
fn extended(b: &mut Builder) {
    let memory = match b.memory() {
        Rm::Memory { base, displacement, .. } => {
            Rm::Memory { base, index: None, displacement: displacement & !15 }
        }
        register => register,
    };
    let (wide, first) = (b.is_long() && b.numbers.one_in(2), b.len());
    let write = |b: &mut Builder, digit| {
        b.push(legacy(b.mode, &[], wide, &[0x0f, 0xae], digit, memory));
    };
    leave_pointers(b);
    write(b, 0);
    // The opcode and the pointers, which AMD's processors show if an exception is pending, and the
    // mask of MXCSR.
    b.with_immediate(Width::Word, &[0xc7], 0, memory.behind(6), &[0; 2]);
    for at in [8, 12, 16, 20, 28] {
        b.with_immediate(Width::Double, &[0xc7], 0, memory.behind(at), &[0; 4]);
    }
    b.join(first);
    for _ in 0..b.numbers.below(3) {
        operation(b);
    }
    if b.numbers.one_in(2) {
        write(b, 1);
    }
}
