//! The guest's physical memory: where everything is ([`layout`]) and the RAM itself ([`GuestRam`]).
//! What is put there is the business of `boot` and `device`.

pub mod layout;
mod ram;

pub use ram::{GuestRam, MemoryError};
