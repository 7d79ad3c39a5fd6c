//! Steps and, behind them in the opposite order, their opposites: what is left is what was there, but for
//! flags.

use super::flow::user;
use super::memory::moves;
use super::{ADD, SUB};
use crate::sequence::assembler::{Rm, Width, general};
use crate::sequence::builder::Builder;

pub(super) fn undo(b: &mut Builder) {
    let steps: Vec<_> = (0..=b.numbers.below(3)).map(|_| step(b)).collect();
    for (there, _) in &steps {
        b.push(there.clone());
    }
    match b.numbers.below(6) {
        0 => moves(b),
        1 => {
            b.read_flags();
            user(b);
        }
        _ => {}
    }
    for (_, back) in steps.into_iter().rev() {
        b.push(back);
    }
}

/// An instruction, and one that undoes it.
fn step(b: &mut Builder) -> (Vec<u8>, Vec<u8>) {
    const XOR: u8 = 6;
    let (mode, width, a) = (b.mode, b.wide(), b.whole());
    let rm = if b.numbers.one_in(4) { b.memory() } else { Rm::Register(a) };
    let (any, other) = (b.source(), b.whole());
    let one = |opcode: u8, digit| general(mode, width, &[opcode], digit, rm);
    match b.numbers.below(8) {
        0 => {
            // NOT, NEG.
            let digit = b.one_of(&[2, 3]);
            (one(0xf7, digit), one(0xf7, digit))
        }
        1 => (one(0xff, 0), one(0xff, 1)),
        2 => (one(ADD << 3 | 1, any), one(SUB << 3 | 1, any)),
        3 => (one(XOR << 3 | 1, any), one(XOR << 3 | 1, any)),
        4 => {
            let count = b.numbers.next() as u8 & 0x3f;
            let rotate = |digit| [one(0xc1, digit), vec![count]].concat();
            (rotate(0), rotate(1))
        }
        // XCHG.
        5 => (one(0x87, other), one(0x87, other)),
        // To another register, and back.
        6 => (one(0x8b, other), one(0x89, other)),
        _ => {
            // PUSH and POP, of 64 bits in 64-bit mode.
            let width = if b.is_long() { Width::Double } else { width };
            let stack = |opcode: u8, digit| general(mode, width, &[opcode], digit, rm);
            (stack(0xff, 6), stack(0x8f, 0))
        }
    }
}
