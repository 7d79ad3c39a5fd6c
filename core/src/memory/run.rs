//! Copies and fills of a run of guest RAM, in the order of their elements as string instructions
//! do: an overlap gives the same bytes as one element after the other.
//!
//! On x86-64 hosts they are the host's own string instructions, which move runs at full speed and
//! may race with other processors, as the guest's may.

use super::Width;

/// Copies `count` elements, lowest first.
///
/// # Safety
/// `count` times `W::BYTES` bytes at both pointers are guest RAM that is mapped, writable at
/// `target`.
#[inline]
pub(crate) unsafe fn copy<W: Width>(source: *const u8, target: *mut u8, count: usize) {
    // SAFETY: the caller vouches for the bytes; each instruction touches nothing else, and the
    // direction flag is clear.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        macro_rules! copy {
            ($instruction:literal) => {
                core::arch::asm!($instruction, inout("rcx") count => _, inout("rsi") source => _,
                    inout("rdi") target => _, options(nostack, preserves_flags))
            };
        }
        match W::BYTES {
            1 => copy!("rep movsb"),
            2 => copy!("rep movsw"),
            4 => copy!("rep movsd"),
            _ => copy!("rep movsq"),
        }
    }
    // SAFETY: each element is within the caller's bytes.
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    unsafe {
        for offset in (0..count).map(|index| index * W::BYTES) {
            W::store(target.add(offset), W::load(source.add(offset)));
        }
    }
}

/// Stores `value` `count` times, lowest first.
///
/// # Safety
/// `count` times `W::BYTES` bytes at `target` are guest RAM that is mapped writable.
#[inline]
pub(crate) unsafe fn fill<W: Width>(target: *mut u8, value: W, count: usize) {
    // SAFETY: as in `copy`.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        macro_rules! fill {
            ($instruction:literal) => {
                core::arch::asm!($instruction, inout("rcx") count => _, in("rax") value.extend(),
                    inout("rdi") target => _, options(nostack, preserves_flags))
            };
        }
        match W::BYTES {
            1 => fill!("rep stosb"),
            2 => fill!("rep stosw"),
            4 => fill!("rep stosd"),
            _ => fill!("rep stosq"),
        }
    }
    // SAFETY: each element is within the caller's bytes.
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    unsafe {
        for index in 0..count {
            W::store(target.add(index * W::BYTES), value);
        }
    }
}
