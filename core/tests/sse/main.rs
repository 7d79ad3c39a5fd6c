//! SSE and SSE2: each instruction beside the host's own, and what it raises.

#![cfg(target_arch = "x86_64")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod floating;
mod harness;
mod instructions;
mod native;
mod pair;
mod values;
