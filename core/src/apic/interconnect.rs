//! The way of interrupt messages from one processor's thread to another's: each processor has a
//! mailbox that anyone posts into and that the processor itself empties, as posted interrupts do
//! in hardware (SDM, "Posted-Interrupt Processing").
//!
//! A mailbox holds sets, not a queue, as the interrupt request register does: it never grows, and a
//! request that is posted twice before it is taken is one. What INIT would undo is dropped when
//! INIT is posted, and is taken after it otherwise.
//!
//! Invariant: whoever posts tells the receiver afterwards, so a receiver that has looked after it
//! was told has missed nothing. No lock is taken, and nobody waits.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Address, DeliveryMode, Destination, LocalApic, Message, Trigger};
use crate::sync::Padded;

/// One bit for each vector.
type Requests = [AtomicU64; 4];

/// Bits of [`Mailbox::events`]; below them is the vector of the start-up IPI.
const START_UP: u32 = 1 << 8;
const INIT: u32 = 1 << 9;
const NMI: u32 = 1 << 10;
/// The PIC, or an I/O APIC in its place, interrupts.
const EXT_INT: u32 = 1 << 11;
/// There are vectors.
const VECTORS: u32 = 1 << 12;

/// What one processor has been sent, and who it is.
struct Mailbox {
    edge: Requests,
    level: Requests,
    /// What kinds of messages wait. Written after the vectors, taken before them.
    events: AtomicU32,
    address: AtomicU64,
}

impl Mailbox {
    fn new(id: u32) -> Self {
        Self {
            edge: Requests::default(),
            level: Requests::default(),
            events: AtomicU32::new(0),
            address: AtomicU64::new(LocalApic::new(id).address().to_bits()),
        }
    }

    fn post(&self, message: Message) {
        match message.mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => {
                let requests = match message.trigger {
                    Trigger::Edge => &self.edge,
                    Trigger::Level => &self.level,
                };
                let word = &requests[usize::from(message.vector >> 6)];
                word.fetch_or(1 << (message.vector & 63), Ordering::Release);
                self.add(VECTORS);
            }
            DeliveryMode::Nmi => self.add(NMI),
            DeliveryMode::ExtInt => self.add(EXT_INT),
            // Vectors that wait stay: INIT switches the APIC off, so they will be refused.
            DeliveryMode::Init => self.replace(|events| events & VECTORS | INIT),
            // Only the first one counts.
            DeliveryMode::StartUp => self.replace(|events| match events & START_UP {
                0 => events | START_UP | u32::from(message.vector),
                _ => events,
            }),
            DeliveryMode::Smi => {}
        }
    }

    fn add(&self, event: u32) {
        self.events.fetch_or(event, Ordering::Release);
    }

    fn replace(&self, change: impl Fn(u32) -> u32) {
        let changed = |events| {
            self.events.compare_exchange_weak(
                events,
                change(events),
                Ordering::Release,
                Ordering::Relaxed,
            )
        };
        let mut events = self.events.load(Ordering::Relaxed);
        while let Err(now) = changed(events) {
            events = now;
        }
    }

    fn take(&self, mut deliver: impl FnMut(Message)) {
        if self.events.load(Ordering::Relaxed) == 0 {
            return;
        }
        let events = self.events.swap(0, Ordering::Acquire);
        let kinds = [
            (INIT, DeliveryMode::Init),
            (START_UP, DeliveryMode::StartUp),
            (NMI, DeliveryMode::Nmi),
            (EXT_INT, DeliveryMode::ExtInt),
        ];
        let mut deliver = |mode, vector, trigger| {
            deliver(Message { destination: Destination::All, mode, vector, trigger });
        };
        for (_, mode) in kinds.into_iter().filter(|(kind, _)| events & kind != 0) {
            deliver(mode, events as u8, Trigger::Edge);
        }
        if events & VECTORS == 0 {
            return;
        }
        for (requests, trigger) in [(&self.edge, Trigger::Edge), (&self.level, Trigger::Level)] {
            for (index, word) in requests.iter().enumerate() {
                let mut waiting = word.swap(0, Ordering::Acquire);
                while waiting != 0 {
                    let vector = 64 * index as u32 + waiting.trailing_zeros();
                    waiting &= waiting - 1;
                    deliver(DeliveryMode::Fixed, vector as u8, trigger);
                }
            }
        }
    }
}

/// What connects the local APICs of a machine, and the devices with them.
///
/// ```
/// use monovisor_core::apic::{DeliveryMode, Destination, Interconnect, Message, Trigger};
///
/// let interconnect = Interconnect::new(4);
/// let message = Message {
///     destination: Destination::Others,
///     mode: DeliveryMode::Nmi,
///     vector: 0,
///     trigger: Trigger::Edge,
/// };
/// let mut told = Vec::new();
/// interconnect.send(message, Some(1), |processor| told.push(processor));
/// assert_eq!(told, [0, 2, 3]);
/// interconnect.take(2, |message| assert_eq!(message.mode, DeliveryMode::Nmi));
/// assert!(interconnect.is_empty(2) && !interconnect.is_empty(3));
/// ```
pub struct Interconnect {
    /// Each is written by other threads than its neighbours.
    mailboxes: Box<[Padded<Mailbox>]>,
}

impl Interconnect {
    /// Connects processors with the APIC IDs from 0 on.
    pub fn new(processors: u32) -> Self {
        Self { mailboxes: (0..processors).map(|id| Padded(Mailbox::new(id))).collect() }
    }

    /// Shows what has become of a processor's local APIC, and returns what was shown before. The
    /// processor does so before it executes anything by which others could learn of the change.
    pub fn show(&self, processor: usize, address: Address) -> Address {
        let before = self.mailboxes[processor].address.swap(address.to_bits(), Ordering::AcqRel);
        Address::from_bits(before)
    }

    /// Posts a message to every processor that it is for, and calls `tell` with each then. `sender` is
    /// the sending APIC's ID, none for a device; a sender has taken already what is for itself, as
    /// [`Exit::Ipi`](crate::Exit::Ipi) says.
    ///
    /// Of those that match a [`DeliveryMode::LowestPriority`] message, the one with the lowest
    /// priority is chosen, maybe the sender; of several the one with the lowest ID. A change of the
    /// priority that a processor has not yet shown is missed.
    pub fn send(&self, message: Message, sender: Option<u32>, mut tell: impl FnMut(usize)) {
        let matching = self
            .mailboxes
            .iter()
            .enumerate()
            .map(|(processor, mailbox)| {
                (processor, Address::from_bits(mailbox.address.load(Ordering::Acquire)))
            })
            .filter(|(_, address)| address.matches(message.destination, sender));
        let mut post = |processor: usize| {
            self.mailboxes[processor].post(message);
            tell(processor);
        };
        if message.mode == DeliveryMode::LowestPriority {
            let ready = matching.filter(|(_, address)| address.enabled);
            if let Some((processor, _)) = ready.min_by_key(|(_, address)| address.priority) {
                post(processor);
            }
        } else {
            let others = matching.filter(|(_, address)| Some(address.id) != sender);
            others.for_each(|(processor, _)| post(processor));
        }
    }

    /// The PIC's output is raised, or has changed: every processor that it reaches looks at it. Of those
    /// that may take the interrupt, the first one that asks the PIC for the vector does.
    pub fn raise_pic(&self, mut tell: impl FnMut(usize)) {
        for (processor, mailbox) in self.mailboxes.iter().enumerate() {
            if Address::from_bits(mailbox.address.load(Ordering::Acquire)).hears_pic {
                mailbox.add(EXT_INT);
                tell(processor);
            }
        }
    }

    /// Whether nothing waits for a processor.
    pub fn is_empty(&self, processor: usize) -> bool {
        self.mailboxes[processor].events.load(Ordering::Acquire) == 0
    }

    /// Takes what a processor has been sent; only for the processor itself. INIT comes first, then
    /// the start-up IPI.
    pub fn take(&self, processor: usize, deliver: impl FnMut(Message)) {
        self.mailboxes[processor].take(deliver);
    }
}

#[cfg(test)]
mod tests;
