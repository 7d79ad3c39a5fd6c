//! Shifts of elements by one count, and of whole registers by bytes.
//!
//! The count is an immediate or the low 64 bits of the source; one beyond the width shifts all bits
//! out.

use core::marker::PhantomData;

use super::super::emit::Emit;
use super::super::mmx;
use super::handler::operation;
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, rows};

rows! {
    Psllw => shift::<Psllw> => mmx_shift::<Psllw>, Pslld => shift::<Pslld> => mmx_shift::<Pslld>, Psllq => shift::<Psllq> => mmx_shift::<Psllq>,
    Psrlw => shift::<Psrlw> => mmx_shift::<Psrlw>, Psrld => shift::<Psrld> => mmx_shift::<Psrld>, Psrlq => shift::<Psrlq> => mmx_shift::<Psrlq>,
    Psraw => shift::<Psraw> => mmx_shift::<Psraw>, Psrad => shift::<Psrad> => mmx_shift::<Psrad>,
    Pslldq => operation::<Pslldq>, Psrldq => operation::<Psrldq>,
}

fn shift<S: Shift>(emit: &mut Emit) -> Option<()> {
    match emit.is_immediate(1) {
        true => operation::<ByImmediate<S>>(emit),
        false => operation::<BySource<S>>(emit),
    }
}

fn mmx_shift<S: Shift>(emit: &mut Emit) -> Option<()> {
    match emit.is_immediate(1) {
        true => mmx::operation::<ByImmediate<S>>(emit),
        false => mmx::operation::<BySource<S>>(emit),
    }
}

pub(in crate::execute) trait Shift: 'static {
    fn shift(vector: Vector, count: u64) -> Vector;

    /// The same by the host's means; the count is the low half of a vector.
    #[inline(always)]
    fn by_vector(vector: Vector, count: Vector) -> Vector {
        Self::shift(vector, <[u64; 2]>::of(count)[0])
    }
}

pub(in crate::execute) struct ByImmediate<S>(PhantomData<S>);
pub(in crate::execute) struct BySource<S>(PhantomData<S>);

impl<S: Shift> Operation for ByImmediate<S> {
    type Source = Aligned;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, _: Vector, immediate: u8) -> Vector {
        S::shift(destination, immediate.into())
    }
    #[inline(always)]
    fn apply(_: &mut u32, destination: Vector, _: Vector, immediate: u8) -> Vector {
        S::by_vector(destination, u128::from(immediate).vector())
    }
}

impl<S: Shift> Operation for BySource<S> {
    type Source = Aligned;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        S::shift(destination, <[u64; 2]>::of(source)[0])
    }
    #[inline(always)]
    fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        S::by_vector(destination, source)
    }
}

macro_rules! shifts {
    ($($name:ident: $instruction:literal, [$element:ty; $count:literal], |$value:ident, $by:ident| $result:expr;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Shift for $name {
            #[inline(always)]
            fn shift(vector: Vector, count: u64) -> Vector {
                let $by = count.min(64) as u32;
                <[$element; $count]>::of(vector).map(|$value| $result).vector()
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn by_vector(vector: Vector, count: Vector) -> Vector {
                let mut result = vector;
                // SAFETY: the instruction touches its operands alone.
                unsafe {
                    core::arch::asm!(concat!($instruction, " {0}, {1}"), inout(xmm_reg) result,
                        in(xmm_reg) count, options(pure, nomem, nostack, preserves_flags));
                }
                result
            }
        })*
    };
}

shifts! {
    Psllw: "psllw", [u16; 8], |value, by| value.checked_shl(by).unwrap_or(0);
    Pslld: "pslld", [u32; 4], |value, by| value.checked_shl(by).unwrap_or(0);
    Psllq: "psllq", [u64; 2], |value, by| value.checked_shl(by).unwrap_or(0);
    Psrlw: "psrlw", [u16; 8], |value, by| value.checked_shr(by).unwrap_or(0);
    Psrld: "psrld", [u32; 4], |value, by| value.checked_shr(by).unwrap_or(0);
    Psrlq: "psrlq", [u64; 2], |value, by| value.checked_shr(by).unwrap_or(0);
    Psraw: "psraw", [i16; 8], |value, by| value >> by.min(15);
    Psrad: "psrad", [i32; 4], |value, by| value >> by.min(31);
}

/// Shifts of the whole register, in halves: what stays within a half, and what goes to the other
/// one by less or by more than its width.
macro_rules! byte_shifts {
    ($($name:ident: $shift:ident, $back:ident, $from:literal, $to:literal;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, _: Vector, immediate: u8) -> Vector {
                let halves = <[u64; 2]>::of(destination);
                let by = 8 * u32::from(immediate);
                let within = halves.map(|half| half.$shift(by).unwrap_or(0));
                let across = halves[$from].$back(64_u32.wrapping_sub(by)).unwrap_or(0)
                    | halves[$from].$shift(by.wrapping_sub(64)).unwrap_or(0);
                let mut result = within;
                result[$to] |= across;
                result.vector()
            }
        })*
    };
}

byte_shifts! {
    Pslldq: checked_shl, checked_shr, 0, 1;
    Psrldq: checked_shr, checked_shl, 1, 0;
}
