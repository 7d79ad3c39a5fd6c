//! The contract between a vCPU's engine and its host.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::apic::{LocalApic, Message};
use crate::exclusive::{Outside, Section};
use crate::{CpuState, EngineError, Exit, FaultLog};

/// Something that executes one vCPU: the interpreter or KVM.
pub trait Engine: Send {
    /// Executes until something needs the host, at most about `budget` instructions (a block's
    /// length more in the interpreter; KVM is bounded by its [deadline](Self::set_deadline) and by
    /// kicks instead). A budget of 1 is one instruction or one event exactly.
    ///
    /// # Errors
    /// Only a failure of the host itself.
    fn run(&mut self, budget: u64) -> Result<Exit, EngineError>;

    /// As [`run`](Self::run) with a budget of 1, while no other vCPU of the machine executes: what
    /// [`Exit::Exclusive`] asks for.
    ///
    /// # Errors
    /// Only a failure of the host itself.
    fn run_exclusive(&mut self) -> Result<Exit, EngineError> {
        self.run(1)
    }

    /// For engines that count no [instructions](Self::instructions): [`run`](Self::run) returns at
    /// this time of the clock, or soon after it, whatever the guest does. `u64::MAX` is never.
    fn set_deadline(&mut self, _due_ns: u64) {}

    /// Makes [`run`](Self::run) return with [`Exit::Pause`] after each `pauses` PAUSE instructions; 0 is
    /// never. For a host that has fewer processors than guests spin on.
    fn set_pause_limit(&mut self, _pauses: u32) {}

    /// Completes the read that the last [`Exit::Read`] asked for.
    fn answer(&mut self, data: u64);

    /// Behind [`Exit::FloatingPointError`]: asserts IGNNE#, so that x87 instructions execute until no
    /// unmasked exception is pending.
    fn ignore_floating_point_error(&mut self) {}

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

    /// RAM may have been written while this engine did not run, as when the state comes from another
    /// engine: whatever it has derived from code and page tables is forgotten.
    fn forget_code(&mut self) {}

    /// As [`forget_code`](Self::forget_code), of an engine that may have others beside it, none of which
    /// executes in this section.
    fn forget_code_within(&mut self, _section: &Section<'_>) {
        self.forget_code();
    }

    /// The local APIC, which both engines keep in the same form.
    fn local_apic(&self) -> &LocalApic;

    /// Replaces the local APIC, whose ID must be this processor's. Its mode follows the state's
    /// IA32_APIC_BASE.
    fn set_local_apic(&mut self, apic: &LocalApic);

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

    /// From now on [`run`](Self::run) executes the guest only inside the gate at which it gets a place.
    /// Whoever runs the engine parks on that place's slot. For engines without a guest, nothing.
    fn take_place(&mut self, _place: Outside) {}

    /// Gives the place back, so that whoever runs the engine can act at the gate itself, with the
    /// engine at hand: [`Work`](crate::exclusive::Work) is served so. None if it has none.
    fn leave_place(&mut self) -> Option<Outside> {
        None
    }

    /// A handle with which any thread makes `run` return soon.
    fn kick_handle(&self) -> Kick;
}

/// Makes a running vCPU return with [`Exit::Kicked`]. Sticky: a kick while it does not run ends the
/// next run.
#[derive(Clone, Debug, Default)]
pub struct Kick(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pending: AtomicBool,
    wake: Option<Wake>,
}

/// Gets a vCPU to look whether a kick is pending.
type Wake = Box<dyn Fn() + Send + Sync>;

impl Kick {
    /// A kick for an engine that does not look by itself: `wake` is called, on the kicking thread,
    /// after each kick.
    pub fn with_wake(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { pending: AtomicBool::new(false), wake: Some(Box::new(wake)) }))
    }

    /// Asks the vCPU to return.
    pub fn kick(&self) {
        // Exchanged: whoever takes several kicks as one is to know what was done before each of them.
        self.0.pending.swap(true, Ordering::Release);
        if let Some(wake) = &self.0.wake {
            wake();
        }
    }

    /// Whether a kick waits; one relaxed load.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.0.pending.load(Ordering::Relaxed)
    }

    /// Takes the waiting kick.
    pub fn take(&self) -> bool {
        self.is_pending() && self.0.pending.swap(false, Ordering::Acquire)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("pending", &self.pending).finish_non_exhaustive()
    }
}
