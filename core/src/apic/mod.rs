//! Interrupt controllers of a multiprocessor machine: the local APIC of each vCPU and the I/O APIC.
//! Both are state machines without addresses and without threads; time comes in as nanoseconds.
//! Between threads, messages go through the [`Interconnect`].

mod address;
mod interconnect;
mod io;
mod local;
mod message;

pub use address::Address;
pub use interconnect::Interconnect;
pub use io::{IoApic, LINES, Messages};
pub use local::{Accepted, Effect, LocalApic, Mode};
pub use message::{DeliveryMode, Destination, Message, Trigger};
