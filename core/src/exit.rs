//! What a vCPU asks of its host. An [`Exit`] is owned and `Copy`: it borrows nothing, so a host can
//! keep it, log it or send it to another thread.

use crate::apic::Message;

/// Why `run` returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// The budget of instructions is used up.
    Budget,
    /// The guest spins: it has executed as many PAUSE instructions as
    /// [`Engine::set_pause_limit`](crate::Engine::set_pause_limit) has set. Others may need the time.
    Pause,
    /// A [`Kick`](crate::Kick) asked for it.
    Kicked,
    /// HLT: nothing happens until an interrupt is injected.
    Halted,
    /// The guest reads from a device. The host calls [`Engine::answer`](crate::Engine::answer)
    /// before the next `run`; without it the read gives all ones.
    Read(Access),
    /// The guest wrote to a device. The instruction is complete.
    Write(Access, u64),
    /// The vCPU can take a maskable interrupt, as
    /// [`Engine::request_interrupt_window`](crate::Engine::request_interrupt_window) asked.
    InterruptWindow,
    /// The local APIC ended the handling of a level-triggered interrupt: I/O APICs have to know.
    EndOfInterrupt(u8),
    /// The local APIC sends an interrupt to other processors. Where it is for the sender, too, the
    /// sender has it already; unless it is for the lowest priority, which the host has to find
    /// among all that it is for, the sender included.
    Ipi(Message),
    /// The next instruction is a locked operation that the host can't do atomically. The host sees to
    /// it that no other vCPU executes and calls
    /// [`Engine::run_exclusive`](crate::Engine::run_exclusive).
    Exclusive,
    /// An x87 instruction waits at the unmasked exception of an earlier one, and CR0.NE is clear: the
    /// processor asserts FERR#, and stops until an interrupt, as in HLT. The host can have it go on by
    /// [`Engine::ignore_floating_point_error`](crate::Engine::ignore_floating_point_error).
    FloatingPointError {
        /// Whether there was no exception between the last time and now.
        new: bool,
    },
    /// INIT has reached the bootstrap processor, which begins at its reset vector with the next `run`.
    /// That is for firmware; a host without it has nothing there.
    Reset,
    /// A fault during the delivery of a double fault: the processor has shut down.
    TripleFault,
    /// A debugger's breakpoint or step; nothing of it is visible to the guest.
    Debug,
}

/// Where a device access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// I/O ports.
    Port,
    /// Guest-physical memory that is not RAM.
    Memory,
}

/// A device access of 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Port or memory.
    pub space: Space,
    /// Port number or guest-physical address.
    pub address: u64,
    /// Size in bytes.
    pub size: u8,
}

impl Access {
    /// What an access that no device claims reads: all ones in its size.
    pub fn all_ones(&self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.size.clamp(1, 8)))
    }
}
