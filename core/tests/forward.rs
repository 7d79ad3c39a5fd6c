//! Operands that are taken from the words between ops instead of the register file: chains of
//! operations on a few registers give the same state whether they are executed as a block or one by
//! one, where nothing is forwarded.

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES};
use common::numbers::Numbers;
use monovisor_core::state::{RFlags, Register};

/// Registers that chains compute with: RAX, RCX, RDX, RBX, and so AH to BH too.
const REGISTERS: [Register; 4] = [Register::Rax, Register::Rcx, Register::Rdx, Register::Rbx];
/// Bytes of memory that chains use, at R9.
const MEMORY_BYTES: usize = 64;
/// Where R10 leads: nowhere.
const UNMAPPED: u64 = PAGES + 0x8000;

const REX: u8 = 0x40;
const REX_B: u8 = 0x41;
const REX_W: u8 = 0x48;

/// Makes instructions.
struct Chain {
    numbers: Numbers,
    code: Vec<u8>,
}

impl Chain {
    fn below(&mut self, end: u64) -> u8 {
        (self.numbers.next() % end) as u8
    }

    /// One of four registers, or with 8 bits one of their halves.
    fn register(&mut self, byte: bool) -> u8 {
        if byte { self.below(8) } else { self.below(4) }
    }

    /// Opcode `opcode`, or with 8 bits the one below, on `left` as the ModRM byte's register or
    /// digit, and a register or memory.
    fn operation(&mut self, escape: &[u8], opcode: u8, digit: Option<u8>, memory: bool) {
        let byte = escape.is_empty() && self.below(5) == 0;
        let prefix = match self.below(8) {
            0 => Some(0x66),
            1..4 => None,
            _ => Some(REX_W),
        };
        let prefix = prefix.filter(|_| !byte);
        let reg = match digit {
            Some(digit) => digit,
            // With REX there are no high halves.
            None => self.register(byte && !memory),
        };
        if memory {
            // An operand at R9 + displacement, rarely one that faults at R10.
            let base = if self.below(40) == 0 { 2 } else { 1 };
            let displacement = 8 * self.below(MEMORY_BYTES as u64 / 8);
            self.code.extend(prefix.filter(|&prefix| prefix == 0x66));
            self.code.push(prefix.filter(|&prefix| prefix != 0x66).unwrap_or(REX) | REX_B);
            self.code.extend(escape);
            self.code.extend([opcode - u8::from(byte), 0x40 | reg << 3 | base, displacement]);
        } else {
            let rm = self.register(byte);
            self.code.extend(prefix);
            self.code.extend(escape);
            self.code.extend([opcode - u8::from(byte), 0xc0 | reg << 3 | rm]);
        }
    }

    fn immediate(&mut self) {
        let byte = self.numbers.operand() as u8;
        self.code.push(byte);
    }

    fn instruction(&mut self) {
        let memory = self.below(6) == 0;
        match self.below(24) {
            // ADD, OR, ADC, SBB, AND, SUB, XOR, CMP both ways round
            0..5 => {
                let (operation, direction) = (self.below(8), self.below(2));
                self.operation(&[], operation << 3 | direction << 1 | 1, None, memory);
            }
            // The same with an immediate of eight bits.
            5..7 => {
                let operation = self.below(8);
                // Opcode 82 is none.
                let escape = self.code.len();
                self.operation(&[], 0x83, Some(operation), memory);
                if let Some(at) = self.code[escape..].iter().position(|&byte| byte == 0x82) {
                    self.code[escape + at] = 0x80;
                }
                self.immediate();
            }
            7 => self.operation(&[], 0x85, None, memory), // TEST
            8 => {
                let digit = self.below(2);
                self.operation(&[], 0xff, Some(digit), memory); // INC, DEC
            }
            9 => {
                let digit = 2 + self.below(3);
                self.operation(&[], 0xf7, Some(digit), memory); // NOT, NEG, MUL
            }
            10..12 => {
                // ROL, ROR, RCL, SHL, SHR, SAR by a constant
                let digit = [0, 1, 2, 4, 5, 7][usize::from(self.below(6))];
                self.operation(&[], 0xc1, Some(digit), memory);
                self.immediate();
            }
            12 => {
                let digit = [0, 4, 5, 7][usize::from(self.below(4))];
                self.operation(&[], 0xd3, Some(digit), false); // by CL
            }
            13 => self.operation(&[0x0f], 0xaf, None, memory), // IMUL
            14 => {
                self.operation(&[0x0f], 0xaf, None, memory);
                let opcode = self.code.len() - if memory { 3 } else { 2 };
                // IMUL with an immediate has no escape.
                self.code[opcode] = 0x6b;
                self.code.remove(opcode - 1);
                self.immediate();
            }
            15..18 => {
                let direction = self.below(2);
                self.operation(&[], 0x89 | direction << 1, None, memory); // MOV
            }
            18 => {
                let opcode = [0xb6, 0xb7, 0xbe, 0xbf][usize::from(self.below(4))];
                self.operation(&[0x0f], opcode, None, memory); // MOVZX, MOVSX
            }
            19 | 20 => {
                // LEA r, [base + index * scale + displacement] of 64, 32 or 16 bits
                let prefix = [&[REX_W][..], &[], &[0x66]][usize::from(self.below(3))];
                let (reg, sib) = (self.below(4), self.below(4) << 6);
                let registers = self.below(4) << 3 | self.below(4);
                self.code.extend(prefix);
                match self.below(2) {
                    0 => self.code.extend([0x8d, 0x44 | reg << 3, sib | registers]),
                    _ => self.code.extend([0x8d, 0x40 | reg << 3 | registers & 7]),
                }
                self.immediate();
            }
            21 => self.operation(&[], 0x87, None, memory), // XCHG
            22 => {
                let condition = self.below(16);
                self.operation(&[0x0f], 0x40 | condition, None, memory); // CMOVcc
            }
            _ => {
                let (condition, register) = (self.below(16), self.register(true));
                match self.below(4) {
                    0 => self.code.extend([REX_W, 0x0f, 0xc8 | register & 3]), // BSWAP
                    1 => self.code.extend([REX_W, 0x99]),                      // CQO
                    _ => self.code.extend([0x0f, 0x90 | condition, 0xc0 | register]), // SETcc
                }
            }
        }
    }
}

/// A guest with registers, flags and memory from `numbers`.
fn prepare(guest: &mut Guest, numbers: &mut Numbers) {
    for register in REGISTERS {
        guest.set(register, numbers.operand());
    }
    guest.set(Register::R9, DATA);
    guest.set(Register::R10, UNMAPPED);
    guest.state.rflags = RFlags::from_bits_retain(numbers.next() & 0x8d5 | 2);
    guest.state.rip = CODE;
    let memory: Vec<u8> = (0..MEMORY_BYTES).map(|_| numbers.next() as u8).collect();
    guest.ram.write(DATA, &memory);
}

/// Runs `code` as blocks and in steps from the same state, whose seed is given.
fn agree(blocks: &mut Guest, steps: &mut Guest, code: &[u8], seed: u64) -> End {
    let fresh = [blocks.state.clone(), steps.state.clone()];
    prepare(blocks, &mut Numbers(seed));
    prepare(steps, &mut Numbers(seed));
    let end = blocks.run(code);
    steps.step_through(code);
    for register in REGISTERS {
        let (block, step) = (blocks.get(register), steps.get(register));
        assert_eq!(block, step, "{register:?} after {code:02x?} from {seed}: block, steps");
    }
    assert_eq!(blocks.state, steps.state, "after {code:02x?} from {seed}: block, steps");
    let memory = |guest: &Guest| guest.bytes(DATA, MEMORY_BYTES);
    assert_eq!(memory(blocks), memory(steps), "after {code:02x?} from {seed}: block, steps");
    [blocks.state, steps.state] = fresh;
    end
}

#[test]
fn any_chain() {
    let (mut blocks, mut steps) = (Guest::long_mode(), Guest::long_mode());
    blocks.map(UNMAPPED, 0);
    steps.map(UNMAPPED, 0);
    let (mut done, mut faults) = (0, 0);
    for seed in 0..20_000 {
        let mut chain = Chain { numbers: Numbers(seed << 32), code: Vec::new() };
        for _ in 0..2 + seed % 24 {
            chain.instruction();
        }
        match agree(&mut blocks, &mut steps, &chain.code, seed) {
            End::Done => done += 1,
            End::Fault(_) => faults += 1,
            End::Exit(exit) => panic!("{:02x?} left with {exit:?}", chain.code),
        }
    }
    assert!(done > 1000 && faults > 100, "{done} chains came to their end, {faults} faulted");
}

/// Each row on a few operands.
fn rows(rows: &[(&str, &[u8])]) {
    let (mut blocks, mut steps) = (Guest::long_mode(), Guest::long_mode());
    for (_name, code) in rows {
        for seed in 0..50 {
            agree(&mut blocks, &mut steps, code, seed);
        }
    }
}

#[test]
fn a_register_that_is_written_in_part_between() {
    rows(&[
        ("add eax, ecx; mov al, 5; add edx, eax", &[0x01, 0xc8, 0xb0, 5, 0x01, 0xc2]),
        ("add eax, ecx; mov ah, dl; add edx, eax", &[0x01, 0xc8, 0x88, 0xd4, 0x01, 0xc2]),
        ("add eax, ecx; sete ah; lea edx, [rax]", &[1, 0xc8, 0x0f, 0x94, 0xc4, 0x8d, 0x10]),
        (
            "add rax, rcx; mov ax, dx; add rdx, rax",
            &[0x48, 0x01, 0xc8, 0x66, 0x89, 0xd0, 0x48, 0x01, 0xc2],
        ),
        ("add ah, cl; add dh, ah; add al, ah", &[0x00, 0xcc, 0x00, 0xe6, 0x00, 0xe0]),
        ("add al, cl; add edx, eax", &[0x00, 0xc8, 0x01, 0xc2]),
        ("add rax, rcx; add edx, eax; add dl, ah", &[0x48, 0x01, 0xc8, 0x01, 0xc2, 0x00, 0xe2]),
    ]);
}

#[test]
fn a_register_that_is_exchanged_between() {
    rows(&[
        (
            "add rax, rcx; xchg rax, rdx; xor rbx, rax",
            &[0x48, 0x01, 0xc8, 0x48, 0x92, 0x48, 0x31, 0xc3],
        ),
        (
            "add rax, rcx; xchg [r9], rax; sub rax, rdx",
            &[0x48, 0x01, 0xc8, 0x49, 0x87, 0x01, 0x48, 0x29, 0xd0],
        ),
        (
            "add rax, rcx; mul rax; adc rdx, rax",
            &[0x48, 0x01, 0xc8, 0x48, 0xf7, 0xe0, 0x48, 0x11, 0xc2],
        ),
    ]);
}

#[test]
fn a_copy_and_its_original() {
    rows(&[
        (
            "mov rdx, rax; shl rdx, 13; xor rdx, rax",
            &[0x48, 0x89, 0xc2, 0x48, 0xc1, 0xe2, 13, 0x48, 0x31, 0xc2],
        ),
        ("mov edx, eax; shr edx, 3; sub rax, rdx", &[0x89, 0xc2, 0xc1, 0xea, 3, 0x48, 0x29, 0xd0]),
        (
            "mov rax, rax; shr rax, 3; sub rax, rax",
            &[0x48, 0x89, 0xc0, 0x48, 0xc1, 0xe8, 3, 0x48, 0x29, 0xc0],
        ),
        (
            "lea rdx, [rax + rax * 4]; shl rax, 13; xor rax, rdx",
            &[0x48, 0x8d, 0x14, 0x80, 0x48, 0xc1, 0xe0, 13, 0x48, 0x31, 0xd0],
        ),
        (
            "lea edx, [rax + rax * 4]; add rax, rdx; cmp rax, rdx",
            &[0x8d, 0x14, 0x80, 0x48, 0x01, 0xd0, 0x48, 0x39, 0xd0],
        ),
    ]);
}

#[test]
fn code_that_is_written_between() {
    // add eax, ecx; mov byte [rip + 2], 0x29; add edx, eax; add edx, eax: the last but one becomes SUB
    rows(&[(
        "a store into the next instruction",
        &[0x01, 0xc8, 0xc6, 0x05, 0, 0, 0, 0, 0x29, 0x01, 0xc2, 0x01, 0xc2],
    )]);
}
