//! A sequence of instructions as data that can be taken apart: each knows its bytes, and branches know
//! the element they lead to. So one can be left out, and what is left laid out anew.

use crate::layout::{CODE, Mode, PAGE};

/// Bytes of the displacement of a short branch.
const SHORT: usize = 1;

/// An instruction of a sequence, or several that belong together.
#[derive(Clone, Debug)]
pub struct Element {
    /// Its bytes, for a branch without opcode and displacement.
    pub bytes: Vec<u8>,
    pub leads: Leads,
}

/// What of an instruction depends on where it is.
#[derive(Clone, Copy, Debug)]
pub enum Leads {
    Nowhere,
    /// A near branch to the element with this number; one behind the last is the end.
    To {
        target: usize,
        kind: Branch,
    },
    /// The 32 bits from byte `at` on are relative to RIP and lead to `address`.
    Relative {
        at: usize,
        address: u64,
    },
}

/// A branch whose displacement is chosen by distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The low four bits of the opcode.
    Conditional(u8),
    Jump,
    Call,
    /// LOOPcc and JrCXZ by their opcodes, which are short always.
    Counted(u8),
}

impl Branch {
    fn opcode(self, near: bool) -> Vec<u8> {
        match (self, near) {
            (Self::Conditional(code), false) => vec![0x70 | code],
            (Self::Conditional(code), true) => vec![0x0f, 0x80 | code],
            (Self::Jump, false) => vec![0xeb],
            (Self::Jump, true) => vec![0xe9],
            (Self::Call, _) => vec![0xe8],
            (Self::Counted(opcode), _) => vec![opcode],
        }
    }
}

impl Element {
    pub fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, leads: Leads::Nowhere }
    }

    /// Its bytes at `at`, where branches find element `n` at `places[n]` and have displacements of `size`
    /// bytes; `None` if that is too small.
    fn lay(&self, at: u64, size: usize, places: &[u64]) -> Option<Vec<u8>> {
        let mut bytes = self.bytes.clone();
        match self.leads {
            Leads::Nowhere => {}
            Leads::To { target, kind } => {
                bytes.extend(kind.opcode(size != SHORT));
                let next = at + (bytes.len() + size) as u64;
                let distance = places[target].wrapping_sub(next) as i64;
                if size == SHORT && i8::try_from(distance).is_err() {
                    return None;
                }
                bytes.extend(&distance.to_le_bytes()[..size]);
            }
            Leads::Relative { at: place, address } => {
                let distance = address.wrapping_sub(at + bytes.len() as u64) as u32;
                bytes[place..place + 4].copy_from_slice(&distance.to_le_bytes());
            }
        }
        Some(bytes)
    }
}

/// A sequence of instructions.
#[derive(Clone, Debug)]
pub struct Code {
    pub mode: Mode,
    pub elements: Vec<Element>,
}

impl Code {
    /// Its bytes, which end where the code's page ends; `None` if there is no way to lay them out.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let is_near =
            |element: &Element| matches!(element.leads, Leads::To { kind: Branch::Call, .. });
        let mut near: Vec<bool> = self.elements.iter().map(is_near).collect();
        loop {
            match self.lay(&near) {
                Ok(bytes) => return Some(bytes),
                Err(at) if near[at] => return None,
                Err(at) => {
                    let counted = Leads::is_counted(self.elements[at].leads);
                    near[at] = !counted;
                    if counted {
                        return None;
                    }
                }
            }
        }
    }

    /// The bytes, or the branch that cannot be so short.
    fn lay(&self, near: &[bool]) -> Result<Vec<u8>, usize> {
        let size = |near: bool| match self.mode {
            _ if !near => SHORT,
            Mode::Compatibility16 => 2,
            Mode::Long | Mode::Compatibility32 => 4,
        };
        let length = |(element, &near): (&Element, &bool)| {
            let branch = match element.leads {
                Leads::To { kind, .. } => kind.opcode(near).len() + size(near),
                _ => 0,
            };
            (element.bytes.len() + branch) as u64
        };
        let lengths: Vec<u64> = self.elements.iter().zip(near).map(length).collect();
        let mut at = end(self.mode) - lengths.iter().sum::<u64>();
        let mut places = vec![at];
        for length in lengths {
            at += length;
            places.push(at);
        }
        let mut bytes = Vec::new();
        for (index, element) in self.elements.iter().enumerate() {
            bytes.extend(element.lay(places[index], size(near[index]), &places).ok_or(index)?);
        }
        Ok(bytes)
    }

    /// The sequence without `count` elements from `first` on; what led there leads behind them.
    pub fn without(&self, first: usize, count: usize) -> Self {
        let mut code = self.clone();
        code.elements.drain(first..first + count);
        for element in &mut code.elements {
            if let Leads::To { target, .. } = &mut element.leads {
                *target -= target.saturating_sub(first).min(count);
            }
        }
        code
    }
}

impl Leads {
    fn is_counted(self) -> bool {
        matches!(self, Self::To { kind: Branch::Counted(_), .. })
    }
}

/// RIP behind the last instruction.
pub fn end(mode: Mode) -> u64 {
    if mode == Mode::Compatibility16 { PAGE } else { CODE + PAGE }
}
