//! An interrupt on its way to a local APIC: what an I/O APIC, an MSI or an IPI sends.

/// How the receiver takes the interrupt (SDM, "Interrupt Command Register").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The vector, at the receiver.
    Fixed,
    /// The vector, at the receiver with the lowest priority.
    LowestPriority,
    /// System management interrupt: ignored.
    Smi,
    /// Non-maskable interrupt.
    Nmi,
    /// INIT.
    Init,
    /// Start-up IPI: the vector is the page where execution starts.
    StartUp,
    /// The vector is the PIC's.
    ExtInt,
}

impl DeliveryMode {
    /// What three bits of an interrupt message or of an I/O APIC's entry mean; none if they are reserved
    /// there. Start-up comes from the interrupt command register alone.
    pub(super) fn from_bits(bits: u32) -> Option<Self> {
        Some(match bits & 7 {
            0 => Self::Fixed,
            1 => Self::LowestPriority,
            2 => Self::Smi,
            4 => Self::Nmi,
            5 => Self::Init,
            7 => Self::ExtInt,
            _ => return None,
        })
    }
}

/// Whom an interrupt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The APIC with this ID; all ones for every one.
    Physical(u32),
    /// Every APIC whose logical ID matches.
    Logical(u32),
    /// The sender alone.
    Myself,
    /// Every one.
    All,
    /// Every one but the sender.
    Others,
}

/// Edge or level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Trigger {
    Edge,
    Level,
}

/// An interrupt message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whom it is for.
    pub destination: Destination,
    /// How it is taken.
    pub mode: DeliveryMode,
    /// The vector.
    pub vector: u8,
    /// Edge or level.
    pub trigger: Trigger,
}

impl Message {
    /// The message that a write of `data` to `address` is: a message-signalled interrupt (SDM,
    /// "Message Signalled Interrupts"). None for reserved delivery modes, for the end of a level, and
    /// for addresses outside 0xfee00000 to 0xfeefffff.
    ///
    /// ```
    /// use monovisor_core::apic::{Destination, Message};
    ///
    /// let message = Message::from_msi(0xfee0_3000, 0x4041).unwrap();
    /// assert_eq!((message.destination, message.vector), (Destination::Physical(3), 0x41));
    /// assert_eq!(Message::from_msi(0xfed0_3000, 0x41), None);
    /// ```
    pub fn from_msi(address: u64, data: u32) -> Option<Self> {
        const WINDOW: u64 = 0xfee;
        const LOGICAL: u64 = 1 << 2;
        const ONE_RECEIVER: u64 = 1 << 3;
        const ASSERT: u32 = 1 << 14;
        const LEVEL: u32 = 1 << 15;
        if address >> 20 != WINDOW || data & LEVEL != 0 && data & ASSERT == 0 {
            return None;
        }
        // The redirection hint asks for one receiver among those that a logical address names.
        let one_receiver = address & (ONE_RECEIVER | LOGICAL) == ONE_RECEIVER | LOGICAL;
        let mode = match DeliveryMode::from_bits(data >> 8)? {
            DeliveryMode::Fixed if one_receiver => DeliveryMode::LowestPriority,
            mode => mode,
        };
        Some(Self {
            destination: Destination::from_xapic((address >> 12) as u8, address & LOGICAL != 0),
            mode,
            vector: data as u8,
            trigger: if data & LEVEL != 0 { Trigger::Level } else { Trigger::Edge },
        })
    }
}
