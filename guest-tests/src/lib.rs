//! The runtime under every guest test: from the boot protocol's 32-bit entry to a Rust `main` in
//! 64-bit mode, with exceptions that can be caught, a console, a heap and page tables.
//!
//! A guest is one file in `src/bin/`: the property it holds monovisor to, its expectation in `//@`
//! lines, and a `main` named by [`entry!`]. It ends by returning (exit status 33), by a panic (35),
//! or through [`exit`]. Guests own the machine: they run alone, on one processor unless they start
//! others ([`smp`]), and nothing below them needs protection from what they do.
//!
//! What a test asserts is written in its own file; here is only what most tests need.

#![no_std]

extern crate alloc;

pub mod acpi;
mod assert;
pub mod bench;
mod boot;
pub mod clock;
pub mod console;
pub mod cpu;
pub mod device;
pub mod exit;
mod heap;
pub mod interrupt;
pub mod legacy;
mod memory_routines;
pub mod paging;
pub mod probe;
pub mod register;
pub mod segment;
pub mod smp;
pub mod snippet;
pub mod sse;
pub mod thread;
pub mod user;
pub mod walk;
pub mod workload;

pub use boot::info::{BootInfo, MemoryKind, MemoryRange, Module, Protocol, boot_info};
pub use interrupt::{Frame, catch, fault_of};
