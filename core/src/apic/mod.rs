//! Interrupt controllers of a multiprocessor machine: the local APIC of each vCPU and the I/O APIC.
//! Both are state machines without addresses and without threads; time comes in as nanoseconds.

mod message;

pub use message::{DeliveryMode, Destination, Message, Trigger};
