//! Sending: the interrupt command register (SDM, "Issuing Interprocessor Interrupts"). Whom a
//! message concerns is `address`'s.

use super::{Accepted, Effect, LocalApic, Mode, error};
use crate::apic::{DeliveryMode, Destination, Message, Trigger};

/// Interrupt command register: logical destination mode, level assert, level trigger.
const LOGICAL: u32 = 1 << 11;
const ASSERT: u32 = 1 << 14;
const LEVEL: u32 = 1 << 15;

impl LocalApic {
    /// Whether this APIC is among those that a message is for. `sender` is the sending APIC's ID;
    /// none for a device. Of those that match a [`DeliveryMode::LowestPriority`] message, the one
    /// with the lowest [`LocalApic::processor_priority`] is to accept it.
    pub fn matches(&self, destination: Destination, sender: Option<u32>) -> bool {
        self.address().matches(destination, sender)
    }

    /// Accepts an IPI that this APIC sends if it is for itself, too. Who takes one for the lowest priority
    /// is for the host to choose.
    pub fn accept_own(&mut self, message: Message) -> Accepted {
        let chosen = message.mode == DeliveryMode::LowestPriority;
        if !chosen && self.matches(message.destination, Some(self.id)) {
            self.accept(message)
        } else {
            Accepted::Ignored
        }
    }

    /// Sends what the interrupt command register says. Reserved delivery modes and the level
    /// de-assert of INIT, which no processor since the Pentium knows, send nothing.
    pub(super) fn send(&mut self, command: u64) -> Effect {
        let (low, high) = (command as u32, (command >> 32) as u32);
        let vector = low as u8;
        let mode = match low >> 8 & 7 {
            0 => DeliveryMode::Fixed,
            1 => DeliveryMode::LowestPriority,
            4 => DeliveryMode::Nmi,
            5 if low & LEVEL != 0 && low & ASSERT == 0 => return Effect::None,
            5 => DeliveryMode::Init,
            6 => DeliveryMode::StartUp,
            // System management interrupts find nobody.
            _ => return Effect::None,
        };
        let vectored = matches!(mode, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if vectored && vector < 16 {
            self.report(error::SEND_ILLEGAL_VECTOR);
            return Effect::None;
        }
        let logical = low & LOGICAL != 0;
        let destination = match (low >> 18 & 3, self.mode) {
            (0, Mode::X2Apic) if logical => Destination::Logical(high),
            (0, Mode::X2Apic) => Destination::Physical(high),
            (0, _) => Destination::from_xapic((high >> 24) as u8, logical),
            // SDM, "Valid Combinations": oneself gets fixed interrupts only.
            (1, _) if mode != DeliveryMode::Fixed => return Effect::None,
            (1, _) => Destination::Myself,
            (2, _) => Destination::All,
            _ => Destination::Others,
        };
        let message = Message { destination, mode, vector, trigger: Trigger::Edge };
        match destination {
            Destination::Myself => {}
            Destination::Physical(id) if id == self.id => {}
            _ => return Effect::SendIpi(message),
        }
        // What concerns the sender alone needs nobody to carry it.
        match self.accept(message) {
            Accepted::Ignored => Effect::None,
            accepted => Effect::Accepted(accepted),
        }
    }
}
