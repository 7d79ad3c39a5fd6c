//! What tests ask of the processor, where the `x86_64` crate has no word for it.

use crate::register::cr4::OSXSAVE;
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

/// XGETBV.
pub fn xgetbv(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading has no effect but #GP or #UD, which tests catch.
    unsafe {
        asm!("xgetbv", in("ecx") index, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(low) | u64::from(high) << 32
}

/// XSETBV.
///
/// # Safety
/// The state components that are enabled must be those that the code needs.
pub unsafe fn xsetbv(index: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: upheld by the caller.
    unsafe {
        asm!("xsetbv", in("ecx") index, in("eax") low, in("edx") high,
            options(nostack, preserves_flags));
    }
}

/// Switches x87, SSE and AVX state on. Interrupt handlers save no upper halves: they must not use them.
pub fn enable_avx() {
    const COMPONENTS: u64 = 7;
    // SAFETY: what was enabled stays so.
    unsafe {
        set_cr4(cr4() | OSXSAVE);
        xsetbv(0, COMPONENTS);
    }
}
