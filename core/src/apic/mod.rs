//! Interrupt controllers of a multiprocessor machine: the local APIC of each vCPU and the I/O APIC.
//! Both are state machines without addresses and without threads; time comes in as nanoseconds.

mod io;
mod local;
mod message;

pub use io::{IoApic, LINES, Messages};
pub use local::{Accepted, Effect, LocalApic, Mode};
pub use message::{DeliveryMode, Destination, Message, Trigger};
