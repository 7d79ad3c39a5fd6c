//! The host.

pub mod config;
pub mod memory;
pub mod outcome;
