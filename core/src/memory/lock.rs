//! How a locked operation is made atomic: what the host's own locked instructions serve, which windows
//! it can exchange at once, and its bus lock for all else.
//!
//! Invariant: one host instruction reads and writes the whole operand or window, so a plain store
//! beside the operand, by another vCPU or by a device, is never undone.

use super::Width;
use super::access::own_soon;

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

/// Bytes of a cache line of x86-64 processors.
const LINE: usize = 64;

/// Whether the host's own locked instruction serves a `W` at `pointer` without locking the bus: on x86-64
/// anywhere within a cache line, elsewhere where it is aligned.
#[inline(always)]
pub(crate) fn is_direct<W: Width>(pointer: *mut u8) -> bool {
    let address = pointer.addr();
    match cfg!(all(target_arch = "x86_64", not(miri))) {
        true if W::BYTES <= 8 => address % LINE <= LINE - W::BYTES,
        has_sixteen => address.is_multiple_of(W::BYTES) && (has_sixteen || W::BYTES <= 8),
    }
}

/// Replaces the value at `pointer` by `update` of it and returns the old one, in one atomic step: with
/// the host's bus locked unless it [is direct](is_direct).
///
/// # Safety
/// `W::BYTES` bytes at `pointer` are guest RAM that is mapped writable, and it is direct, or
/// [`has_bus_lock`] holds for them.
#[inline(always)]
pub(crate) unsafe fn update_directly<W: Width>(
    pointer: *mut u8,
    mut update: impl FnMut(W) -> W,
) -> W {
    own_soon(pointer);
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
/// As for [`update_directly`]; a host that is asked for 16 bytes has CMPXCHG16B.
#[inline(always)]
pub(crate) unsafe fn compare_exchange<W: Width>(pointer: *mut u8, expected: W, new: W) -> W {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if W::BYTES <= 8 {
        macro_rules! exchange {
            ($instruction:literal) => {{
                let found: u64;
                // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
                unsafe {
                    core::arch::asm!($instruction, in(reg) pointer, in(reg) new.extend(),
                        inout("rax") expected.extend() => found, options(nostack));
                }
                return W::truncate(found);
            }};
        }
        match W::BYTES {
            1 => exchange!("lock cmpxchg byte ptr [{0}], {1:l}"),
            2 => exchange!("lock cmpxchg word ptr [{0}], {1:x}"),
            4 => exchange!("lock cmpxchg dword ptr [{0}], {1:e}"),
            _ => exchange!("lock cmpxchg qword ptr [{0}], {1}"),
        }
    }
    // SAFETY: what is direct here is aligned, and nobody else asks, as there is no bus lock.
    unsafe { W::compare_exchange(pointer, expected, new) }.unwrap_or_else(|found| found)
}
