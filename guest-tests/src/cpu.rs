//! What tests ask of the processor, where the `x86_64` crate has no word for it.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, _rdtsc, CpuidResult};
use x86_64::registers::model_specific::Msr;

/// CPUID.
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    __cpuid_count(leaf, subleaf)
}

/// Whether CPUID's highest basic or extended leaf reaches `leaf`.
pub fn has_leaf(leaf: u32) -> bool {
    cpuid(leaf & 0x8000_0000, 0).eax >= leaf
}

/// Reads a model-specific register.
pub fn rdmsr(index: u32) -> u64 {
    // SAFETY: reading has no effect but #GP, which tests catch.
    unsafe { Msr::new(index).read() }
}

/// Writes a model-specific register.
///
/// # Safety
/// The machine must remain usable for Rust with the value.
pub unsafe fn wrmsr(index: u32, value: u64) {
    // SAFETY: upheld by the caller.
    unsafe { Msr::new(index).write(value) };
}

/// RDTSC.
pub fn rdtsc() -> u64 {
    // SAFETY: reading the counter has no effect.
    unsafe { _rdtsc() }
}

/// RFLAGS.
pub fn rflags() -> u64 {
    x86_64::registers::rflags::read_raw()
}

/// CR0.
pub fn cr0() -> u64 {
    x86_64::registers::control::Cr0::read_raw()
}

/// Writes CR0.
///
/// # Safety
/// The machine must remain usable for Rust with the value.
pub unsafe fn set_cr0(value: u64) {
    // SAFETY: upheld by the caller.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// CR4.
pub fn cr4() -> u64 {
    x86_64::registers::control::Cr4::read_raw()
}

/// Writes CR4.
///
/// # Safety
/// The machine must remain usable for Rust with the value.
pub unsafe fn set_cr4(value: u64) {
    // SAFETY: upheld by the caller.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}
