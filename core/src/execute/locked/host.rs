//! Locked operations by the host's own instructions: on x86-64 at any address within a cache line, and
//! with the status flags that the processor tells; elsewhere on aligned operands, with flags computed.
//!
//! Invariant: what is here touches its operand alone, in one atomic step that is a full barrier.

use crate::execute::arithmetic::{Adc, Binary, Sbb};
use crate::execute::flags::{AF, STATUS};
use crate::execute::logical::{And, Or, Xor};
use crate::memory::Width;

use super::Neg;

/// One locked instruction of width `$width` on `{pointer}` and `{right}`.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! instruction {
    ($width:ty, $before:literal, $name:literal, $comma:literal, $after:literal; $($operand:tt)*) => {
        match <$width>::BYTES {
            1 => core::arch::asm!($before, concat!($name, " byte ptr [{pointer}]", $comma, "{right:l}"),
                $after, $($operand)*),
            2 => core::arch::asm!($before, concat!($name, " word ptr [{pointer}]", $comma, "{right:x}"),
                $after, $($operand)*),
            4 => core::arch::asm!($before, concat!($name, " dword ptr [{pointer}]", $comma, "{right:e}"),
                $after, $($operand)*),
            _ => core::arch::asm!($before, concat!($name, " qword ptr [{pointer}]", $comma, "{right:r}"),
                $after, $($operand)*),
        }
    };
}

/// Adds; gives what was there.
///
/// # Safety
/// `W::BYTES` bytes at `pointer` are guest RAM that is mapped writable, at most eight, and
/// [direct](crate::memory::lock::is_direct).
#[inline(always)]
pub(super) unsafe fn fetch_add<W: Width>(pointer: *mut u8, addend: W) -> W {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let old: u64;
        // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
        unsafe {
            instruction!(W, "", "lock xadd", ", ", ""; pointer = in(reg) pointer,
                right = inout(reg) addend.extend() => old, options(nostack));
        }
        W::truncate(old)
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    // SAFETY: the caller vouches for the bytes; what is direct is aligned.
    unsafe {
        W::fetch_add(pointer, addend)
    }
}

/// Replaces; gives what was there.
///
/// # Safety
/// As for [`fetch_add`].
#[inline(always)]
pub(super) unsafe fn swap<W: Width>(pointer: *mut u8, new: W) -> W {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let old: u64;
        // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
        unsafe {
            instruction!(W, "", "xchg", ", ", ""; pointer = in(reg) pointer,
                right = inout(reg) new.extend() => old, options(nostack, preserves_flags));
        }
        W::truncate(old)
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    // SAFETY: the caller vouches for the bytes; what is direct is aligned.
    unsafe {
        W::swap(pointer, new)
    }
}

/// An operation for which hosts have an instruction that tells the flags, but not the old value.
pub(super) trait Told: Binary {
    /// Executes it on memory and `right`; CF is bit 0 of `status`. Gives the status flags in RFLAGS's
    /// places.
    ///
    /// # Safety
    /// As for [`fetch_add`].
    unsafe fn execute<W: Width>(pointer: *mut u8, right: u64, status: u64) -> u64;
}

/// Executes it by `$name`. LAHF exists in 64-bit mode but on the first processors of 2003 to 2005.
macro_rules! told {
    ($($operation:ty: $name:literal, $comma:literal, $defined:expr;)*) => {$(
        impl Told for $operation {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            unsafe fn execute<W: Width>(pointer: *mut u8, right: u64, status: u64) -> u64 {
                let flags: u64;
                // SAFETY: the caller vouches for the bytes; the instructions touch nothing else.
                unsafe {
                    instruction!(W, "bt {status:e}, 0", $name, $comma, "lahf\nseto al";
                        pointer = in(reg) pointer, right = in(reg) right, status = in(reg) status,
                        out("rax") flags, options(nostack));
                }
                flags >> 8 & 0xff & $defined | (flags & 1) << 11
            }

            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            #[inline(always)]
            unsafe fn execute<W: Width>(pointer: *mut u8, right: u64, status: u64) -> u64 {
                // SAFETY: the caller vouches for the bytes; what is direct is aligned.
                unsafe { by_exchange::<Self, W>(pointer, right, status) & $defined }
            }
        }
    )*};
}

told! {
    And: "lock and", ", ", STATUS & !AF;
    Or: "lock or", ", ", STATUS & !AF;
    Xor: "lock xor", ", ", STATUS & !AF;
    Adc: "lock adc", ", ", STATUS;
    Sbb: "lock sbb", ", ", STATUS;
    // It has no right operand.
    Neg: "lock neg", " # ", STATUS;
}

/// The same by compare-exchange.
///
/// # Safety
/// As for [`fetch_add`].
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline(always)]
unsafe fn by_exchange<O: Binary, W: Width>(pointer: *mut u8, right: u64, status: u64) -> u64 {
    let change = |left: W| W::truncate(O::apply::<W>(left.extend(), right, status));
    // SAFETY: the caller vouches for the bytes; what is direct is aligned.
    let left = unsafe { crate::memory::access::fetch_update(pointer, change) };
    super::status_after::<O, W>(left.extend(), right, status)
}
