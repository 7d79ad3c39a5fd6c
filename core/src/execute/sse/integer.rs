//! Integer arithmetic, comparisons and logic, element by element.

use super::super::mmx;
use super::handler::{frequent, operation};
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, rows};

rows! {
    Paddb => frequent::<Paddb> => mmx::operation::<Paddb>, Paddw => frequent::<Paddw> => mmx::operation::<Paddw>,
    Paddd => frequent::<Paddd> => mmx::operation::<Paddd>, Paddq => frequent::<Paddq> => mmx::operation::<Paddq>,
    Psubb => frequent::<Psubb> => mmx::operation::<Psubb>, Psubw => frequent::<Psubw> => mmx::operation::<Psubw>,
    Psubd => frequent::<Psubd> => mmx::operation::<Psubd>, Psubq => frequent::<Psubq> => mmx::operation::<Psubq>,
    Paddsb => operation::<Paddsb> => mmx::operation::<Paddsb>, Paddsw => operation::<Paddsw> => mmx::operation::<Paddsw>,
    Paddusb => operation::<Paddusb> => mmx::operation::<Paddusb>, Paddusw => operation::<Paddusw> => mmx::operation::<Paddusw>,
    Psubsb => operation::<Psubsb> => mmx::operation::<Psubsb>, Psubsw => operation::<Psubsw> => mmx::operation::<Psubsw>,
    Psubusb => operation::<Psubusb> => mmx::operation::<Psubusb>, Psubusw => operation::<Psubusw> => mmx::operation::<Psubusw>,
    Pmullw => operation::<Pmullw> => mmx::operation::<Pmullw>, Pmulhw => operation::<Pmulhw> => mmx::operation::<Pmulhw>,
    Pmulhuw => operation::<Pmulhuw> => mmx::operation::<Pmulhuw>, Pmuludq => frequent::<Pmuludq> => mmx::operation::<Pmuludq>,
    Pmaddwd => operation::<Pmaddwd> => mmx::operation::<Pmaddwd>, Psadbw => operation::<Psadbw> => mmx::operation::<Psadbw>,
    Pavgb => operation::<Pavgb> => mmx::operation::<Pavgb>, Pavgw => operation::<Pavgw> => mmx::operation::<Pavgw>,
    Pminub => frequent::<Pminub> => mmx::operation::<Pminub>, Pmaxub => operation::<Pmaxub> => mmx::operation::<Pmaxub>,
    Pminsw => operation::<Pminsw> => mmx::operation::<Pminsw>, Pmaxsw => operation::<Pmaxsw> => mmx::operation::<Pmaxsw>,
    Pcmpeqb => frequent::<Pcmpeqb> => mmx::operation::<Pcmpeqb>, Pcmpeqw => frequent::<Pcmpeqw> => mmx::operation::<Pcmpeqw>,
    Pcmpeqd => frequent::<Pcmpeqd> => mmx::operation::<Pcmpeqd>, Pcmpgtb => operation::<Pcmpgtb> => mmx::operation::<Pcmpgtb>,
    Pcmpgtw => operation::<Pcmpgtw> => mmx::operation::<Pcmpgtw>, Pcmpgtd => frequent::<Pcmpgtd> => mmx::operation::<Pcmpgtd>,
    Pand => frequent::<And> => mmx::operation::<And>, Andps => frequent::<And>, Andpd => frequent::<And>,
    Pandn => frequent::<AndNot> => mmx::operation::<AndNot>, Andnps => frequent::<AndNot>, Andnpd => frequent::<AndNot>,
    Por => frequent::<Or> => mmx::operation::<Or>, Orps => frequent::<Or>, Orpd => frequent::<Or>,
    Pxor => frequent::<Xor> => mmx::operation::<Xor>, Xorps => frequent::<Xor>, Xorpd => frequent::<Xor>,
}

/// Operations on each pair of elements, which are of one type.
macro_rules! by_element {
    ($($name:ident: [$element:ty; $count:literal], |$left:ident, $right:ident| $result:expr;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let left = <[$element; $count]>::of(destination);
                let right = <[$element; $count]>::of(source);
                let result: [$element; $count] = core::array::from_fn(|index| {
                    let ($left, $right) = (left[index], right[index]);
                    $result
                });
                result.vector()
            }
        })*
    };
}

by_element! {
    Paddb: [u8; 16], |left, right| left.wrapping_add(right);
    Paddw: [u16; 8], |left, right| left.wrapping_add(right);
    Paddd: [u32; 4], |left, right| left.wrapping_add(right);
    Paddq: [u64; 2], |left, right| left.wrapping_add(right);
    Psubb: [u8; 16], |left, right| left.wrapping_sub(right);
    Psubw: [u16; 8], |left, right| left.wrapping_sub(right);
    Psubd: [u32; 4], |left, right| left.wrapping_sub(right);
    Psubq: [u64; 2], |left, right| left.wrapping_sub(right);
    Paddsb: [i8; 16], |left, right| left.saturating_add(right);
    Paddsw: [i16; 8], |left, right| left.saturating_add(right);
    Paddusb: [u8; 16], |left, right| left.saturating_add(right);
    Paddusw: [u16; 8], |left, right| left.saturating_add(right);
    Psubsb: [i8; 16], |left, right| left.saturating_sub(right);
    Psubsw: [i16; 8], |left, right| left.saturating_sub(right);
    Psubusb: [u8; 16], |left, right| left.saturating_sub(right);
    Psubusw: [u16; 8], |left, right| left.saturating_sub(right);
    Pmullw: [u16; 8], |left, right| left.wrapping_mul(right);
    Pmulhw: [i16; 8], |left, right| ((i32::from(left) * i32::from(right)) >> 16) as i16;
    Pmulhuw: [u16; 8], |left, right| ((u32::from(left) * u32::from(right)) >> 16) as u16;
    Pmuludq: [u64; 2], |left, right| (left & 0xffff_ffff) * (right & 0xffff_ffff);
    Pavgb: [u8; 16], |left, right| (u16::from(left) + u16::from(right)).div_ceil(2) as u8;
    Pavgw: [u16; 8], |left, right| (u32::from(left) + u32::from(right)).div_ceil(2) as u16;
    Pminub: [u8; 16], |left, right| left.min(right);
    Pmaxub: [u8; 16], |left, right| left.max(right);
    Pminsw: [i16; 8], |left, right| left.min(right);
    Pmaxsw: [i16; 8], |left, right| left.max(right);
    Pcmpeqb: [i8; 16], |left, right| -i8::from(left == right);
    Pcmpeqw: [i16; 8], |left, right| -i16::from(left == right);
    Pcmpeqd: [i32; 4], |left, right| -i32::from(left == right);
    Pcmpgtb: [i8; 16], |left, right| -i8::from(left > right);
    Pcmpgtw: [i16; 8], |left, right| -i16::from(left > right);
    Pcmpgtd: [i32; 4], |left, right| -i32::from(left > right);
    And: [u64; 2], |left, right| left & right;
    AndNot: [u64; 2], |left, right| !left & right;
    Or: [u64; 2], |left, right| left | right;
    Xor: [u64; 2], |left, right| left ^ right;
}

/// PMADDWD: sums of neighbouring products.
pub(in crate::execute) struct Pmaddwd;

impl Operation for Pmaddwd {
    type Source = Aligned;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        let (left, right) = (<[i16; 8]>::of(destination), <[i16; 8]>::of(source));
        let product = |index: usize| i32::from(left[index]) * i32::from(right[index]);
        let sums: [i32; 4] =
            core::array::from_fn(|index| product(2 * index).wrapping_add(product(2 * index + 1)));
        sums.vector()
    }
}

/// PSADBW: sums of eight absolute differences.
pub(in crate::execute) struct Psadbw;

impl Operation for Psadbw {
    type Source = Aligned;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        let (left, right) = (<[u8; 16]>::of(destination), <[u8; 16]>::of(source));
        let difference = |index: usize| u64::from(left[index].abs_diff(right[index]));
        [(0..8).map(difference).sum::<u64>(), (8..16).map(difference).sum()].vector()
    }
}
