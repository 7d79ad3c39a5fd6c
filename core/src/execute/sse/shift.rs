//! Shifts of elements by one count, and of whole registers by bytes.
//!
//! The count is an immediate or the low 64 bits of the source; one beyond the width shifts all bits
//! out.

use core::marker::PhantomData;

use super::super::emit::Emit;
use super::handler::operation;
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, rows};

rows! {
    Psllw => shift::<Psllw>, Pslld => shift::<Pslld>, Psllq => shift::<Psllq>,
    Psrlw => shift::<Psrlw>, Psrld => shift::<Psrld>, Psrlq => shift::<Psrlq>,
    Psraw => shift::<Psraw>, Psrad => shift::<Psrad>,
    Pslldq => operation::<Pslldq>, Psrldq => operation::<Psrldq>,
}

fn shift<S: Shift>(emit: &mut Emit) -> Option<()> {
    match emit.is_immediate(1) {
        true => operation::<ByImmediate<S>>(emit),
        false => operation::<BySource<S>>(emit),
    }
}

trait Shift: 'static {
    fn shift(vector: Vector, count: u64) -> Vector;
}

struct ByImmediate<S>(PhantomData<S>);
struct BySource<S>(PhantomData<S>);

impl<S: Shift> Operation for ByImmediate<S> {
    type Source = Aligned;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, _: Vector, immediate: u8) -> Vector {
        S::shift(destination, immediate.into())
    }
}

impl<S: Shift> Operation for BySource<S> {
    type Source = Aligned;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        S::shift(destination, <[u64; 2]>::of(source)[0])
    }
}

macro_rules! shifts {
    ($($name:ident: [$element:ty; $count:literal], |$value:ident, $by:ident| $result:expr, $beyond:expr;)*) => {
        $(struct $name;
        impl Shift for $name {
            #[inline(always)]
            fn shift(vector: Vector, count: u64) -> Vector {
                let elements = <[$element; $count]>::of(vector);
                match count < u64::from(<$element>::BITS) {
                    true => {
                        let $by = count as u32;
                        elements.map(|$value| $result).vector()
                    }
                    false => elements.map(|$value| $beyond).vector(),
                }
            }
        })*
    };
}

shifts! {
    Psllw: [u16; 8], |value, by| value << by, value & 0;
    Pslld: [u32; 4], |value, by| value << by, value & 0;
    Psllq: [u64; 2], |value, by| value << by, value & 0;
    Psrlw: [u16; 8], |value, by| value >> by, value & 0;
    Psrld: [u32; 4], |value, by| value >> by, value & 0;
    Psrlq: [u64; 2], |value, by| value >> by, value & 0;
    Psraw: [i16; 8], |value, by| value >> by, value >> 15;
    Psrad: [i32; 4], |value, by| value >> by, value >> 31;
}

macro_rules! byte_shifts {
    ($($name:ident: |$value:ident, $bits:ident| $result:expr;)*) => {
        $(struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, _: Vector, immediate: u8) -> Vector {
                let ($value, $bits) = (u128::of(destination), u32::from(immediate) * 8);
                $result.unwrap_or(0).vector()
            }
        })*
    };
}

byte_shifts! {
    Pslldq: |value, bits| value.checked_shl(bits);
    Psrldq: |value, bits| value.checked_shr(bits);
}
