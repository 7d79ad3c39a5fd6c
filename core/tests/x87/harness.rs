//! Executes one instruction here and there: FRSTOR, the instruction, FNSAVE.

use monovisor_core::state::{RFlags, Register};

use super::common::extended;
use super::common::guest::{CODE, DATA, End, Guest};
use super::common::numbers::Numbers;
use super::native::Native;
use super::operands;

/// Where the state to start from is, the state behind, and the memory operand.
const BEFORE: usize = 0;
const AFTER: usize = 0x80;
pub const OPERAND: usize = 0x100;
const LENGTH: usize = 0x180;
const IMAGE: usize = 108;

/// What FNSAVE writes in 64-bit mode, without the pointers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub control: u16,
    pub status: u16,
    pub tags: u16,
    pub opcode: u16,
    pub registers: [u128; 8],
}

impl Image {
    fn encode(&self) -> [u8; IMAGE] {
        let mut bytes = [0; IMAGE];
        for (place, word) in [self.control, self.status, self.tags].into_iter().enumerate() {
            bytes[place * 4..place * 4 + 2].copy_from_slice(&word.to_le_bytes());
        }
        for (place, register) in bytes[28..].chunks_exact_mut(10).zip(self.registers) {
            place.copy_from_slice(&register.to_le_bytes()[..10]);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let mut registers = [0; 8];
        for (register, place) in registers.iter_mut().zip(bytes[28..].chunks_exact(10)) {
            *register = place.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte));
        }
        Self { control: word(0), status: word(4), tags: word(8), opcode: 0, registers }
    }
}

/// What an instruction starts from, or leaves behind.
#[derive(Clone)]
pub struct Case {
    pub rax: u64,
    pub flags: u64,
    pub memory: Vec<u8>,
}

/// CF, PF, AF, ZF, SF, OF.
const STATUS_FLAGS: u64 = 0x8d5;

/// The effects of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub image: Image,
    pub operand: u128,
    pub ax: u16,
    pub flags: u64,
}

impl Effect {
    fn of(case: &Case) -> Self {
        let operand: [u8; 16] = case.memory[OPERAND..OPERAND + 16].try_into().expect("16 bytes");
        Self {
            image: Image::decode(&case.memory[AFTER..AFTER + IMAGE]),
            operand: u128::from_le_bytes(operand),
            ax: case.rax as u16,
            flags: case.flags & STATUS_FLAGS,
        }
    }
}

/// What an instruction is given.
#[derive(Clone, Debug)]
pub struct Start {
    pub image: Image,
    pub operand: u128,
    pub flags: u64,
}

impl Start {
    pub fn random(numbers: &mut Numbers) -> Self {
        Self {
            image: operands::image(numbers),
            operand: extended::memory(numbers),
            flags: numbers.next() & STATUS_FLAGS,
        }
    }

    fn case(&self) -> Case {
        let mut memory = vec![0; LENGTH];
        memory[BEFORE..BEFORE + IMAGE].copy_from_slice(&self.image.encode());
        memory[OPERAND..OPERAND + 16].copy_from_slice(&self.operand.to_le_bytes());
        Case { rax: 0x1234, flags: self.flags, memory }
    }
}

/// Both processors with the same code.
pub struct Pair {
    native: Native,
    guest: Guest,
    end: u64,
}

impl Pair {
    /// `instruction` may use AX, the flags, the x87 unit, and the operand at R9 + 0x100.
    pub fn new(instruction: &[u8]) -> Self {
        // FRSTOR [r9]; ...; FNSAVE [r9 + 0x80].
        let code = [&[0x41, 0xdd, 0x21], instruction, &[0x41, 0xdd, 0xb1, 0x80, 0, 0, 0]].concat();
        let mut native = Native::new();
        native.assemble(&code);
        let mut guest = Guest::long_mode();
        guest.ram.write(DATA, &[0; LENGTH]);
        guest.set(Register::R9, DATA);
        assert_eq!(guest.run(&code), End::Done, "{instruction:02x?}");
        Self { native, guest, end: CODE + code.len() as u64 }
    }

    /// What the host does, and what the interpreter does.
    pub fn effects(&mut self, start: &Start) -> (Effect, Effect) {
        let mut expected = start.case();
        self.native.execute(&mut expected);
        let mut found = start.case();
        let state = &mut self.guest.state;
        state.rip = CODE;
        state.gpr[Register::Rax] = found.rax;
        state.rflags = RFlags::from_bits_retain(found.flags | 2);
        state.activity = monovisor_core::state::Activity::Active;
        self.guest.ram.write(DATA, &found.memory);
        self.guest.vcpu.set_state(&self.guest.state);
        assert_eq!(self.guest.resume(self.end), End::Done);
        found.memory = self.guest.bytes(DATA, LENGTH);
        found.rax = self.guest.get(Register::Rax);
        found.flags = self.guest.state.rflags.bits();
        (Effect::of(&expected), Effect::of(&found))
    }
}

/// An instruction by name.
pub type Row = (&'static str, &'static [u8]);

/// Compares each row on random operands.
pub fn compare_all(rows: &[Row], rounds: usize) {
    compare_by(rows, rounds, |_, expected, found| expected == found);
}

/// As [`compare_all`], where `agree` tells what is as it should be.
pub fn compare_by(rows: &[Row], rounds: usize, agree: impl Fn(&Start, &Effect, &Effect) -> bool) {
    let mut failures = 0;
    for &(name, code) in rows {
        let mut pair = Pair::new(code);
        let mut numbers = Numbers(code.iter().fold(7, |seed, byte| seed * 31 + u64::from(*byte)));
        let mut different = 0;
        for _ in 0..rounds {
            let start = Start::random(&mut numbers);
            let (expected, found) = pair.effects(&start);
            if !agree(&start, &expected, &found) {
                different += 1;
                if different <= 3 {
                    eprintln!(
                        "{name} on {start:x?}:\n  expected {expected:x?}\n  found    {found:x?}"
                    );
                }
            }
        }
        if different != 0 {
            eprintln!("{name}: {different} of {rounds} differ\n");
        }
        failures += different;
    }
    assert_eq!(failures, 0, "the interpreter and the host's processor differ");
}
