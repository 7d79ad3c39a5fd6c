//! Loads and stores of guest RAM. A plain load acquires, a plain store releases, and each is atomic
//! in its own width where it is aligned: on x86-64 hosts both are ordinary `mov`s, and elsewhere
//! the guest still sees TSO.
//!
//! On x86-64 the accesses are one instruction of assembly: the language has no unaligned access
//! that may race, and the processor has. Elsewhere (and under Miri) an aligned access is an atomic one,
//! and a misaligned one goes byte by byte, each in its turn: processors in general promise no more, but
//! those of Intel have what lies within a cache line in one piece. Nor has the language a rule for
//! atomics of different widths that race, as a guest's may; there it is left to the processor.

#[cfg(all(target_arch = "x86_64", not(miri)))]
use core::arch::x86_64::__m128i;
use core::ptr::NonNull;
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
use core::sync::atomic::fence;
use core::sync::atomic::{AtomicU8, Ordering};

/// An unsigned integer of a guest access's width.
pub trait Width: Copy + Default + Eq + Sized + 'static {
    /// Width in bytes.
    const BYTES: usize;
    /// Width in bits.
    const BITS: u32 = Self::BYTES as u32 * 8;
    /// The low bits of `value`.
    fn truncate(value: u64) -> Self;
    /// Zero-extended; the low half of 128 bits.
    fn extend(self) -> u64;
    /// Sign-extended; the low half of 128 bits.
    fn sign_extend(self) -> u64;
    /// The low bits of all 128.
    fn narrow(value: u128) -> Self;
    /// Zero-extended to 128 bits.
    fn widen(self) -> u128;

    /// Loads from guest RAM.
    ///
    /// # Safety
    /// `BYTES` bytes at `pointer` are guest RAM that is mapped.
    unsafe fn load(pointer: *const u8) -> Self;

    /// Stores to guest RAM.
    ///
    /// # Safety
    /// `BYTES` bytes at `pointer` are guest RAM that is mapped writable.
    unsafe fn store(pointer: *mut u8, value: Self);

    /// Replaces `current` with `new` in one atomic step; `Err` with what is there if it is not
    /// `current`. A full barrier, as a locked instruction is. Sixteen bytes are atomic on x86-64
    /// hosts alone: elsewhere no other processor may access them meanwhile.
    ///
    /// # Errors
    /// The value that was found instead of `current`.
    ///
    /// # Safety
    /// `BYTES` bytes at `pointer` are guest RAM that is mapped writable, and `pointer` is a
    /// multiple of `BYTES`.
    unsafe fn compare_exchange(pointer: *mut u8, current: Self, new: Self) -> Result<Self, Self>;

    /// Adds `addend` in one atomic step, which no other processor can make fail, and returns what was
    /// there. A full barrier.
    ///
    /// # Safety
    /// As [`compare_exchange`](Self::compare_exchange).
    unsafe fn fetch_add(pointer: *mut u8, addend: Self) -> Self;

    /// Replaces the value in one atomic step, which no other processor can make fail, and returns
    /// what was there. A full barrier.
    ///
    /// # Safety
    /// As [`compare_exchange`](Self::compare_exchange).
    unsafe fn swap(pointer: *mut u8, new: Self) -> Self;
}

/// Replaces the value at `pointer` by `update` of it in one atomic step, and returns the old one.
///
/// # Safety
/// As [`Width::compare_exchange`].
#[inline(always)]
pub(crate) unsafe fn fetch_update<W: Width>(pointer: *mut u8, mut update: impl FnMut(W) -> W) -> W {
    own_soon(pointer);
    // SAFETY: the caller vouches for the bytes.
    let mut old = unsafe { W::load(pointer) };
    loop {
        // SAFETY: the caller vouches for the bytes and the alignment.
        match unsafe { W::compare_exchange(pointer, old, update(old)) } {
            Ok(old) => return old,
            Err(found) => old = found,
        }
    }
}

/// Asks for the cache line at `pointer` as its only owner: a load alone would ask for a shared copy,
/// and the exchange behind it once more. A hint, which never faults.
#[inline(always)]
pub(super) fn own_soon(pointer: *mut u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch accesses nothing; processors that do not know this one take it for a NOP.
    unsafe {
        core::arch::asm!("prefetchw [{0}]", in(reg) pointer,
            options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = pointer;
}

/// An atomic update as a locked instruction: a full barrier for plain accesses, too. On x86-64 it is one;
/// elsewhere the language orders only such updates among each other.
#[inline(always)]
fn locked<R>(update: impl FnOnce() -> R) -> R {
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    fence(Ordering::SeqCst);
    let result = update();
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    fence(Ordering::SeqCst);
    result
}

macro_rules! width {
    ($type:ty, $signed:ty, $atomic:ident, $load:literal, $store:literal, $class:ident) => {
        impl Width for $type {
            const BYTES: usize = size_of::<$type>();

            #[inline(always)]
            fn truncate(value: u64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn extend(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn sign_extend(self) -> u64 {
                self as $signed as u64
            }
            #[inline(always)]
            fn narrow(value: u128) -> Self {
                value as $type
            }
            #[inline(always)]
            fn widen(self) -> u128 {
                u128::from(self)
            }
            #[inline(always)]
            unsafe fn compare_exchange(
                pointer: *mut u8,
                current: Self,
                new: Self,
            ) -> Result<Self, Self> {
                // SAFETY: aligned, and the caller vouches for the bytes.
                let word = unsafe { core::sync::atomic::$atomic::from_ptr(pointer.cast()) };
                locked(|| {
                    word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
                })
            }
            #[inline(always)]
            unsafe fn fetch_add(pointer: *mut u8, addend: Self) -> Self {
                // SAFETY: aligned, and the caller vouches for the bytes.
                let word = unsafe { core::sync::atomic::$atomic::from_ptr(pointer.cast()) };
                locked(|| word.fetch_add(addend, Ordering::SeqCst))
            }
            #[inline(always)]
            unsafe fn swap(pointer: *mut u8, new: Self) -> Self {
                // SAFETY: aligned, and the caller vouches for the bytes.
                let word = unsafe { core::sync::atomic::$atomic::from_ptr(pointer.cast()) };
                locked(|| word.swap(new, Ordering::SeqCst))
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            unsafe fn load(pointer: *const u8) -> Self {
                let value: $type;
                // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
                unsafe {
                    core::arch::asm!($load, out($class) value, in(reg) pointer,
                        options(nostack, preserves_flags, readonly));
                }
                value
            }
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            unsafe fn store(pointer: *mut u8, value: Self) {
                // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
                unsafe {
                    core::arch::asm!($store, in(reg) pointer, in($class) value,
                        options(nostack, preserves_flags));
                }
            }

            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            #[inline(always)]
            unsafe fn load(pointer: *const u8) -> Self {
                use core::sync::atomic::$atomic;
                if pointer.addr() % size_of::<$type>() == 0 {
                    // SAFETY: aligned, and the caller vouches for the bytes.
                    return unsafe { (*pointer.cast::<$atomic>()).load(Ordering::Acquire) };
                }
                let mut bytes = [0; size_of::<$type>()];
                // SAFETY: the caller vouches for the bytes.
                unsafe { copy_out(NonNull::new_unchecked(pointer.cast_mut()), &mut bytes) };
                Self::from_le_bytes(bytes)
            }
            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            #[inline(always)]
            unsafe fn store(pointer: *mut u8, value: Self) {
                use core::sync::atomic::$atomic;
                if pointer.addr() % size_of::<$type>() == 0 {
                    // SAFETY: aligned, and the caller vouches for the bytes.
                    return unsafe { (*pointer.cast::<$atomic>()).store(value, Ordering::Release) };
                }
                // SAFETY: the caller vouches for the bytes.
                unsafe { copy_in(NonNull::new_unchecked(pointer), &value.to_le_bytes()) };
            }
        }
    };
}

width!(u8, i8, AtomicU8, "mov {0}, byte ptr [{1}]", "mov byte ptr [{0}], {1}", reg_byte);
width!(u16, i16, AtomicU16, "mov {0:x}, word ptr [{1}]", "mov word ptr [{0}], {1:x}", reg);
width!(u32, i32, AtomicU32, "mov {0:e}, dword ptr [{1}]", "mov dword ptr [{0}], {1:e}", reg);
width!(u64, i64, AtomicU64, "mov {0}, qword ptr [{1}]", "mov qword ptr [{0}], {1}", reg);

/// Sixteen bytes: on x86-64 one instruction, which processors with AVX execute in one piece where it is
/// aligned, as the architecture then promises of MOVAPS and its like (SDM, "Guaranteed Atomic
/// Operations"). Elsewhere two halves.
impl Width for u128 {
    const BYTES: usize = 16;

    #[inline(always)]
    fn truncate(value: u64) -> Self {
        u128::from(value)
    }
    #[inline(always)]
    fn extend(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn sign_extend(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn narrow(value: u128) -> Self {
        value
    }
    #[inline(always)]
    fn widen(self) -> u128 {
        self
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe fn compare_exchange(pointer: *mut u8, current: Self, new: Self) -> Result<Self, Self> {
        let (low, high): (u64, u64);
        // SAFETY: aligned, and the caller vouches for the bytes. RBX, which the compiler keeps for
        // itself, is exchanged in and out around the one instruction; the other operands name their
        // registers so that none of them is RBX. The only x86-64 processors without the instruction
        // are the first of 2003 to 2005.
        unsafe {
            core::arch::asm!(
                "xchg rsi, rbx",
                "lock cmpxchg16b [rdi]",
                "mov rbx, rsi",
                inout("rsi") new as u64 => _,
                in("rdi") pointer,
                in("rcx") (new >> 64) as u64,
                inout("rax") current as u64 => low,
                inout("rdx") (current >> 64) as u64 => high,
                options(nostack),
            );
        }
        let found = u128::from(low) | u128::from(high) << 64;
        if found == current { Ok(found) } else { Err(found) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    unsafe fn compare_exchange(pointer: *mut u8, current: Self, new: Self) -> Result<Self, Self> {
        // SAFETY: the caller vouches for the bytes.
        let found = unsafe { Self::load(pointer) };
        if found != current {
            return Err(found);
        }
        // SAFETY: the caller vouches for the bytes.
        unsafe { Self::store(pointer, new) };
        Ok(found)
    }
    unsafe fn fetch_add(pointer: *mut u8, addend: Self) -> Self {
        // SAFETY: the caller vouches for the bytes and the alignment.
        unsafe { fetch_update(pointer, |old: Self| old.wrapping_add(addend)) }
    }
    unsafe fn swap(pointer: *mut u8, new: Self) -> Self {
        // SAFETY: the caller vouches for the bytes and the alignment.
        unsafe { fetch_update(pointer, |_| new) }
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    unsafe fn load(pointer: *const u8) -> Self {
        let value: __m128i;
        // SAFETY: the caller vouches for the bytes; the instruction touches nothing else. Any bits are
        // an integer.
        unsafe {
            core::arch::asm!("movups {0}, [{1}]", out(xmm_reg) value, in(reg) pointer,
                options(nostack, preserves_flags, readonly));
            core::mem::transmute(value)
        }
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    unsafe fn store(pointer: *mut u8, value: Self) {
        // SAFETY: as for a load.
        unsafe {
            let value: __m128i = core::mem::transmute(value);
            core::arch::asm!("movups [{0}], {1}", in(reg) pointer, in(xmm_reg) value,
                options(nostack, preserves_flags));
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    #[inline(always)]
    unsafe fn load(pointer: *const u8) -> Self {
        // SAFETY: both halves are within the caller's sixteen bytes.
        unsafe { u128::from(u64::load(pointer)) | u128::from(u64::load(pointer.add(8))) << 64 }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    #[inline(always)]
    unsafe fn store(pointer: *mut u8, value: Self) {
        // SAFETY: both halves are within the caller's sixteen bytes.
        unsafe {
            u64::store(pointer, value as u64);
            u64::store(pointer.add(8), (value >> 64) as u64);
        }
    }
}

/// Copies host bytes into guest RAM, byte by byte atomically and in order.
///
/// # Safety
/// `bytes.len()` bytes at `pointer` are guest RAM that is mapped writable.
pub unsafe fn copy_in(pointer: NonNull<u8>, bytes: &[u8]) {
    for (index, &byte) in bytes.iter().enumerate() {
        // SAFETY: within the caller's bytes.
        unsafe { AtomicU8::from_ptr(pointer.as_ptr().add(index)).store(byte, Ordering::Release) };
    }
}

/// Copies guest RAM into host bytes, byte by byte atomically and in order.
///
/// # Safety
/// `bytes.len()` bytes at `pointer` are guest RAM that is mapped.
pub unsafe fn copy_out(pointer: NonNull<u8>, bytes: &mut [u8]) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        // SAFETY: within the caller's bytes.
        *byte = unsafe { AtomicU8::from_ptr(pointer.as_ptr().add(index)).load(Ordering::Acquire) };
    }
}

#[cfg(test)]
mod tests;
