//! An interpreter for bytecode: an indirect jump for each operation of the program, which follows
//! Collatz sequences and adds up their steps.
//@ stdout: checksum 66720d84e065df73
//@ bench: rounds=80
//@ bench-target: 0.25

#![no_std]
#![no_main]

use core::hint::black_box;
use guest_tests::bench::{Checksum, argument};
use guest_tests::check_eq;

guest_tests::entry!(main);

/// What an operation does; `a` and `b` are registers or small constants.
#[derive(Clone, Copy)]
enum Opcode {
    Set,
    Move,
    AddConstant,
    Triple,
    Halve,
    LowBit,
    Jump,
    JumpIfZero,
    JumpIfEqual,
    Stop,
}

use Opcode::*;

#[derive(Clone, Copy)]
struct Operation {
    opcode: Opcode,
    a: u8,
    b: u8,
    target: u8,
}

const fn op(opcode: Opcode, a: u8, b: u8, target: u8) -> Operation {
    Operation { opcode, a, b, target }
}

const NUMBER: u8 = 0;
const VALUE: u8 = 1;
const STEPS: u8 = 2;
const LIMIT: u8 = 3;
const ONE: u8 = 4;
const BIT: u8 = 5;

const PROGRAM: [Operation; 15] = [
    op(Set, ONE, 1, 0),
    op(Set, NUMBER, 1, 0),
    op(Set, STEPS, 0, 0),
    // 3: the next number
    op(JumpIfEqual, NUMBER, LIMIT, 14),
    op(Move, VALUE, NUMBER, 0),
    op(AddConstant, NUMBER, 1, 0),
    // 6: the next step of its sequence
    op(JumpIfEqual, VALUE, ONE, 3),
    op(AddConstant, STEPS, 1, 0),
    op(LowBit, BIT, VALUE, 0),
    op(JumpIfZero, BIT, 0, 12),
    op(Triple, VALUE, 1, 0),
    op(Jump, 0, 0, 6),
    // 12: it is even
    op(Halve, VALUE, 0, 0),
    op(Jump, 0, 0, 6),
    op(Stop, 0, 0, 0),
];

/// The steps from 1 to 9 each (OEIS, A006577).
const FIRST_NINE: [u64; 9] = [0, 1, 7, 2, 5, 8, 16, 3, 19];

fn main() {
    check_eq!(run(&PROGRAM, 10), FIRST_NINE.iter().sum::<u64>());
    let mut checksum = Checksum::default();
    for round in 0..argument("rounds", 1) {
        checksum.add(run(black_box(&PROGRAM), 3000 + round));
    }
    checksum.print();
}

/// Runs the program with `limit` in its register, and returns the steps it has counted.
#[inline(never)]
fn run(program: &[Operation], limit: u64) -> u64 {
    let mut registers = [0u64; 8];
    registers[usize::from(LIMIT)] = limit;
    let mut next = 0;
    loop {
        let Operation { opcode, a, b, target } = program[next];
        let (first, second) = (usize::from(a % 8), usize::from(b % 8));
        next += 1;
        match opcode {
            Set => registers[first] = b.into(),
            Move => registers[first] = registers[second],
            AddConstant => registers[first] += u64::from(b),
            Triple => registers[first] = registers[first] * 3 + u64::from(b),
            Halve => registers[first] >>= 1,
            LowBit => registers[first] = registers[second] & 1,
            Jump => next = target.into(),
            JumpIfZero if registers[first] == 0 => next = target.into(),
            JumpIfEqual if registers[first] == registers[second] => next = target.into(),
            JumpIfZero | JumpIfEqual => {}
            Stop => return registers[usize::from(STEPS)],
        }
    }
}
