//! Copies and fills of a run of guest RAM. What is there afterwards is what one element after the
//! other would leave, as string instructions do, where the two runs of a copy overlap too.
//!
//! On x86-64 hosts the bytes go in blocks through vector registers, and in assembly: other
//! processors may race with them, as with the guest's own accesses, which the language's own copies
//! must not. Stores of a string instruction may become visible in any order (SDM, "Fast-String
//! Operation and Out-of-Order Stores"), but an element at once: all sizes are powers of two, and the
//! widest accesses come first, so that no element takes two.

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod blocks;

use super::Width;

/// Copies `count` elements, lowest first.
///
/// # Safety
/// `count` times `W::BYTES` bytes at both pointers are mapped memory of the guest's, or of the
/// caller's alone, writable at `target`.
#[inline(always)]
pub(crate) unsafe fn copy<W: Width>(source: *const u8, target: *mut u8, count: usize) {
    // The elements of a target that begins within the source are copied again and again.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if target.addr().wrapping_sub(source.addr()) >= count * W::BYTES {
        // SAFETY: the caller vouches for the bytes.
        return unsafe { blocks::copy_up(source, target, count * W::BYTES) };
    }
    // SAFETY: as above.
    unsafe { copy_elements::<W>(source, target, count, W::BYTES.cast_signed()) };
}

/// Copies `count` elements, highest first; the pointers lead to the highest.
///
/// # Safety
/// `count` elements that end with those at the pointers are mapped memory of the guest's, writable
/// at `target`.
#[inline(always)]
pub(crate) unsafe fn copy_down<W: Width>(source: *const u8, target: *mut u8, count: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if source.addr().wrapping_sub(target.addr()) >= count * W::BYTES {
        let (source, target) = (source.wrapping_add(W::BYTES), target.wrapping_add(W::BYTES));
        // SAFETY: the caller vouches for the bytes.
        return unsafe { blocks::copy_down(source, target, count * W::BYTES) };
    }
    // SAFETY: as above.
    unsafe { copy_elements::<W>(source, target, count, -W::BYTES.cast_signed()) };
}

/// Copies one element after the other, each `step` bytes from the one before it.
///
/// # Safety
/// The elements are as in [`copy`].
#[inline(never)]
unsafe fn copy_elements<W: Width>(
    mut source: *const u8,
    mut target: *mut u8,
    count: usize,
    step: isize,
) {
    for _ in 0..count {
        // SAFETY: the caller vouches for each element.
        unsafe { W::store(target, W::load(source)) };
        (source, target) = (source.wrapping_offset(step), target.wrapping_offset(step));
    }
}

/// Stores `value` `count` times.
///
/// # Safety
/// `count` times `W::BYTES` bytes at `target` are guest RAM that is mapped writable.
#[inline(always)]
pub(crate) unsafe fn fill<W: Width>(target: *mut u8, value: W, count: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // The value in each element of a quadword.
        let pattern = value.extend().wrapping_mul(u64::MAX / (u64::MAX >> (64 - W::BITS)));
        // SAFETY: the caller vouches for the bytes.
        unsafe { blocks::fill(target, pattern, count * W::BYTES) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    for index in 0..count {
        // SAFETY: as above.
        unsafe { W::store(target.add(index * W::BYTES), value) };
    }
}
