//! What senders have to know of a local APIC: which messages are for it, and how readily it takes
//! one that a single receiver is to take (SDM, "Determining IPI Destination").
//!
//! An [`Address`] is a plain value of 64 bits, so that processors can show theirs to each other
//! without a lock.

use super::{Destination, Mode};

/// xAPIC messages have 8 bits of destination; all ones mean everyone.
const XAPIC_BROADCAST: u32 = 0xff;
const BROADCAST: u32 = u32::MAX;

impl Destination {
    /// From the 8 bits of destination that an xAPIC, an I/O APIC and an MSI have.
    pub(in crate::apic) fn from_xapic(field: u8, logical: bool) -> Self {
        let field = match u32::from(field) {
            XAPIC_BROADCAST => BROADCAST,
            field => field,
        };
        if logical { Self::Logical(field) } else { Self::Physical(field) }
    }
}

/// Who a local APIC is, for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The APIC's ID.
    pub id: u32,
    /// How software reaches the APIC; a disabled one takes no message.
    pub mode: Mode,
    /// The logical ID of xAPIC mode.
    pub logical: u8,
    /// Whether that is for the flat model, rather than the cluster model.
    pub flat: bool,
    /// Whether software has switched the APIC on, so that it takes vectors.
    pub enabled: bool,
    /// Whether the PIC's output comes to anything at this processor.
    pub hears_pic: bool,
    /// The processor's priority, by which a lowest-priority message finds its receiver.
    pub priority: u8,
}

impl Address {
    /// Whether this APIC is among those that a message is for. `sender` is the sending APIC's ID;
    /// none for a device.
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

    fn matches_logical(&self, address: u32) -> bool {
        // x2APIC: 16 bits of cluster, 16 of members. xAPIC: 4 and 4, or 8 of members.
        let own = u32::from(self.logical);
        let (own, cluster, member_bits) = match (self.mode, self.flat) {
            (Mode::X2Apic, _) => (x2apic_logical_id(self.id), 0xffff, 16),
            (_, true) => (own, 0, 8),
            (_, false) => (own, 0xf, 4),
        };
        // An x2APIC's message to a cluster is for none that is in the other mode still.
        if self.mode == Mode::XApic && address > XAPIC_BROADCAST {
            return false;
        }
        let members = (1 << member_bits) - 1;
        let same_cluster = (own ^ address) >> member_bits & cluster == 0
            || self.mode == Mode::XApic && address >> 4 == 0xf;
        same_cluster && own & address & members != 0
    }

    /// The value in one word.
    pub(super) fn to_bits(self) -> u64 {
        let mode = match self.mode {
            Mode::Disabled => 0,
            Mode::XApic => 1,
            Mode::X2Apic => 2,
        };
        u64::from(self.id)
            | u64::from(self.logical) << 32
            | u64::from(self.priority) << 40
            | mode << 48
            | u64::from(self.flat) << 50
            | u64::from(self.enabled) << 51
            | u64::from(self.hears_pic) << 52
    }

    /// The value that [`to_bits`](Self::to_bits) has packed.
    pub(super) fn from_bits(bits: u64) -> Self {
        let flag = |bit: u32| bits >> bit & 1 != 0;
        Self {
            id: bits as u32,
            logical: (bits >> 32) as u8,
            priority: (bits >> 40) as u8,
            mode: match bits >> 48 & 3 {
                0 => Mode::Disabled,
                1 => Mode::XApic,
                _ => Mode::X2Apic,
            },
            flat: flag(50),
            enabled: flag(51),
            hears_pic: flag(52),
        }
    }
}

/// SDM, "Logical Destination Mode in x2APIC Mode".
pub(super) fn x2apic_logical_id(id: u32) -> u32 {
    (id >> 4) << 16 | 1 << (id & 0xf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_its_word() {
        for mode in [Mode::Disabled, Mode::XApic, Mode::X2Apic] {
            for bits in 0..8 {
                let address = Address {
                    id: 0x1234_5678,
                    mode,
                    logical: 0x9a,
                    flat: bits & 1 != 0,
                    enabled: bits & 2 != 0,
                    hears_pic: bits & 4 != 0,
                    priority: 0xbc,
                };
                assert_eq!(Address::from_bits(address.to_bits()), address);
            }
        }
    }
}
