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
