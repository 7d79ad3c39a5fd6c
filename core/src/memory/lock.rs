//! How a locked operation is made atomic: which windows the host can exchange at once, and its bus
//! lock for what is in none of them.
//!
//! Invariant: one host instruction reads and writes the whole window, so a plain store beside the
//! operand, by another vCPU or by a device, is never undone.

use super::Width;

/// Bytes of the widest aligned window that the host can compare and exchange at once.
pub(crate) fn widest_window() -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        /// CPUID.01H:ECX.CMPXCHG16B.
        const CMPXCHG16B: u32 = 1 << 13;
        if core::arch::x86_64::__cpuid(1).ecx & CMPXCHG16B != 0 {
            return 16;
        }
    }
    8
}

/// Whether the host can lock its bus for an operand of `bytes` bytes at any address.
pub(crate) const fn has_bus_lock(bytes: usize) -> bool {
    cfg!(all(target_arch = "x86_64", not(miri))) && bytes <= 8
}

/// Replaces the value at `pointer` by `update` of it and returns the old one, with the host's bus
/// locked where the value is in two cache lines.
///
/// # Safety
/// `W::BYTES` bytes at `pointer` are guest RAM that is mapped writable, and [`has_bus_lock`] holds
/// for them.
pub(crate) unsafe fn with_bus_lock<W: Width>(
    pointer: *mut u8,
    mut update: impl FnMut(W) -> W,
) -> W {
    // SAFETY: the caller vouches for the bytes.
    let mut old = unsafe { W::load(pointer) };
    loop {
        // SAFETY: the caller vouches for the bytes.
        let found = unsafe { compare_exchange(pointer, old, update(old)) };
        if found == old {
            return old;
        }
        old = found;
    }
}

/// LOCK CMPXCHG at any address; gives what was there.
///
/// # Safety
/// As for [`with_bus_lock`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn compare_exchange<W: Width>(pointer: *mut u8, expected: W, new: W) -> W {
    macro_rules! exchange {
        ($instruction:literal) => {{
            let found: u64;
            // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
            unsafe {
                core::arch::asm!($instruction, in("rdx") pointer, in("rcx") new.extend(),
                    inout("rax") expected.extend() => found, options(nostack));
            }
            W::truncate(found)
        }};
    }
    match W::BYTES {
        1 => exchange!("lock cmpxchg byte ptr [rdx], cl"),
        2 => exchange!("lock cmpxchg word ptr [rdx], cx"),
        4 => exchange!("lock cmpxchg dword ptr [rdx], ecx"),
        _ => exchange!("lock cmpxchg qword ptr [rdx], rcx"),
    }
}

/// Elsewhere there is no bus lock, and nobody asks for it.
///
/// # Safety
/// As for [`with_bus_lock`].
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn compare_exchange<W: Width>(pointer: *mut u8, expected: W, new: W) -> W {
    debug_assert!(has_bus_lock(W::BYTES), "there is no bus lock");
    // SAFETY: the caller vouches for the bytes.
    let found = unsafe { W::load(pointer) };
    if found == expected {
        // SAFETY: as above.
        unsafe { W::store(pointer, new) };
    }
    found
}
