//! Forwarding: an operand that the op before has just computed, or has just read, still travels in
//! one of the two words between ops ([`super::op::Handler`]). Taken from there it need not come back
//! from the register file in memory, which would cost a chain of dependent operations four to five
//! cycles at each step.
//!
//! The emitter knows what the words hold ([`Carried`]) and picks the handler that reads each operand
//! in its [`Place`]. Results are still written to the register file at once, so nobody else has to
//! know: faults, call-outs and the next block find all registers there.
//!
//! Invariant: each op that is emitted forgets what was carried; what its handler leaves in the words,
//! or passes on unchanged beside registers that it does not write, is declared behind it.

use super::Cpu;
use crate::memory::Width;

/// Where an op finds a register operand.
pub(crate) trait Place: 'static {
    /// Its place in what [`by_place`] makes.
    const INDEX: usize;

    /// The operand, zero-extended.
    fn get<W: Width>(cpu: &Cpu, register: u8, res: u64, src: u64) -> u64;
}

/// In the register file.
pub(crate) struct Stored;
/// In the result word.
pub(crate) struct LastResult;
/// In the source word.
pub(crate) struct LastSource;

impl Place for Stored {
    const INDEX: usize = 0;

    #[inline(always)]
    fn get<W: Width>(cpu: &Cpu, register: u8, _res: u64, _src: u64) -> u64 {
        cpu.get::<W>(register)
    }
}

impl Place for LastResult {
    const INDEX: usize = 1;

    #[inline(always)]
    fn get<W: Width>(_cpu: &Cpu, _register: u8, res: u64, _src: u64) -> u64 {
        W::truncate(res).extend()
    }
}

impl Place for LastSource {
    const INDEX: usize = 2;

    #[inline(always)]
    fn get<W: Width>(_cpu: &Cpu, _register: u8, _res: u64, src: u64) -> u64 {
        W::truncate(src).extend()
    }
}

/// A register of which a word holds at least the low 2^`width` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copied {
    register: u8,
    width: usize,
}

/// The registers that the two words hold at a place in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    result: Option<Copied>,
    source: Option<Copied>,
}

impl Carried {
    /// Nothing that is known.
    pub const NOTHING: Self = Self { result: None, source: None };

    /// The result word holds what was written to 2^`width` bytes of `register`.
    pub fn result(register: u8, width: usize) -> Self {
        // A 32-bit write clears the upper half, as the word has it.
        let width = if width == 2 { 3 } else { width };
        Self { result: Some(Copied { register, width }), source: None }
    }

    /// And the source word holds what was read from 2^`width` bytes of `register`.
    pub fn and_source(self, register: u8, width: usize) -> Self {
        let written = self.result.is_some_and(|copied| same_word(copied.register, register));
        let source = (!written).then_some(Copied { register, width });
        Self { source, ..self }
    }

    /// What is left when `register` is written.
    pub fn without(self, register: u8) -> Self {
        let kept = |copied: &Copied| !same_word(copied.register, register);
        Self { result: self.result.filter(kept), source: self.source.filter(kept) }
    }

    /// What is left when the source word is used for something else.
    pub fn without_source(self) -> Self {
        Self { source: None, ..self }
    }

    /// Where to find 2^`width` bytes of `register`: a [`Place::INDEX`].
    pub fn place(&self, register: u8, width: usize) -> usize {
        let holds = |copied: Copied| copied.register == register && width <= copied.width;
        match () {
            () if self.result.is_some_and(holds) => LastResult::INDEX,
            () if self.source.is_some_and(holds) => LastSource::INDEX,
            () => Stored::INDEX,
        }
    }
}

/// Whether two byte offsets are in the same register.
fn same_word(left: u8, right: u8) -> bool {
    left / 8 == right / 8
}

/// An array of handlers, or of arrays, for the three places of an operand.
macro_rules! by_place {
    ($place:ident => $handlers:expr) => {
        [
            {
                type $place = $crate::execute::forward::Stored;
                $handlers
            },
            {
                type $place = $crate::execute::forward::LastResult;
                $handlers
            },
            {
                type $place = $crate::execute::forward::LastSource;
                $handlers
            },
        ]
    };
}

pub(crate) use by_place;
