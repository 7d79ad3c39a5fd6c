//! The top bits of elements gathered in a general register: PMOVMSKB, MOVMSKPS, MOVMSKPD.

use super::super::mmx;
use super::handler::into_general;
use super::vector::{Lanes, Unaligned, Vector};
use super::{ToGeneral, rows};

rows! {
    Pmovmskb => into_general::<Pmovmskb> => |e| mmx::into_general::<Pmovmskb>(e, 1),
    Movmskps => into_general::<Movmskps>,
    Movmskpd => into_general::<Movmskpd>,
}

macro_rules! signs {
    ($($name:ident: $instruction:literal, [$element:ty; $count:literal];)*) => {
        $(pub(in crate::execute) struct $name;
        impl ToGeneral for $name {
            type Source = Unaligned;
            type Width = u32;
            const FLOATS: bool = false;

            fn compute(_: &mut u32, source: Vector, _: u8) -> u64 {
                let elements = <[$element; $count]>::of(source);
                elements.iter().rev().fold(0, |signs, element| signs << 1 | u64::from(*element < 0))
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, source: Vector, _: u8) -> u64 {
                let signs: u64;
                // SAFETY: the instruction touches its operands alone.
                unsafe {
                    core::arch::asm!(concat!($instruction, " {0:e}, {1}"), lateout(reg) signs,
                        in(xmm_reg) source, options(pure, nomem, nostack, preserves_flags));
                }
                signs
            }
        })*
    };
}

signs! {
    Pmovmskb: "pmovmskb", [i8; 16];
    Movmskps: "movmskps", [i32; 4];
    Movmskpd: "movmskpd", [i64; 2];
}
