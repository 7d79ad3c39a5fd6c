//! MMX: each instruction beside the host's own, what it does to the x87, and what it raises.

#![cfg(target_arch = "x86_64")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../sse/harness.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests of XMM registers")]
mod harness;
mod instructions;
#[path = "../sse/native.rs"]
#[allow(dead_code, reason = "as above")]
mod native;
mod state;
#[path = "../sse/values.rs"]
#[allow(dead_code, reason = "as above")]
mod values;
