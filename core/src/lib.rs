//! An embeddable x86-64 processor.

#![no_std]

extern crate alloc;

pub mod apic;
mod clock;
pub mod cpuid;
mod engine;
mod error;
mod execute;
mod exit;
mod interrupt;
pub mod memory;
pub mod paging;
pub mod state;
mod translate;
mod vcpu;

pub use clock::{Clock, InstructionClock};
pub use engine::{Engine, Kick};
pub use error::EngineError;
pub use exit::{Access, Exit, Space};
pub use interrupt::{Cause, Delivery, FaultLog};
pub use memory::{GuestMemory, HostPage, HostRegion, Ram};
pub use state::CpuState;
pub use vcpu::Vcpu;
