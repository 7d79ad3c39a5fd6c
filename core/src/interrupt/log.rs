//! The last deliveries, for the report of a guest that died.
//!
//! Invariant: interrupts are logged only when their delivery fails, so that a timer does not push
//! out the exceptions that led to the end.

use heapless::HistoryBuf;

use crate::state::{CpuState, Exception, SegmentRegister};

/// What was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An exception.
    Exception(Exception),
    /// An external interrupt.
    Interrupt(u8),
    /// A non-maskable interrupt.
    Nmi,
}

/// One delivery, or the attempt of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What was delivered.
    pub cause: Cause,
    /// Whether it arose from the failed delivery of the one before it.
    pub nested: bool,
    /// The interrupted instruction's offset in its code segment.
    pub rip: u64,
    /// The interrupted code segment's selector.
    pub cs: u16,
    /// CR2 as the handler would find it.
    pub cr2: u64,
}

/// The last eight deliveries.
#[derive(Debug, Default)]
pub struct FaultLog(HistoryBuf<Delivery, 8>);

impl FaultLog {
    /// An empty log.
    pub const fn new() -> Self {
        Self(HistoryBuf::new())
    }

    /// The deliveries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.0.oldest_ordered()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn record(&mut self, state: &CpuState, cause: Cause, nested: bool) {
        self.0.write(Delivery {
            cause,
            nested,
            rip: state.rip,
            cs: state.segments[SegmentRegister::Cs].selector,
            cr2: state.control.cr2,
        });
    }
}
