//! An embeddable x86-64 processor: state, paging, interrupts, and the fastest interpreter there is.
//!
//! A [`Vcpu`] executes guest code out of [`GuestMemory`] that its host lends it, and returns an
//! [`Exit`] whenever it needs the host: a device access, a halt, the end of a budget. Everything that
//! a guest can do wrong is an architectural exception or an exit; nothing it does makes the host
//! panic, hang or allocate.
//!
//! ```
//! use std::sync::Arc;
//! use monovisor_core::state::SegmentRegister;
//! use monovisor_core::{Exit, InstructionClock, Ram, Vcpu};
//!
//! // mov al, '!'; out 0xe9, al; hlt
//! let ram = Arc::new(Ram::new(1 << 20).ok_or("no memory")?);
//! ram.write(0x7c00, &[0xb0, b'!', 0xe6, 0xe9, 0xf4]);
//!
//! let mut vcpu = Vcpu::new(ram, Arc::new(InstructionClock), 0);
//! let mut state = vcpu.state().clone();
//! state.segments[SegmentRegister::Cs].base = 0;
//! state.rip = 0x7c00;
//! vcpu.set_state(&state);
//!
//! assert!(matches!(vcpu.run(100), Exit::Write(access, 0x21) if access.address == 0xe9));
//! assert_eq!(vcpu.run(100), Exit::Halted);
//! # Ok::<(), &str>(())
//! ```

#![no_std]

extern crate alloc;

pub mod apic;
mod clock;
pub mod cpuid;
mod engine;
mod error;
pub mod exclusive;
mod execute;
mod exit;
mod interrupt;
pub mod memory;
pub mod paging;
pub mod state;
mod sync;
mod translate;
mod vcpu;

pub use clock::{Clock, InstructionClock};
pub use engine::{Engine, Kick};
pub use error::EngineError;
pub use execute::msr;
pub use execute::table::instruction_group;
pub use exit::{Access, Exit, Space};
pub use interrupt::{Cause, Delivery, FaultLog};
pub use memory::{GuestMemory, HostPage, HostRegion, Ram};
pub use paging::SharedCode;
pub use state::CpuState;
pub use vcpu::Vcpu;
