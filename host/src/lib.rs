//! The host.

pub mod boot;
pub mod config;
pub mod diagnose;
pub mod memory;
pub mod outcome;
pub mod report;
