//! The host.

pub mod boot;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod device;
pub mod diagnose;
pub mod diff;
pub mod engine;
pub mod memory;
pub mod outcome;
pub mod remote;
pub mod report;
pub mod run_loop;
pub mod session;
mod standard;
pub mod terminal;
pub mod vm;
