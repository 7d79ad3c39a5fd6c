//! x87 instructions, one file per group, mostly against the processor under the test: results, tags,
//! status word, flags and memory must agree for operands at every boundary, under every control
//! word.

#![cfg(target_arch = "x86_64")]

#[path = "../common/mod.rs"]
mod common;

mod arithmetic;
mod comparison;
mod constants;
mod control;
mod data_transfer;
mod environment;
mod faults;
mod harness;
mod native;
mod operands;
mod transcendental;
