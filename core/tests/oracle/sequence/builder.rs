//! The hand that writes a sequence: which registers it may change, where memory operands go, which
//! branches still have no target.

use super::assembler::{Rm, Vex, Width, general, implied, legacy, vex};
use super::code::{Branch, Code, Element, Leads};
use crate::generate::operands::segment_base;
use crate::layout::{ARENA, ARENA_SIZE, Mode, PAGE};
use crate::numbers::Numbers;
use iced_x86::Register;

/// Registers that hold addresses, of all modes and of 64-bit mode only.
const POINTERS: [u8; 4] = [4, 5, 6, 7];
const LONG_POINTERS: [u8; 5] = [4, 5, 6, 7, 13];
pub const RAX: u8 = 0;
pub const RCX: u8 = 1;
pub const RSP: u8 = 4;

pub struct Builder<'a> {
    pub numbers: &'a mut Numbers,
    pub mode: Mode,
    elements: Vec<Element>,
    /// A set of registers that stay as they are.
    reserved: u16,
    /// Status flags may be undefined.
    undefined: bool,
    /// Branches that lead to some later element.
    pending: Vec<usize>,
    /// The registers that were named last.
    recent: [u8; 2],
    /// Few registers are named, so that they are often the same.
    narrow: bool,
}

impl<'a> Builder<'a> {
    pub fn new(mode: Mode, numbers: &'a mut Numbers) -> Self {
        let mut reserved = 0;
        Self::pointers(mode).iter().for_each(|number| reserved |= 1 << number);
        reserved |= Self::index(mode).map_or(0, |number| 1 << number);
        let (elements, pending) = (Vec::new(), Vec::new());
        let (recent, narrow) = ([0; 2], numbers.one_in(4));
        Self { numbers, mode, elements, reserved, undefined: false, pending, recent, narrow }
    }

    pub fn pointers(mode: Mode) -> &'static [u8] {
        if mode == Mode::Long { &LONG_POINTERS } else { &POINTERS }
    }

    /// A register that holds an index into arrays, where there is one to spare: R14, or BX, which has
    /// to be there for SI and DI.
    pub fn index(mode: Mode) -> Option<u8> {
        match mode {
            Mode::Long => Some(14),
            Mode::Compatibility32 => None,
            Mode::Compatibility16 => Some(3),
        }
    }

    /// What those registers begin with.
    pub fn addresses(mode: Mode, numbers: &mut Numbers, gpr: &mut [u64; 16]) {
        let pointers = Self::pointers(mode);
        for &number in pointers {
            gpr[usize::from(number)] = match numbers.below(16) {
                0 => ARENA + PAGE - numbers.below(64),
                1 => ARENA + numbers.below(2 * PAGE - 256),
                2..4 => ARENA + 2 * PAGE - 256 - numbers.below(64) * 8,
                _ => ARENA + 256 + (numbers.below(2 * PAGE - 512) & !63),
            };
        }
        let one = usize::from(pointers[numbers.below(pointers.len() as u64) as usize]);
        // Outside, or at a border.
        match numbers.below(40) {
            0 => gpr[one] = ARENA - PAGE + numbers.below(PAGE),
            1 if mode == Mode::Long => gpr[one] = 1 << 47,
            2 => gpr[one] = ARENA + ARENA_SIZE - PAGE + numbers.below(PAGE),
            3 => gpr[one] = ARENA + numbers.below(64),
            4 => gpr[one] = ARENA + 2 * PAGE - numbers.below(64),
            _ => {}
        }
        let base = segment_base(mode, Register::DS);
        for &number in pointers {
            gpr[usize::from(number)] -= base;
        }
        if let Some(number) = Self::index(mode) {
            let index = numbers.below(128);
            gpr[usize::from(number)] = if numbers.one_in(4) { index } else { index & !15 };
        }
    }

    pub fn is_long(&self) -> bool {
        self.mode == Mode::Long
    }

    /// The sequence; branches without a target lead to its end.
    pub fn finish(mut self) -> Code {
        while !self.pending.is_empty() {
            self.land();
        }
        self.mislead();
        Code { mode: self.mode, elements: self.elements }
    }

    /// Has some branches lead into the middle of what belongs together.
    fn mislead(&mut self) {
        let end = self.elements.len();
        for (index, element) in self.elements.iter_mut().enumerate() {
            if let Leads::To { target, kind: Branch::Conditional(_) | Branch::Jump } =
                &mut element.leads
                && *target > index
                && self.numbers.one_in(5)
            {
                *target = index + 1 + self.numbers.below((end - index) as u64) as usize;
            }
        }
    }

    pub fn len(&self) -> usize {
        self.elements.len()
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.numbers.below(all.len() as u64) as usize]
    }

    fn registers(&self) -> u64 {
        if self.is_long() { 16 } else { 8 }
    }

    /// Any register, to be read; often one that has just been read or written.
    pub fn source(&mut self) -> u8 {
        if self.numbers.one_in(3) {
            return self.one_of(&self.recent.clone());
        }
        let any = self.numbers.below(if self.narrow { 3 } else { self.registers() }) as u8;
        self.recent = [any, self.recent[0]];
        any
    }

    /// A register that may be written; one of bytes is AH to BH, too.
    pub fn target(&mut self, width: Width) -> u8 {
        let all = self.registers();
        let mut number = self.source();
        while self.is_reserved(number, width) {
            number = self.numbers.below(all) as u8;
        }
        number
    }

    /// A register that may be written as a whole.
    pub fn whole(&mut self) -> u8 {
        self.target(Width::Quad)
    }

    pub fn is_reserved(&self, number: u8, width: Width) -> bool {
        let of = if width == Width::Byte && (4..8).contains(&number) { number - 4 } else { number };
        self.reserved >> of & 1 != 0
    }

    pub fn reserved(&self) -> u16 {
        self.reserved
    }

    /// Keeps a register, or gives it back.
    pub fn reserve(&mut self, number: u8, kept: bool) {
        self.reserved = self.reserved & !(1 << number) | u16::from(kept) << number;
    }

    /// As wide as the code computes in most of the time.
    pub fn wide(&mut self) -> Width {
        self.one_of(Width::wide(self.mode))
    }

    /// The width of a register with an address in it.
    pub fn address(&self) -> Width {
        if self.is_long() { Width::Quad } else { Width::Double }
    }

    pub fn width(&mut self) -> Width {
        match self.numbers.below(6) {
            0 => Width::Byte,
            1 => Width::Word,
            _ => self.wide(),
        }
    }

    /// A memory operand near one of the addresses that registers hold.
    pub fn memory(&mut self) -> Rm {
        let base = self.one_of(Self::pointers(self.mode));
        let displacement = match self.numbers.below(80) {
            0 => self.numbers.next() as i32,
            1 => PAGE as i32 - 16 + self.numbers.below(16) as i32,
            2..16 => self.numbers.below(256) as i32 - 128,
            16..32 => 8 * (self.numbers.below(32) as i32 - 16),
            _ => 16 * (self.numbers.below(16) as i32 - 8),
        };
        let index = Self::index(self.mode).filter(|_| self.numbers.one_in(3));
        let most = if self.mode == Mode::Compatibility16 { 1 } else { 4 };
        let index = index.map(|number| (number, self.numbers.below(most) as u8));
        Rm::Memory { base, index, displacement }
    }

    /// A register to be read, or memory.
    pub fn source_or_memory(&mut self) -> Rm {
        if self.numbers.one_in(3) { self.memory() } else { Rm::Register(self.source()) }
    }

    /// A register to be written, or memory.
    pub fn target_or_memory(&mut self, width: Width) -> Rm {
        if self.numbers.one_in(3) { self.memory() } else { Rm::Register(self.target(width)) }
    }

    pub fn push(&mut self, bytes: Vec<u8>) {
        self.elements.push(Element::plain(bytes));
    }

    pub fn push_element(&mut self, element: Element) {
        self.elements.push(element);
    }

    /// Has what was written from element `first` on be one element, into which no branch leads.
    pub fn join(&mut self, first: usize) {
        let parts = self.elements.drain(first..);
        let bytes = parts.flat_map(|element| element.bytes).collect();
        self.push(bytes);
    }

    pub fn general(&mut self, width: Width, opcode: &[u8], reg: u8, rm: Rm) {
        self.push(general(self.mode, width, opcode, reg, rm));
    }

    /// An instruction of so wide operands that its opcode names.
    pub fn implied(&mut self, width: Width, opcode: u8) {
        self.push(implied(self.mode, width, opcode));
    }

    /// As [`general`](Self::general), with an immediate.
    pub fn with_immediate(&mut self, width: Width, opcode: &[u8], reg: u8, rm: Rm, value: &[u8]) {
        let mut bytes = general(self.mode, width, opcode, reg, rm);
        bytes.extend(value);
        self.push(bytes);
    }

    /// An instruction of vectors with this mandatory prefix.
    pub fn vector(&mut self, prefix: &[u8], opcode: &[u8], reg: u8, rm: Rm) {
        self.push(legacy(self.mode, prefix, false, opcode, reg, rm));
    }

    pub fn vex(&mut self, form: Vex, opcode: u8, reg: u8, source: u8, rm: Rm) {
        self.push(vex(self.mode, form, opcode, reg, source, rm));
    }

    /// MOV of a constant, of 32 bits.
    pub fn load(&mut self, register: u8, value: u32) {
        self.with_immediate(
            Width::Double,
            &[0xc7],
            0,
            Rm::Register(register),
            &value.to_le_bytes(),
        );
    }

    /// An immediate that is worth adding, comparing or masking.
    pub fn constant(&mut self) -> u64 {
        self.numbers.operand()
    }

    /// From here on some flags are undefined.
    pub fn undefine_flags(&mut self) {
        self.undefined = true;
    }

    /// From here on all flags are defined.
    pub fn define_flags(&mut self) {
        self.undefined = false;
    }

    /// In front of an instruction that reads flags: has them defined.
    pub fn read_flags(&mut self) {
        if self.undefined {
            let (width, register) = (self.wide(), self.source());
            self.general(width, &[0x85], register, Rm::Register(register));
            self.define_flags();
        }
    }

    /// A branch to some later element.
    pub fn branch(&mut self, kind: Branch) {
        self.pending.push(self.elements.len());
        self.branch_to(kind, 0);
    }

    /// A branch to element `target`.
    pub fn branch_to(&mut self, kind: Branch, target: usize) {
        self.elements.push(Element { bytes: Vec::new(), leads: Leads::To { target, kind } });
    }

    /// Element `index`, a branch, leads here.
    pub fn lead_here(&mut self, index: usize) {
        let here = self.elements.len();
        if let Leads::To { target, .. } = &mut self.elements[index].leads {
            *target = here;
        }
    }

    /// A branch that waits for its target has it here.
    pub fn land(&mut self) {
        if let Some(index) = self.pending.pop() {
            self.lead_here(index);
        }
    }
}
