//! What compilers write one behind the other on vectors, and string instructions.

use super::assembler::{Rm, Vex, Width, legacy};
use super::builder::{Builder, RCX};
use super::code::Branch;
use super::patterns::Pattern;

pub const PATTERNS: &[Pattern] = &[
    neighbours,
    operation_on_loads,
    run_of_moves,
    product_and_sum,
    broadcast,
    rounds,
    through_general,
    strings,
];

/// Mandatory prefix and opcode of a move to a register; one more is the move from it.
const MOVES: [(&[u8], u8, bool); 5] = [
    (&[], 0x10, false),
    (&[0x66], 0x10, false),
    (&[0xf3], 0x6f, false),
    (&[], 0x28, true),
    (&[0x66], 0x6f, true),
];

/// Operations that follow a load, in 66 0F.
const INTEGER: [u8; 13] =
    [0xfc, 0xfd, 0xfe, 0xd4, 0xf8, 0xfa, 0xfb, 0x74, 0x76, 0xda, 0xdb, 0xeb, 0xef];

/// Eight registers, so that they meet.
fn register(b: &mut Builder) -> u8 {
    let high = b.is_long() && b.numbers.one_in(4);
    b.numbers.below(if high { 16 } else { 6 }) as u8
}

/// A memory operand of which the neighbours are in reach, too.
fn array(b: &mut Builder) -> Rm {
    match b.memory() {
        Rm::Memory { base, index, .. } if b.numbers.one_in(2) => {
            let displacement = 16 * (b.numbers.below(12) as i32 - 6);
            Rm::Memory { base, index, displacement }
        }
        memory => memory,
    }
}

/// The opcode by which a move stores.
fn store(opcode: u8) -> u8 {
    if opcode == 0x6f { 0x7f } else { opcode + 1 }
}

/// Two stores, most of them side by side.
fn neighbours(b: &mut Builder) {
    let ((prefix, opcode, _), memory) = (b.one_of(&MOVES), array(b));
    let distance = b.one_of(&[16, 16, 16, 8, -16]);
    for number in 0..2 {
        let reg = register(b);
        b.vector(prefix, &[0x0f, store(opcode)], reg, memory.behind(number * distance));
    }
}

/// A load and an operation on it, once or twice.
fn operation_on_loads(b: &mut Builder) {
    let (prefix, opcode, _) = b.one_of(&MOVES[..3]);
    let memory = array(b);
    let floats: [(&[u8], u8); 8] = [
        (&[], 0x58),
        (&[0x66], 0x58),
        (&[], 0x59),
        (&[0x66], 0x59),
        (&[], 0x54),
        (&[0x66], 0x57),
        (&[], 0x56),
        (&[], 0x5c),
    ];
    let (prefix_2, operation) = match b.numbers.one_in(2) {
        true => b.one_of(&floats),
        false => (&[0x66][..], b.one_of(&INTEGER)),
    };
    for number in 0..1 + b.numbers.below(2) as i32 {
        let (loaded, other) = (register(b), register(b));
        b.vector(prefix, &[0x0f, opcode], loaded, memory.behind(number * 16));
        let (left, right) = if b.numbers.one_in(4) { (loaded, other) } else { (other, loaded) };
        b.vector(prefix_2, &[0x0f, operation], left, Rm::Register(right));
    }
}

/// Loads and stores of a few vectors in a row, of 128 or 256 bits.
fn run_of_moves(b: &mut Builder) {
    let (from, to) = (array(b), array(b));
    let ((prefix, opcode, _), count) = (b.one_of(&MOVES), 1 + b.numbers.below(6) as i32);
    let (with_vex, long) = (b.numbers.one_in(2), b.numbers.one_in(2));
    let size = if with_vex && long { 32 } else { 16 };
    let pp = match prefix {
        [0x66] => 1,
        [0xf3] => 2,
        _ => 0,
    };
    let first = register(b);
    let in_turn = b.numbers.one_in(2);
    let move_one = |b: &mut Builder, opcode, number: i32, memory: Rm| {
        let most = if b.is_long() { 16 } else { 8 };
        let (reg, memory) = ((first + number as u8) % most, memory.behind(number * size));
        match with_vex {
            true => b.vex(Vex { pp, map: 1, wide: false, long }, opcode, reg, 0, memory),
            false => b.vector(prefix, &[0x0f, opcode], reg, memory),
        }
    };
    for number in 0..count {
        move_one(b, opcode, number, from);
        if in_turn {
            move_one(b, store(opcode), number, to);
        }
    }
    for number in (0..count).filter(|_| !in_turn) {
        move_one(b, store(opcode), number, to);
    }
}

/// A multiplication, and an addition or subtraction of the product; VEX-encoded ones, too.
fn product_and_sum(b: &mut Builder) {
    let kinds: [(&[u8], u8); 4] = [(&[], 0), (&[0x66], 1), (&[0xf3], 2), (&[0xf2], 3)];
    let ((prefix, pp), sum) = (b.one_of(&kinds), b.one_of(&[0x58, 0x5c]));
    let (first, other) = (register(b), register(b));
    let rm = if b.numbers.one_in(3) { array(b) } else { Rm::Register(register(b)) };
    let (left, right) = if b.numbers.one_in(2) { (first, other) } else { (other, first) };
    if b.numbers.one_in(3) {
        let form = Vex { pp, map: 1, wide: false, long: pp < 2 && b.numbers.one_in(2) };
        let (source, target) = (register(b), register(b));
        b.vex(form, 0x59, first, source, rm);
        b.vex(form, sum, target, left, Rm::Register(right));
    } else {
        b.vector(prefix, &[0x0f, 0x59], first, rm);
        b.vector(prefix, &[0x0f, sum], left, Rm::Register(right));
    }
}

/// The load of a number, and its copy to all elements.
fn broadcast(b: &mut Builder) {
    let (reg, memory) = (register(b), array(b));
    let other = if b.numbers.one_in(6) { register(b) } else { reg };
    if b.numbers.one_in(2) {
        let (prefix, opcode) = b.one_of(&[(&[0xf2][..], 0x10), (&[0xf3], 0x7e)]);
        b.vector(prefix, &[0x0f, opcode], reg, memory);
        let (prefix, opcode) = b.one_of(&[(&[0x66][..], 0x14), (&[0x66], 0x6c), (&[], 0x16)]);
        b.vector(prefix, &[0x0f, opcode], reg, Rm::Register(other));
    } else {
        let (prefix, opcode) = b.one_of(&[(&[0xf3][..], 0x10), (&[0x66], 0x6e)]);
        b.vector(prefix, &[0x0f, opcode], reg, memory);
        let (prefix, opcode) = b.one_of(&[(&[][..], 0xc6), (&[0x66], 0x70)]);
        let immediate = if b.numbers.one_in(4) { 0x4e } else { 0 };
        let mut bytes = legacy(b.mode, prefix, false, &[0x0f, opcode], reg, Rm::Register(other));
        bytes.push(immediate);
        b.push(bytes);
    }
}

/// Rounds of AES or SHA-256's kin on one register, as ciphers have them.
fn rounds(b: &mut Builder) {
    let (reg, opcode) = (register(b), b.one_of(&[0xdc, 0xde]));
    let with_vex = b.numbers.one_in(2);
    for number in 0..1 + b.numbers.below(5) {
        let key = if b.numbers.one_in(2) { array(b) } else { Rm::Register(register(b)) };
        let last = u8::from(number == 4);
        let target = if b.numbers.one_in(4) { register(b) } else { reg };
        match with_vex {
            true => {
                let form = Vex { pp: 1, map: 2, wide: false, long: false };
                b.vex(form, opcode + last, target, reg, key);
            }
            false => b.vector(&[0x66], &[0x0f, 0x38, opcode + last], target, key),
        }
    }
}

/// From vectors to general registers and back, and the flags of a comparison.
fn through_general(b: &mut Builder) {
    let (reg, other) = (register(b), register(b));
    match b.numbers.below(5) {
        0 => {
            let a = b.source();
            b.vector(&[0x66], &[0x0f, 0x6e], reg, Rm::Register(a));
        }
        1 => {
            let a = b.whole();
            b.vector(&[0x66], &[0x0f, 0x7e], reg, Rm::Register(a));
        }
        2 => {
            let a = b.whole();
            b.vector(&[0x66], &[0x0f, 0xd7], a, Rm::Register(reg));
        }
        3 => {
            let prefix = b.one_of(&[&[0x66][..], &[]]);
            let (opcode, code) = (b.one_of(&[0x2e, 0x2f]), b.numbers.below(16) as u8);
            b.vector(prefix, &[0x0f, opcode], reg, Rm::Register(other));
            b.define_flags();
            b.branch(Branch::Conditional(code));
        }
        _ => {
            let a = b.whole();
            let prefix = b.one_of(&[&[0xf2][..], &[0xf3]]);
            b.vector(prefix, &[0x0f, 0x2c], a, Rm::Register(reg));
        }
    }
}

/// String instructions, repeated and not, upwards and downwards.
fn strings(b: &mut Builder) {
    // The addresses move, and are put back.
    let (source, target) = (b.memory(), b.memory());
    let address = b.address();
    for (number, memory) in [(6, source), (7, target)] {
        if b.numbers.one_in(3) {
            b.general(address, &[0x8d], number, memory);
        }
    }
    if b.numbers.one_in(4) {
        let direction = b.one_of(&[0xfd, 0xfc]);
        b.push(vec![direction]);
    }
    let wide = if b.is_long() { b.numbers.below(2) as u8 } else { 0 };
    for _ in 0..=b.numbers.below(2) {
        let (opcode, width) = (b.one_of(&[0xa4, 0xa6, 0xaa, 0xac, 0xae]), b.numbers.below(3));
        let mut bytes = Vec::new();
        if !b.is_reserved(RCX, Width::Quad) && !b.numbers.one_in(3) {
            let count = if b.numbers.one_in(4) { b.numbers.below(200) } else { b.numbers.below(8) };
            b.load(RCX, count as u32);
            bytes.push(b.one_of(&[0xf3, 0xf3, 0xf2]));
        }
        match width {
            0 => bytes.push(opcode),
            1 if wide == 1 => bytes.extend([0x48, opcode | 1]),
            1 => bytes.push(opcode | 1),
            _ => {
                bytes.insert(0, 0x66);
                bytes.push(opcode | 1);
            }
        }
        b.push(bytes);
        // A repetition of none leaves the flags.
    }
}
