//! The register stack, its tags, and the status word: how an instruction takes its operands, and
//! what becomes of its result and its exceptions (SDM, "Exception Handling").

use super::float80::{DENORMAL, Environment, Float80, INVALID, OVERFLOW, UNDERFLOW, ZERO_DIVIDE};
use crate::state::Fpu;

/// Stack fault.
const STACK_FAULT: u16 = 1 << 6;
/// The exception flags and masks of both words.
pub(super) const EXCEPTIONS: u16 = 0x3f;
/// Exception summary.
pub(super) const SUMMARY: u16 = 1 << 7;
/// Exception summary and busy, which mirrors it.
const SUMMARY_AND_BUSY: u16 = SUMMARY | 1 << 15;
/// The condition code.
pub(super) const C0: u16 = 1 << 8;
pub(super) const C1: u16 = 1 << 9;
pub(super) const C2: u16 = 1 << 10;
pub(super) const C3: u16 = 1 << 14;
const TOP_SHIFT: u32 = 11;
const TOP_MASK: u16 = 7 << TOP_SHIFT;

impl Fpu {
    /// The physical register that is ST(0).
    pub(in super::super) fn top(&self) -> u16 {
        (self.status_word & TOP_MASK) >> TOP_SHIFT
    }

    /// Makes another register ST(0). Registers are kept in the stack's order, so they move.
    pub(super) fn set_top(&mut self, top: u16) {
        let distance = top.wrapping_sub(self.top()) & 7;
        self.st.rotate_left(usize::from(distance));
        self.status_word = self.status_word & !TOP_MASK | (top & 7) << TOP_SHIFT;
    }

    /// What an MMX instruction does to the stack: its first register becomes the top, and none is
    /// empty.
    #[inline(always)]
    pub(in super::super) fn enter_mmx(&mut self) {
        if self.status_word & TOP_MASK != 0 {
            self.set_top(0);
        }
        self.tag_word = 0xff;
    }

    fn tag(&self, index: u8) -> u8 {
        1 << ((self.top() + u16::from(index)) & 7)
    }

    pub(super) fn is_empty(&self, index: u8) -> bool {
        self.tag_word & self.tag(index) == 0
    }

    /// What the register holds, empty or not.
    pub(super) fn content(&self, index: u8) -> Float80 {
        Float80::from_bits(self.st[usize::from(index & 7)])
    }

    /// What the register holds, unless it is empty.
    pub(super) fn get(&self, index: u8) -> Option<Float80> {
        (!self.is_empty(index)).then(|| self.content(index))
    }

    pub(super) fn set(&mut self, index: u8, value: Float80) {
        self.st[usize::from(index & 7)] = value.bits();
        self.tag_word |= self.tag(index);
    }

    pub(super) fn free(&mut self, index: u8) {
        self.tag_word &= !self.tag(index);
    }

    pub(super) fn push(&mut self, value: Float80) {
        self.set_top(self.top().wrapping_sub(1));
        self.set(0, value);
    }

    /// Pushes a value that raises nothing, if there is room.
    pub(super) fn load(&mut self, value: Float80) {
        if !self.is_empty(7) {
            if self.overflow() {
                self.push(Float80::INDEFINITE);
            }
            return;
        }
        self.set_condition(C1, 0);
        self.push(value);
    }

    /// ST(0) of an instruction that replaces it and pushes. If it is empty, or there is no room, the
    /// exception's masked response is on the stack.
    pub(super) fn operand_of_two_results(&mut self) -> Option<Float80> {
        let source = self.get(0);
        if source.is_some() && self.is_empty(7) {
            return source;
        }
        if if source.is_none() { self.underflow() } else { self.overflow() } {
            self.set(0, Float80::INDEFINITE);
            self.push(Float80::INDEFINITE);
        }
        None
    }

    pub(super) fn pop(&mut self) {
        self.free(0);
        self.set_top(self.top() + 1);
    }

    pub(super) fn environment(&self) -> Environment {
        Environment::new(self.control_word)
    }

    /// Sets or clears bits of the condition code.
    pub(super) fn set_condition(&mut self, mask: u16, value: u16) {
        self.status_word = self.status_word & !mask | value & mask;
    }

    fn raise(&mut self, exceptions: u16) {
        self.status_word |= exceptions;
        self.summarize();
    }

    /// Brings the exception summary in line with flags and masks.
    pub(in super::super) fn summarize(&mut self) {
        let unmasked = self.status_word & !self.control_word & EXCEPTIONS != 0;
        self.status_word &= !SUMMARY_AND_BUSY;
        if unmasked {
            self.status_word |= SUMMARY_AND_BUSY;
        }
    }

    /// An operand is in an empty register. Whether the exception is masked.
    pub(super) fn underflow(&mut self) -> bool {
        self.stack_fault(0)
    }

    /// A result is to go to a register that is not empty. Whether the exception is masked.
    pub(super) fn overflow(&mut self) -> bool {
        self.stack_fault(C1)
    }

    fn stack_fault(&mut self, direction: u16) -> bool {
        self.set_condition(C1, direction);
        self.raise(INVALID | STACK_FAULT);
        self.control_word & INVALID != 0
    }

    /// Reports what an operation has raised. Whether its result goes to its destination: an unmasked
    /// exception of the operands leaves all as it was.
    pub(super) fn settle(&mut self, env: &Environment) -> bool {
        const OF_OPERANDS: u16 = INVALID | DENORMAL | ZERO_DIVIDE;
        let stops = env.unmasked(OF_OPERANDS) != 0;
        let reported = if stops { env.raised & OF_OPERANDS } else { env.raised };
        self.set_condition(C1, if env.rounded_up && !stops { C1 } else { 0 });
        self.raise(reported);
        !stops
    }

    /// Whether a result may go to memory, where an unmasked overflow or underflow stops it too.
    pub(super) fn storable(env: &Environment) -> bool {
        env.unmasked(INVALID | DENORMAL | ZERO_DIVIDE | OVERFLOW | UNDERFLOW) == 0
    }

    /// Puts the result of an operation into a register.
    pub(super) fn deliver(&mut self, env: &Environment, index: u8, result: Float80) -> bool {
        let stored = self.settle(env);
        if stored {
            self.set(index, result);
        }
        stored
    }
}
