//! From the boot protocol to `main`: the headers that a loader looks for, the way into 64-bit mode,
//! and what the loader said.

pub mod header;
pub mod info;
pub(crate) mod start;
