//! 128-bit values: how handlers hold them, where the XMM registers are, and how operands in memory
//! become them.
//!
//! On x86-64 hosts a value lives in a host vector register, and a register of the guest is read and
//! written in one access: a 16-byte load behind two 8-byte stores would wait for both.
//!
//! Invariant: a vector register number is one that the emitter has checked: 0 to 15, [`SCRATCH`], or
//! eight from [`MM`] on; or [`UPPER`] more than one of the first two, which is the upper half of that YMM
//! register.

use core::mem::offset_of;

use super::super::Cpu;
use crate::memory::Width;
use crate::state::{CpuState, Fpu};

/// 128 bits.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) type Vector = core::arch::x86_64::__m128i;
/// 128 bits.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) type Vector = u128;

/// The elements of a vector, the first in the lowest bits.
pub(in crate::execute) trait Lanes: Copy {
    /// The elements of `vector`.
    fn of(vector: Vector) -> Self;
    /// The vector of these elements.
    fn vector(self) -> Vector;
}

macro_rules! lanes {
    ($($type:ty),*) => {
        $(
        #[allow(unnecessary_transmutes, reason = "where vectors are `u128`, some have another name")]
        impl Lanes for $type {
            #[inline(always)]
            fn of(vector: Vector) -> Self {
                // SAFETY: both are 16 bytes of plain data; hosts are little-endian, as guests are.
                unsafe { core::mem::transmute::<Vector, Self>(vector) }
            }
            #[inline(always)]
            fn vector(self) -> Vector {
                // SAFETY: as above.
                unsafe { core::mem::transmute::<Self, Vector>(self) }
            }
        })*
    };
}

lanes!(u128, [u8; 16], [i8; 16], [u16; 8], [i16; 8], [u32; 4], [i32; 4], [u64; 2], [i64; 2]);

const XMM: usize = offset_of!(Cpu, state) + offset_of!(CpuState, fpu) + offset_of!(Fpu, xmm);
const SCRATCH_DISTANCE: usize = offset_of!(Cpu, scratch_vectors) - XMM;
/// The number of the vector register that no guest sees: it takes an operand from memory to the op
/// that works on it.
pub(in crate::execute) const SCRATCH: u8 = (SCRATCH_DISTANCE / 16) as u8;

/// The number of the first x87 register, which is where MM0 is for MMX instructions.
pub(in crate::execute) const MM: u8 = ((offset_of!(Fpu, st) - offset_of!(Fpu, xmm)) / 16) as u8;
/// From the number of a register to that of its upper half, as if it were one of its own.
pub(in crate::execute) const UPPER: u8 = 16;
const XMM_UPPER: usize = XMM + UPPER as usize * 16;

const _: () = assert!(
    XMM.is_multiple_of(16)
        && SCRATCH_DISTANCE.is_multiple_of(16)
        && SCRATCH_DISTANCE < (256 - UPPER as usize) * 16
        && offset_of!(Fpu, ymm_high) - offset_of!(Fpu, xmm) == UPPER as usize * 16
);

impl Cpu {
    /// Vector register `number`.
    #[inline(always)]
    pub(in crate::execute) fn vector(&self, number: u8) -> Vector {
        let base = core::ptr::from_ref(self).cast::<u8>();
        // SAFETY: the scratch register, whose upper half has the highest number, is within the
        // value, and so are those in front of it.
        unsafe { base.add(XMM + usize::from(number) * 16).cast::<Vector>().read() }
    }

    /// Where vector register 0 is; each is 16 bytes behind the one before.
    #[inline(always)]
    pub(in crate::execute) fn vectors(&self) -> *const u8 {
        self.state.fpu.xmm.as_ptr().cast()
    }

    /// Writes vector register `number`.
    #[inline(always)]
    pub(in crate::execute) fn set_vector(&mut self, number: u8, value: Vector) {
        let vector = number < 2 * UPPER || number == SCRATCH || number == SCRATCH + UPPER;
        debug_assert!(vector || (MM..MM + 8).contains(&number));
        let base = core::ptr::from_mut(self).cast::<u8>();
        // SAFETY: as in `vector`; the emitter names no other number.
        unsafe { base.add(XMM + usize::from(number) * 16).cast::<Vector>().write(value) }
    }

    /// The upper half of vector register `number`.
    #[inline(always)]
    pub(in crate::execute) fn upper(&self, number: u8) -> Vector {
        let base = core::ptr::from_ref(self).cast::<u8>();
        // SAFETY: as in `vector`; the upper half is at a constant distance.
        unsafe { base.add(XMM_UPPER + usize::from(number) * 16).cast::<Vector>().read() }
    }

    /// Writes the upper half of vector register `number`.
    #[inline(always)]
    pub(in crate::execute) fn set_upper(&mut self, number: u8, value: Vector) {
        debug_assert!(number < UPPER || number == SCRATCH);
        let base = core::ptr::from_mut(self).cast::<u8>();
        // SAFETY: as in `upper`; the emitter names no other number.
        unsafe { base.add(XMM_UPPER + usize::from(number) * 16).cast::<Vector>().write(value) }
    }
}

/// A file of registers that ops on vectors know by their numbers.
pub(in crate::execute) trait Registers: 'static {
    /// What comes before the first of an instruction is touched.
    #[inline(always)]
    fn enter(_: &mut Cpu) {}

    /// Register `number`.
    fn get(cpu: &Cpu, number: u8) -> Vector;

    /// Writes register `number`.
    fn set(cpu: &mut Cpu, number: u8, value: Vector);
}

/// The low halves of the YMM registers; a write leaves the upper ones.
pub(in crate::execute) struct Xmm;

impl Registers for Xmm {
    #[inline(always)]
    fn get(cpu: &Cpu, number: u8) -> Vector {
        cpu.vector(number)
    }

    #[inline(always)]
    fn set(cpu: &mut Cpu, number: u8, value: Vector) {
        cpu.set_vector(number, value);
    }
}

/// How an operand in memory becomes a vector.
pub(in crate::execute) trait Load: 'static {
    /// What is read.
    type Memory: Width;
    /// Whether an address that is no multiple of 16 raises #GP(0).
    const ALIGNED: bool = false;

    /// The vector, given what the destination holds.
    ///
    /// # Safety
    /// As for [`Width::load`].
    unsafe fn load(pointer: *const u8, old: Vector) -> Vector;
}

/// How a vector goes to memory.
pub(in crate::execute) trait Store: 'static {
    /// What is written.
    type Memory: Width;
    /// Whether an address that is no multiple of 16 raises #GP(0).
    const ALIGNED: bool = false;

    /// # Safety
    /// As for [`Width::store`].
    unsafe fn store(pointer: *mut u8, value: Vector);
}

/// All 16 bytes, aligned.
pub(in crate::execute) struct Aligned;
/// All 16 bytes, at any address.
pub(in crate::execute) struct Unaligned;
/// The low byte; a load clears the others.
pub(in crate::execute) struct Low8;
/// The low 2 bytes; a load clears the others.
pub(in crate::execute) struct Low16;
/// The low 4 bytes; a load clears the others.
pub(in crate::execute) struct Low32;
/// The low 8 bytes; a load clears the others.
pub(in crate::execute) struct Low64;
/// 4 bytes, which a load copies to all elements.
pub(in crate::execute) struct Broadcast32;
/// 8 bytes, which a load copies to both elements.
pub(in crate::execute) struct Broadcast64;
/// The low 8 bytes; a load keeps the others.
pub(in crate::execute) struct MergeLow64;
/// The high 8 bytes; a load keeps the others.
pub(in crate::execute) struct High64;

macro_rules! load {
    ($form:ident: $width:ty, $aligned:literal, $native:literal, |$value:ident| $vector:expr) => {
        load!(@ $form: $width, $aligned, lateout, $native, |$value, _old| $vector);
    };
    ($form:ident: $width:ty, $aligned:literal, $native:literal, |$value:ident, $old:ident| $vector:expr) => {
        load!(@ $form: $width, $aligned, inout, $native, |$value, $old| $vector);
    };
    (@ native lateout, $native:literal, $pointer:ident, $old:ident) => {{
        let value: Vector;
        // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
        unsafe {
            core::arch::asm!($native, lateout(xmm_reg) value, in(reg) $pointer,
                options(nostack, preserves_flags, readonly));
        }
        value
    }};
    (@ native inout, $native:literal, $pointer:ident, $old:ident) => {{
        let mut value = $old;
        // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
        unsafe {
            core::arch::asm!($native, inout(xmm_reg) value, in(reg) $pointer,
                options(nostack, preserves_flags, readonly));
        }
        value
    }};
    (@ $form:ident: $width:ty, $aligned:literal, $direction:ident, $native:literal, |$value:ident, $old:ident| $vector:expr) => {
        impl Load for $form {
            type Memory = $width;
            const ALIGNED: bool = $aligned;

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            unsafe fn load(pointer: *const u8, $old: Vector) -> Vector {
                load!(@ native $direction, $native, pointer, $old)
            }

            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            #[inline(always)]
            unsafe fn load(pointer: *const u8, $old: Vector) -> Vector {
                // SAFETY: the caller vouches for the bytes.
                let $value = unsafe { <$width>::load(pointer) };
                $vector
            }
        }
    };
}

macro_rules! store {
    ($form:ident: $width:ty, $aligned:literal, $native:literal, |$value:ident| $part:expr) => {
        impl Store for $form {
            type Memory = $width;
            const ALIGNED: bool = $aligned;

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            unsafe fn store(pointer: *mut u8, value: Vector) {
                // SAFETY: the caller vouches for the bytes; the instruction touches nothing else.
                unsafe {
                    core::arch::asm!($native, in(xmm_reg) value, in(reg) pointer,
                        options(nostack, preserves_flags));
                }
            }

            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            #[inline(always)]
            unsafe fn store(pointer: *mut u8, $value: Vector) {
                // SAFETY: the caller vouches for the bytes.
                unsafe { <$width>::store(pointer, $part) };
            }
        }
    };
}

// One instruction of the host's, because guests may rely on sixteen aligned bytes being moved in one
// piece; MOVUPS, because a bounce buffer in place of the operand need not be aligned.
load!(Aligned: u128, true, "movups {0}, [{1}]", |value| value);
load!(Unaligned: u128, false, "movups {0}, [{1}]", |value| value);
load!(Low16: u16, false, "pxor {0}, {0}\npinsrw {0}, word ptr [{1}], 0", |value| u128::from(value).vector());
load!(Low32: u32, false, "movss {0}, dword ptr [{1}]", |value| value.into());
load!(Low64: u64, false, "movsd {0}, qword ptr [{1}]", |value| value.into());
load!(Broadcast32: u32, false, "movss {0}, dword ptr [{1}]\nshufps {0}, {0}, 0", |value| [value; 4].vector());
load!(Broadcast64: u64, false, "movsd {0}, qword ptr [{1}]\nunpcklpd {0}, {0}", |value| [value; 2].vector());
load!(MergeLow64: u64, false, "movlps {0}, qword ptr [{1}]", |value, old| {
    let [_, high] = Lanes::of(old);
    [value, high].vector()
});
load!(High64: u64, false, "movhps {0}, qword ptr [{1}]", |value, old| {
    let [low, _] = Lanes::of(old);
    [low, value].vector()
});

impl Load for Low8 {
    type Memory = u8;

    #[inline(always)]
    unsafe fn load(pointer: *const u8, _: Vector) -> Vector {
        // SAFETY: the caller vouches for the byte.
        u128::from(unsafe { u8::load(pointer) }).vector()
    }
}

store!(Aligned: u128, true, "movups [{1}], {0}", |value| value);
store!(Unaligned: u128, false, "movups [{1}], {0}", |value| value);
store!(Low32: u32, false, "movss dword ptr [{1}], {0}", |value| value as u32);
store!(Low64: u64, false, "movsd qword ptr [{1}], {0}", |value| value as u64);
store!(High64: u64, false, "movhps qword ptr [{1}], {0}", |value| (value >> 64) as u64);
