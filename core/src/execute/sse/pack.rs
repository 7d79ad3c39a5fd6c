//! Packing of elements to half their width with saturation, and unpacking: interleaving the
//! elements of two registers.

use super::super::mmx;
use super::handler::{frequent, operation};
use super::vector::{Aligned, Lanes, Low32, Vector};
use super::{Operation, rows};

rows! {
    Packsswb => operation::<Packsswb> => mmx::operation::<mmx::Joined<Packsswb>>,
    Packssdw => operation::<Packssdw> => mmx::operation::<mmx::Joined<Packssdw>>,
    Packuswb => operation::<Packuswb> => mmx::operation::<mmx::Joined<Packuswb>>,
    Punpcklbw => frequent::<Punpcklbw> => mmx::operation_of::<Punpcklbw, Low32>,
    Punpcklwd => frequent::<Punpcklwd> => mmx::operation_of::<Punpcklwd, Low32>,
    Punpckldq => frequent::<Punpckldq> => mmx::operation_of::<Punpckldq, Low32>,
    Punpcklqdq => frequent::<Punpcklqdq>,
    Punpckhbw => operation::<Punpckhbw> => mmx::operation::<mmx::HighHalf<Punpcklbw>>,
    Punpckhwd => operation::<Punpckhwd> => mmx::operation::<mmx::HighHalf<Punpcklwd>>,
    Punpckhdq => operation::<Punpckhdq> => mmx::operation::<mmx::HighHalf<Punpckldq>>,
    Punpckhqdq => operation::<Punpckhqdq>,
    Unpcklps => frequent::<Punpckldq>,
    Unpcklpd => frequent::<Punpcklqdq>,
    Unpckhps => operation::<Punpckhdq>,
    Unpckhpd => operation::<Punpckhqdq>,
}

macro_rules! packs {
    ($($name:ident: [$from:ty; $count:literal] => [$to:ty; $twice:literal] as $bits:ty;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let (low, high) = (<[$from; $count]>::of(destination), <[$from; $count]>::of(source));
                let narrow = |element: $from| {
                    element.clamp(<$to>::MIN as $from, <$to>::MAX as $from) as $bits
                };
                let elements: [$bits; $twice] = core::array::from_fn(|index| match index < $count {
                    true => narrow(low[index]),
                    false => narrow(high[index - $count]),
                });
                elements.vector()
            }
        })*
    };
}

packs! {
    Packsswb: [i16; 8] => [i8; 16] as u8;
    Packuswb: [i16; 8] => [u8; 16] as u8;
    Packssdw: [i32; 4] => [i16; 8] as u16;
}

macro_rules! unpacks {
    ($($name:ident: [$element:ty; $count:literal] from $first:literal;)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let even = <[$element; $count]>::of(destination);
                let odd = <[$element; $count]>::of(source);
                let elements: [$element; $count] = core::array::from_fn(|index| {
                    let from = if index % 2 == 0 { &even } else { &odd };
                    from[$first + index / 2]
                });
                elements.vector()
            }
        })*
    };
}

unpacks! {
    Punpcklbw: [u8; 16] from 0;
    Punpcklwd: [u16; 8] from 0;
    Punpckldq: [u32; 4] from 0;
    Punpcklqdq: [u64; 2] from 0;
    Punpckhbw: [u8; 16] from 8;
    Punpckhwd: [u16; 8] from 4;
    Punpckhdq: [u32; 4] from 2;
    Punpckhqdq: [u64; 2] from 1;
}
