//! How control passes between privilege levels and segments: delivery of exceptions and interrupts,
//! their return, far transfers, system calls, and the segment loads under them. Here are functions
//! over a state and its memory; decoding, and the checks that an instruction makes on its own
//! operands, live in `execute`.
//!
//! Invariants: a function that returns an [`Exception`](crate::state::Exception) has left the
//! registers as they were (accessed and busy bits in memory may be set, as on a processor). Tables
//! and stacks in device memory read all ones and lose their writes. Nothing here allocates.
//! A task switch is the exception: behind its point of no return a fault is the new task's.

mod access;
mod code;
mod delivery;
mod descriptor;
mod exception;
mod far;
mod far_return;
mod gate;
mod inspect;
mod iret;
mod log;
mod segment;
mod stack;
mod system_call;
mod task;
mod tss;
mod virtual_8086;

#[cfg(test)]
mod tests;

pub(crate) use exception::{Shutdown, SoftwareInterrupt, external, nmi, raise, software};
pub(crate) use far::{far_call, far_jump};
pub(crate) use far_return::far_return;
pub(crate) use inspect::{access_rights, readable, segment_limit, writable};
pub(crate) use iret::iret;
pub use log::{Cause, Delivery, FaultLog};
pub(crate) use segment::{load_local_descriptor_table, load_segment, load_task_register};
pub(crate) use system_call::{syscall, sysenter, sysexit, sysret};
pub(crate) use virtual_8086::{
    require_flags, shown_flags, virtual_interrupt_flag, virtual_interrupt_is_due,
};
