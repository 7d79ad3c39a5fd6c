//! Sending: the interrupt command register, and whom a message concerns (SDM, "Issuing
//! Interprocessor Interrupts" and "Determining IPI Destination").

use super::{Accepted, Effect, LocalApic, Mode, error};
use crate::apic::{DeliveryMode, Destination, Message, Trigger};

/// Interrupt command register: logical destination mode, level assert, level trigger.
const LOGICAL: u32 = 1 << 11;
const ASSERT: u32 = 1 << 14;
const LEVEL: u32 = 1 << 15;

/// xAPIC messages have 8 bits of destination; all ones mean everyone.
const XAPIC_BROADCAST: u32 = 0xff;
const BROADCAST: u32 = u32::MAX;

/// Destination format register: the flat model; the cluster model has zeros there.
const FLAT: u32 = 0xf << 28;

impl Destination {
    /// From the 8 bits of destination that an xAPIC and an I/O APIC have.
    pub(in crate::apic) fn from_xapic(field: u8, logical: bool) -> Self {
        let field = match u32::from(field) {
            XAPIC_BROADCAST => BROADCAST,
            field => field,
        };
        if logical { Self::Logical(field) } else { Self::Physical(field) }
    }
}

impl LocalApic {
    /// Whether this APIC is among those that a message is for. `sender` is the sending APIC's ID;
    /// none for a device. Of those that match a [`DeliveryMode::LowestPriority`] message, the one
    /// with the lowest [`LocalApic::processor_priority`] is to accept it.
    pub fn matches(&self, destination: Destination, sender: Option<u32>) -> bool {
        self.mode != Mode::Disabled
            && match destination {
                Destination::Physical(id) => id == self.id || id == BROADCAST,
                Destination::Logical(BROADCAST) | Destination::All => true,
                Destination::Logical(address) => self.matches_logical(address),
                Destination::Myself => sender == Some(self.id),
                Destination::Others => sender != Some(self.id),
            }
    }

    /// The logical destination register.
    pub(super) fn logical_id(&self) -> u32 {
        match self.mode {
            Mode::X2Apic => (self.id >> 4) << 16 | 1 << (self.id & 0xf),
            _ => self.logical_destination,
        }
    }

    fn matches_logical(&self, address: u32) -> bool {
        // x2APIC: 16 bits of cluster, 16 of members. xAPIC: 4 and 4, or 8 of members.
        let (own, cluster, member_bits) = match self.mode {
            Mode::X2Apic => (self.logical_id(), 0xffff, 16),
            _ if self.destination_format & FLAT == FLAT => (self.logical_id() >> 24, 0, 8),
            _ => (self.logical_id() >> 24, 0xf, 4),
        };
        let members = (1 << member_bits) - 1;
        let same_cluster = (own ^ address) >> member_bits & cluster == 0
            || self.mode == Mode::XApic && address >> 4 == 0xf;
        same_cluster && own & address & members != 0
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
