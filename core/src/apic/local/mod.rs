//! The local APIC: which interrupts have been accepted, which one the processor takes next, and
//! the timer (SDM, "Advanced Programmable Interrupt Controller").
//!
//! Here are its state, acceptance and priority; how software sees it is in `registers`, how it
//! sends in `command`, the timer in `timer`, and whom a message concerns in `address`. The processor reaches it
//! through the memory page at the APIC base, the MSRs 0x800 to 0x8ff or CR8: those addresses and
//! their checks belong to the floors above.
//!
//! Invariant: after any call that can change priorities or requests, [`LocalApic::pending`] alone
//! tells what the processor has to take.

mod command;
mod registers;
mod timer;
mod vectors;

#[cfg(test)]
mod tests;

use crate::state::Exception;

use super::address::x2apic_logical_id;
use super::{Address, DeliveryMode, Destination, Message, Trigger};
use timer::{Timer, TimerMode};
use vectors::Vectors;

/// How software reaches the APIC, as bits 10 and 11 of IA32_APIC_BASE choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all: the processor works as one without a local APIC.
    Disabled,
    /// Through memory.
    XApic,
    /// Through MSRs.
    X2Apic,
}

impl Mode {
    /// The mode that a value of IA32_APIC_BASE chooses; none for the invalid combination of a
    /// disabled APIC in x2APIC mode.
    pub fn from_base(apic_base: u64) -> Option<Self> {
        match apic_base >> 10 & 3 {
            0b00 => Some(Self::Disabled),
            0b10 => Some(Self::XApic),
            0b11 => Some(Self::X2Apic),
            _ => None,
        }
    }
}

/// What a write to a register asks of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Nothing beyond a look at [`LocalApic::pending`].
    None,
    /// A message for every APIC that [`LocalApic::matches`], the sender included; or for one of them.
    SendIpi(Message),
    /// The APIC has accepted its own message, and the processor must act on it.
    Accepted(Accepted),
    /// The handling of a level-triggered interrupt has ended: I/O APICs have to know.
    EndOfInterrupt(u8),
}

/// What an accepted message asks of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A look at [`LocalApic::pending`].
    Interrupt,
    /// A non-maskable interrupt.
    Nmi,
    /// INIT; the APIC itself is told by [`LocalApic::init`].
    Init,
    /// To start at this page, if it waits for that.
    StartUp(u8),
    /// To take the PIC's interrupt.
    ExtInt,
    /// Nothing: the message was not accepted.
    Ignored,
}

/// Entries of the local vector table, in the order of their registers.
#[derive(Clone, Copy)]
enum Lvt {
    Timer,
    Lint0 = 3,
    Lint1,
    Error,
}

/// How many entries the local vector table has; the thermal sensor's and the performance counters'
/// are among them, and never fire.
const LVT_ENTRIES: usize = 6;
/// LVT: no interrupt.
const LVT_MASKED: u32 = 1 << 16;
/// LVT: delivery modes NMI and ExtINT.
const LVT_NMI: u32 = 0b100 << 8;
const LVT_EXT_INT: u32 = 0b111 << 8;
/// LVT: a level-triggered interrupt has been accepted, and its service has not ended.
const LVT_REMOTE_IRR: u32 = 1 << 14;
/// LVT: the pin is asserted when it is low.
const LVT_ACTIVE_LOW: u32 = 1 << 13;
/// LVT: level-triggered.
const LVT_LEVEL: u32 = 1 << 15;

/// Destination format register: the flat model; the cluster model has zeros there.
const FLAT: u32 = 0xf << 28;

/// Spurious-interrupt vector register: APIC software enable.
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// There, too: I/O APICs are not told of the end of an interrupt; software tells the one that it concerns.
const SUPPRESS_EOI_BROADCAST: u32 = 1 << 12;

/// Bits of the error status register.
mod error {
    pub(super) const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;
    pub(super) const RECEIVE_ILLEGAL_VECTOR: u32 = 1 << 6;
    pub(super) const ILLEGAL_REGISTER: u32 = 1 << 7;
}

/// A local APIC.
///
/// ```
/// use monovisor_core::apic::{DeliveryMode, Destination, LocalApic, Message, Trigger};
///
/// let mut apic = LocalApic::new(0);
/// let _ = apic.write(0xf0, 0x1ff, 0); // spurious vector 0xff, software enable
/// let message = Message {
///     destination: Destination::Physical(0),
///     mode: DeliveryMode::Fixed,
///     vector: 0x40,
///     trigger: Trigger::Edge,
/// };
/// if apic.matches(message.destination, None) {
///     apic.accept(message);
/// }
/// assert_eq!(apic.pending(), Some(0x40));
/// assert_eq!(apic.acknowledge(), 0x40);
/// assert_eq!(apic.pending(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalApic {
    id: u32,
    mode: Mode,
    task_priority: u8,
    /// xAPIC mode only: in x2APIC mode both follow from the ID.
    logical_destination: u32,
    destination_format: u32,
    spurious: u32,
    in_service: Vectors,
    level_triggered: Vectors,
    requested: Vectors,
    error_status: u32,
    /// Errors since the last write to the error status register.
    error_detected: u32,
    interrupt_command: u64,
    lvt: [u32; LVT_ENTRIES],
    timer: Timer,
}

impl LocalApic {
    /// The local APIC with this ID after power-up, in xAPIC mode. The one with ID 0 belongs to the
    /// bootstrap processor.
    pub fn new(id: u32) -> Self {
        let mut lvt = [LVT_MASKED; LVT_ENTRIES];
        if id == 0 {
            // Virtual wire mode, which firmware sets up: a guest that knows of no APIC gets the
            // PIC's interrupts.
            lvt[Lvt::Lint0 as usize] = LVT_EXT_INT;
            lvt[Lvt::Lint1 as usize] = LVT_NMI;
        }
        Self {
            id,
            mode: Mode::XApic,
            task_priority: 0,
            logical_destination: 0,
            destination_format: u32::MAX,
            spurious: 0xff,
            in_service: Vectors::default(),
            level_triggered: Vectors::default(),
            requested: Vectors::default(),
            error_status: 0,
            error_detected: 0,
            interrupt_command: 0,
            lvt,
            timer: Timer::RESET,
        }
    }

    /// What INIT does: as power-up, but the ID and the mode stay.
    pub fn init(&mut self) {
        *self = Self { mode: self.mode, ..Self::new(self.id) };
    }

    /// The APIC's ID.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What senders have to know of this APIC.
    pub fn address(&self) -> Address {
        Address {
            id: self.id,
            mode: self.mode,
            logical: (self.logical_destination >> 24) as u8,
            flat: self.destination_format & FLAT == FLAT,
            enabled: self.software_enabled(),
            hears_pic: self.hears_pic(),
            priority: self.processor_priority(),
        }
    }

    /// The logical destination register.
    fn logical_id(&self) -> u32 {
        match self.mode {
            Mode::X2Apic => x2apic_logical_id(self.id),
            _ => self.logical_destination,
        }
    }

    /// How software reaches the APIC.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Follows a write of IA32_APIC_BASE (SDM, "x2APIC State Transitions").
    ///
    /// # Errors
    /// #GP for a transition that does not exist.
    pub fn set_base(&mut self, apic_base: u64) -> Result<(), Exception> {
        let mode = Mode::from_base(apic_base).ok_or(Exception::GP0)?;
        match (self.mode, mode) {
            (Mode::Disabled, Mode::X2Apic) | (Mode::X2Apic, Mode::XApic) => {
                return Err(Exception::GP0);
            }
            (Mode::XApic, Mode::X2Apic) => self.interrupt_command &= 0xffff_ffff,
            (_, Mode::Disabled) => *self = Self::new(self.id),
            _ => {}
        }
        self.mode = mode;
        Ok(())
    }

    /// Takes the mode of an IA32_APIC_BASE that was saved, whatever the present one is.
    pub fn restore_base(&mut self, apic_base: u64) {
        self.mode = Mode::from_base(apic_base).unwrap_or(Mode::Disabled);
    }

    /// Accepts a message that is meant for this APIC, as [`LocalApic::matches`] tells.
    pub fn accept(&mut self, message: Message) -> Accepted {
        if self.mode == Mode::Disabled {
            return Accepted::Ignored;
        }
        match message.mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority if self.software_enabled() => {
                self.request(message.vector, message.trigger)
            }
            DeliveryMode::Fixed | DeliveryMode::LowestPriority | DeliveryMode::Smi => {
                Accepted::Ignored
            }
            DeliveryMode::Nmi => Accepted::Nmi,
            DeliveryMode::Init => Accepted::Init,
            DeliveryMode::StartUp => Accepted::StartUp(message.vector),
            DeliveryMode::ExtInt => Accepted::ExtInt,
        }
    }

    /// The interrupt that the processor has to take next, if RFLAGS.IF lets it: the highest
    /// request whose class is above the processor's priority.
    #[inline]
    pub fn pending(&self) -> Option<u8> {
        let vector = self.requested.highest()?;
        (vector >> 4 > self.processor_priority() >> 4).then_some(vector)
    }

    /// The processor takes the pending interrupt: moves it from request to service and returns its
    /// vector, or the spurious vector if none is pending.
    pub fn acknowledge(&mut self) -> u8 {
        let Some(vector) = self.pending() else { return self.spurious as u8 };
        self.requested.remove(vector);
        self.in_service.insert(vector);
        vector
    }

    /// Brings the timer up to `now_ns`.
    pub fn advance(&mut self, now_ns: u64) {
        if self.timer.expire(now_ns) {
            self.raise(Lvt::Timer);
        }
    }

    /// When [`LocalApic::advance`] has to be called next, in nanoseconds.
    #[inline]
    pub fn next_timer_ns(&self) -> Option<u64> {
        self.timer.expiry_ns()
    }

    /// Whether the PIC's interrupts reach the processor: the APIC is disabled, or LINT0 passes them.
    pub fn accepts_pic(&self) -> bool {
        let lint0 = self.lvt[Lvt::Lint0 as usize];
        self.mode == Mode::Disabled || lint0 & (LVT_MASKED | LVT_EXT_INT) == LVT_EXT_INT
    }

    /// Whether the PIC's output comes to anything here: as its vectors, or as what LINT0 makes of it.
    fn hears_pic(&self) -> bool {
        self.mode == Mode::Disabled || self.lvt[Lvt::Lint0 as usize] & LVT_MASKED == 0
    }

    /// What LINT0 brings when the line to it, the PIC's output, is at `level` and was at `before`, unless
    /// it lets the PIC's own vectors through ([`accepts_pic`](Self::accepts_pic)). A level-triggered
    /// interrupt comes again while the line is asserted, once its service has ended.
    pub fn lint0(&self, before: bool, level: bool) -> Option<Message> {
        let lvt = self.lvt[Lvt::Lint0 as usize];
        let asserted_by = lvt & LVT_ACTIVE_LOW == 0;
        let (before, asserted) = (before == asserted_by, level == asserted_by);
        if self.mode == Mode::Disabled || lvt & LVT_MASKED != 0 || !asserted {
            return None;
        }
        let mode = DeliveryMode::from_bits(lvt >> 8)?;
        let level_triggered = is_level_triggered(lvt);
        let comes = match mode {
            DeliveryMode::ExtInt | DeliveryMode::LowestPriority => false,
            _ if level_triggered => !self.serves(lvt as u8),
            _ => !before,
        };
        let trigger = if level_triggered { Trigger::Level } else { Trigger::Edge };
        comes.then_some(Message { destination: Destination::All, mode, vector: lvt as u8, trigger })
    }

    /// What LINT0 makes of the PIC's output, unless it ignores it.
    pub fn lint0_mode(&self) -> Option<DeliveryMode> {
        let lvt = self.lvt[Lvt::Lint0 as usize];
        let heard = self.mode != Mode::Disabled && lvt & LVT_MASKED == 0;
        heard.then(|| DeliveryMode::from_bits(lvt >> 8))?
    }

    /// Whether an interrupt has been accepted whose service has not ended.
    fn serves(&self, vector: u8) -> bool {
        self.requested.contains(vector) || self.in_service.contains(vector)
    }

    /// An entry of the local vector table as software reads it.
    fn shown_lvt(&self, index: usize) -> u32 {
        let lvt = self.lvt[index];
        let pin = index == Lvt::Lint0 as usize;
        if pin && is_level_triggered(lvt) && self.serves(lvt as u8) {
            lvt | LVT_REMOTE_IRR
        } else {
            lvt
        }
    }

    /// CR8: the task-priority class.
    #[inline]
    pub fn task_priority_class(&self) -> u8 {
        self.task_priority >> 4
    }

    /// Writes CR8: the task-priority class, 0 to 15.
    pub fn set_task_priority_class(&mut self, class: u8) {
        self.task_priority = class << 4;
    }

    /// The processor priority: the higher of the task's and of the interrupt's in service.
    #[inline]
    pub fn processor_priority(&self) -> u8 {
        let in_service = self.in_service.highest().unwrap_or(0);
        if self.task_priority >> 4 >= in_service >> 4 {
            self.task_priority
        } else {
            in_service & 0xf0
        }
    }

    /// IA32_TSC_DEADLINE: 0 when the timer is not armed.
    pub fn tsc_deadline(&self) -> u64 {
        self.timer.deadline()
    }

    /// Writes IA32_TSC_DEADLINE. `tsc` is the time-stamp counter's value at `now_ns`.
    pub fn set_tsc_deadline(&mut self, deadline: u64, tsc: u64, now_ns: u64) {
        self.advance(now_ns);
        self.timer.set_deadline(deadline, tsc, now_ns);
        self.advance(now_ns);
    }

    /// Software has set the time-stamp counter, which is now `tsc`: an armed deadline moves.
    pub fn tsc_changed(&mut self, tsc: u64, now_ns: u64) {
        self.set_tsc_deadline(self.timer.deadline(), tsc, now_ns);
    }

    fn software_enabled(&self) -> bool {
        self.spurious & SOFTWARE_ENABLE != 0
    }

    fn request(&mut self, vector: u8, trigger: Trigger) -> Accepted {
        // SDM, "Valid Interrupt Vectors": 0 to 15 are the processor's own.
        if vector < 16 {
            self.report(error::RECEIVE_ILLEGAL_VECTOR);
            return Accepted::Ignored;
        }
        match trigger {
            Trigger::Edge => self.level_triggered.remove(vector),
            Trigger::Level => self.level_triggered.insert(vector),
        }
        self.requested.insert(vector);
        Accepted::Interrupt
    }

    /// Interrupts by an entry of the local vector table that knows fixed delivery alone.
    fn raise(&mut self, entry: Lvt) {
        let lvt = self.lvt[entry as usize];
        if lvt & LVT_MASKED == 0 {
            self.request(lvt as u8, Trigger::Edge);
        }
    }

    /// Logs an error. The first since the error status register was written interrupts; so an
    /// illegal vector in the error's own entry reports itself once.
    fn report(&mut self, error: u32) {
        let first = self.error_detected == 0;
        self.error_detected |= error;
        if first {
            self.raise(Lvt::Error);
        }
    }

    fn end_of_interrupt(&mut self) -> Effect {
        let Some(vector) = self.in_service.highest() else { return Effect::None };
        self.in_service.remove(vector);
        let lint0 = self.lvt[Lvt::Lint0 as usize];
        let of_pin = is_level_triggered(lint0) && lint0 as u8 == vector;
        let is_told = of_pin || self.spurious & SUPPRESS_EOI_BROADCAST == 0;
        if self.level_triggered.contains(vector) && is_told {
            Effect::EndOfInterrupt(vector)
        } else {
            Effect::None
        }
    }

    fn set_spurious(&mut self, value: u32) {
        self.spurious = value;
        if !self.software_enabled() {
            self.lvt.iter_mut().for_each(|lvt| *lvt |= LVT_MASKED);
        }
    }

    fn set_lvt(&mut self, index: usize, value: u32) {
        let masked = if self.software_enabled() { 0 } else { LVT_MASKED };
        self.lvt[index] = value | masked;
        if index == Lvt::Timer as usize {
            self.timer.set_mode(TimerMode::from_lvt(value));
        }
    }
}

/// Whether the entry of a pin is for a level: other modes than the fixed one know edges alone.
fn is_level_triggered(lvt: u32) -> bool {
    lvt & LVT_LEVEL != 0 && DeliveryMode::from_bits(lvt >> 8) == Some(DeliveryMode::Fixed)
}
