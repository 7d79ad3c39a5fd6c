//! The I/O APIC: 24 interrupt lines, and for each an entry that says what message it sends
//! (Intel 82093AA data sheet; the end-of-interrupt register of version 0x20 besides).
//!
//! Registers are named by their offset in the device's window; where that window is, and who
//! carries the messages, is the host's business. A line is *asserted* or not: the board has
//! inverted the signals that are active low, so the polarity bit is kept and changes nothing.

use heapless::Vec;

use super::{DeliveryMode, Destination, Message, Trigger};

/// How many interrupt lines there are.
pub const LINES: usize = 24;

/// What one access can send: at most one message for each line.
pub type Messages = Vec<Message, LINES>;

/// Offsets of the registers that memory accesses reach.
mod window {
    pub(super) const SELECT: u32 = 0x00;
    pub(super) const DATA: u32 = 0x10;
    pub(super) const END_OF_INTERRUPT: u32 = 0x40;
}

/// Numbers of the registers that [`window::SELECT`] chooses.
mod register {
    pub(super) const ID: u8 = 0;
    pub(super) const VERSION: u8 = 1;
    pub(super) const ARBITRATION: u8 = 2;
    pub(super) const REDIRECTION: u8 = 0x10;
}

/// The number of the last entry, and the version: the first one with an end-of-interrupt register.
const VERSION: u32 = (LINES as u32 - 1) << 16 | 0x20;
/// The writable bits of the ID register.
const ID_MASK: u32 = 0xf << 24;

/// An entry of the redirection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Redirection(u64);

impl Redirection {
    const LOGICAL: u64 = 1 << 11;
    const REMOTE_IRR: u64 = 1 << 14;
    const LEVEL: u64 = 1 << 15;
    const MASKED: u64 = 1 << 16;
    /// What software may write: vector, modes, polarity, trigger, mask, destination.
    const WRITABLE: u64 = 0xff00_0000_0001_afff;

    fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    fn vector(self) -> u8 {
        self.0 as u8
    }

    fn mode(self) -> Option<DeliveryMode> {
        DeliveryMode::from_bits((self.0 >> 8) as u32)
    }

    /// Whether the line's level counts: the other delivery modes "must be programmed edge
    /// sensitive".
    fn level(self) -> bool {
        let vectored =
            matches!(self.mode(), Some(DeliveryMode::Fixed | DeliveryMode::LowestPriority));
        vectored && self.has(Self::LEVEL)
    }

    fn message(self) -> Option<Message> {
        let field = (self.0 >> 56) as u8;
        Some(Message {
            destination: Destination::from_xapic(field, self.has(Self::LOGICAL)),
            mode: self.mode()?,
            vector: self.vector(),
            trigger: if self.level() { Trigger::Level } else { Trigger::Edge },
        })
    }
}

/// An I/O APIC.
///
/// ```
/// use monovisor_core::apic::IoApic;
///
/// let mut io_apic = IoApic::new(0);
/// io_apic.write(0x00, 0x10 + 2 * 4); // line 4, low half
/// io_apic.write(0x10, 0x34); // vector 0x34, edge, not masked, to APIC 0
/// assert_eq!(io_apic.set_line(4, true).unwrap().vector, 0x34);
/// assert_eq!(io_apic.set_line(4, true), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoApic {
    id: u32,
    select: u8,
    redirection: [Redirection; LINES],
    asserted: u32,
}

impl IoApic {
    /// The I/O APIC with this ID, 0 to 15, after reset: every line is masked.
    pub fn new(id: u8) -> Self {
        Self {
            id: u32::from(id) << 24 & ID_MASK,
            select: 0,
            redirection: [Redirection(Redirection::MASKED); LINES],
            asserted: 0,
        }
    }

    /// Reads the 32-bit register at `offset` in the window.
    pub fn read(&self, offset: u32) -> u32 {
        match offset {
            window::SELECT => u32::from(self.select),
            window::DATA => match self.select {
                register::ID | register::ARBITRATION => self.id,
                register::VERSION => VERSION,
                select => self
                    .entry(select)
                    .map_or(0, |(line, shift)| (self.redirection[line].0 >> shift) as u32),
            },
            _ => 0,
        }
    }

    /// Writes the 32-bit register at `offset` in the window; returns the messages that this sends.
    #[must_use]
    pub fn write(&mut self, offset: u32, value: u32) -> Messages {
        match offset {
            window::SELECT => self.select = value as u8,
            window::DATA if self.select == register::ID => self.id = value & ID_MASK,
            window::DATA => {
                if let Some((line, shift)) = self.entry(self.select) {
                    return self.redirect(line, shift, value).into_iter().collect();
                }
            }
            window::END_OF_INTERRUPT => return self.end_of_interrupt(value as u8),
            _ => {}
        }
        Messages::new()
    }

    /// A device asserts or releases a line; returns the message that this sends. A line that does
    /// not exist sends nothing.
    #[must_use]
    pub fn set_line(&mut self, line: usize, asserted: bool) -> Option<Message> {
        let entry = *self.redirection.get(line)?;
        let before = self.is_asserted(line);
        if asserted {
            self.asserted |= 1 << line;
        } else {
            self.asserted &= !(1 << line);
        }
        match (before, asserted) {
            _ if entry.level() => self.send_level(line),
            // "Edge-sensitive interrupts signaled on a masked interrupt pin are ignored."
            (false, true) if !entry.has(Redirection::MASKED) => entry.message(),
            _ => None,
        }
    }

    /// A local APIC has ended the handling of level-triggered `vector`; returns a message for each
    /// line with that vector that is still asserted.
    #[must_use]
    pub fn end_of_interrupt(&mut self, vector: u8) -> Messages {
        (0..LINES)
            .filter_map(|line| {
                let entry = &mut self.redirection[line];
                if entry.vector() != vector || !entry.has(Redirection::REMOTE_IRR) {
                    return None;
                }
                entry.0 &= !Redirection::REMOTE_IRR;
                self.send_level(line)
            })
            .collect()
    }

    /// Whether a line could send a message with this delivery mode: one is redirected so, and not masked.
    pub fn can_send(&self, mode: DeliveryMode) -> bool {
        let mut entries = self.redirection.iter();
        entries.any(|entry| !entry.has(Redirection::MASKED) && entry.mode() == Some(mode))
    }

    fn is_asserted(&self, line: usize) -> bool {
        self.asserted >> line & 1 != 0
    }

    /// The line whose entry a register number names, and the bit where that half of it begins.
    fn entry(&self, select: u8) -> Option<(usize, u32)> {
        let half = usize::from(select.checked_sub(register::REDIRECTION)?);
        (half < 2 * LINES).then_some((half / 2, 32 * (half as u32 % 2)))
    }

    fn redirect(&mut self, line: usize, shift: u32, value: u32) -> Option<Message> {
        let entry = &mut self.redirection[line];
        let writable = Redirection::WRITABLE & 0xffff_ffff << shift;
        entry.0 = entry.0 & !writable | u64::from(value) << shift & writable;
        if !entry.level() {
            // Systems switch an entry to edge and back to end an interrupt that is stuck.
            entry.0 &= !Redirection::REMOTE_IRR;
            return None;
        }
        self.send_level(line)
    }

    /// Sends the message of a level-triggered line that is asserted, unless the last one is still
    /// being handled. So is one that no local APIC accepts, as where messages are memory writes, which
    /// nobody answers: it needs an end of interrupt all the same, or a switch to edge and back.
    fn send_level(&mut self, line: usize) -> Option<Message> {
        let entry = &mut self.redirection[line];
        let held = entry.has(Redirection::MASKED) || entry.has(Redirection::REMOTE_IRR);
        if held || self.asserted >> line & 1 == 0 || !entry.level() {
            return None;
        }
        entry.0 |= Redirection::REMOTE_IRR;
        entry.message()
    }
}

#[cfg(test)]
mod tests;
