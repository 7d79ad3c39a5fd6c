//! What the host's vector unit has beyond SSE2, which every x86-64 host has.
//!
//! It is found once, when the first instruction is translated that could use it, and only told to the
//! emitter: that picks for each op the handler that uses the host's own instruction or the portable
//! one, so nothing is asked while handlers run. Results are the same. On hosts that are no x86-64
//! there is nothing.
//!
//! Invariant: a bit is set only if the instructions execute here: the processor has them, and the
//! host's kernel has enabled the registers that they need.

use core::sync::atomic::{AtomicU32, Ordering};

bitflags::bitflags! {
    /// Groups of instructions, by the manual's names.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct HostVector: u32 {
        const SSE3 = 1;
        const SSSE3 = 1 << 1;
        const SSE4_1 = 1 << 2;
        const SSE4_2 = 1 << 3;
        const AES = 1 << 4;
        const PCLMULQDQ = 1 << 5;
        const SHA = 1 << 6;
        const AVX = 1 << 7;
        const AVX2 = 1 << 8;
        const FMA = 1 << 9;
        const F16C = 1 << 10;
    }
}

impl HostVector {
    /// What the host has.
    pub fn detect() -> Self {
        const FOUND: u32 = 1 << 31;
        // Whoever finds it first writes what everybody would.
        static CACHE: AtomicU32 = AtomicU32::new(0);
        let cached = CACHE.load(Ordering::Relaxed);
        if cached != 0 {
            return Self::from_bits_truncate(cached);
        }
        let found = Self::ask();
        CACHE.store(found.bits() | FOUND, Ordering::Relaxed);
        found
    }

    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    fn ask() -> Self {
        Self::empty()
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn ask() -> Self {
        use core::arch::x86_64::{__cpuid, __cpuid_count};
        let basic = __cpuid(1);
        let has_leaf_7 = __cpuid(0).eax >= 7;
        let extended = if has_leaf_7 { __cpuid_count(7, 0).ebx } else { 0 };
        let rows = [
            (basic.ecx, 0, Self::SSE3),
            (basic.ecx, 9, Self::SSSE3),
            (basic.ecx, 19, Self::SSE4_1),
            (basic.ecx, 20, Self::SSE4_2),
            (basic.ecx, 25, Self::AES),
            (basic.ecx, 1, Self::PCLMULQDQ),
            (extended, 29, Self::SHA),
            (basic.ecx, 28, Self::AVX),
            (extended, 5, Self::AVX2),
            (basic.ecx, 12, Self::FMA),
            (basic.ecx, 29, Self::F16C),
        ];
        let has = |&(word, bit, _): &(u32, u32, Self)| word >> bit & 1 != 0;
        let found =
            rows.iter().filter(|row| has(row)).fold(Self::empty(), |found, row| found | row.2);
        match enables_ymm(basic.ecx) {
            true => found,
            false => found - (Self::AVX | Self::AVX2 | Self::FMA | Self::F16C),
        }
    }
}

/// Whether the host's kernel has enabled the YMM registers; `features` is ECX of CPUID's leaf 1.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn enables_ymm(features: u32) -> bool {
    const OSXSAVE: u32 = 1 << 27;
    /// SSE and AVX state in XCR0.
    const COMPONENTS: u32 = 6;
    if features & OSXSAVE == 0 {
        return false;
    }
    let enabled: u32;
    // SAFETY: with OSXSAVE set the instruction exists; it reads XCR0.
    unsafe {
        core::arch::asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _,
            options(nomem, nostack, preserves_flags));
    }
    enabled & COMPONENTS == COMPONENTS
}
