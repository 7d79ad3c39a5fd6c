//! The host.

pub mod outcome;
