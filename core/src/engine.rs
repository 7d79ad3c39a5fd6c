//! The contract between a vCPU's engine and its host.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::apic::Message;
use crate::{CpuState, EngineError, Exit, FaultLog};

/// Something that executes one vCPU: the interpreter or KVM.
pub trait Engine {
    /// Executes until something needs the host, at most about `budget` instructions (a block's
    /// length more in the interpreter; KVM is bounded by kicks instead). A budget of 1 is one
    /// instruction or one event exactly.
    ///
    /// # Errors
    /// Only a failure of the host itself.
    fn run(&mut self, budget: u64) -> Result<Exit, EngineError>;

    /// Completes the read that the last [`Exit::Read`] asked for.
    fn answer(&mut self, data: u64);

    /// The architectural state.
    ///
    /// # Errors
    /// Only a failure of the host itself.
    fn state(&mut self) -> Result<CpuState, EngineError>;

    /// Replaces the architectural state.
    ///
    /// # Errors
    /// Only a failure of the host itself.
    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError>;

    /// Whether a maskable interrupt from the interrupt controller would be taken now: IF is set, no
    /// shadow, nothing pending.
    fn interruptible(&self) -> bool;

    /// Asks for [`Exit::InterruptWindow`] as soon as [`interruptible`](Self::interruptible) holds.
    fn request_interrupt_window(&mut self, wanted: bool);

    /// Injects a maskable interrupt that the interrupt controller (PIC) has acknowledged. Only when
    /// [`interruptible`](Self::interruptible).
    fn inject(&mut self, vector: u8);

    /// Pends a non-maskable interrupt.
    fn inject_nmi(&mut self);

    /// Whether the local APIC lets the PIC's interrupts through (disabled, or LVT LINT0 in ExtINT mode).
    fn accepts_pic(&self) -> bool;

    /// Hands an interrupt message (from an I/O APIC, an MSI or another vCPU) to the local APIC,
    /// which accepts it if it is among those that the message is for.
    fn deliver(&mut self, message: Message);

    /// When the local APIC's timer next fires, in the clock's nanoseconds.
    fn next_timer_ns(&self) -> Option<u64>;

    /// Instructions retired so far, where the engine counts them.
    fn instructions(&self) -> Option<u64>;

    /// The last exceptions that were delivered, where the engine sees them.
    fn fault_log(&self) -> Option<&FaultLog> {
        None
    }

    /// A handle with which any thread makes `run` return soon.
    fn kick_handle(&self) -> Kick;
}

/// Makes a running vCPU return with [`Exit::Kicked`]. Sticky: a kick while it does not run ends the
/// next run.
#[derive(Clone, Debug, Default)]
pub struct Kick(Arc<AtomicBool>);

impl Kick {
    /// Asks the vCPU to return.
    pub fn kick(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether a kick waits; one relaxed load.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes the waiting kick.
    pub fn take(&self) -> bool {
        self.is_pending() && self.0.swap(false, Ordering::Acquire)
    }
}
