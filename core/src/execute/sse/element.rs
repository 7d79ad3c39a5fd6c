//! Single elements in and out of vectors, by an immediate: PEXTR, PINSR, EXTRACTPS, INSERTPS.

use super::super::emit::Emit;
use super::super::mmx;
use super::super::op::Detail;
use super::super::{Cpu, Leave};
use super::handler::{into_general, operation, out_of_general};
use super::vector::{Lanes, Low8, Low16, Low32, Low64, Unaligned, Vector};
use super::{FromGeneral, Operation, ToGeneral, rows};
use crate::memory::Width;

rows! {
    Pextrb => extract::<Byte, u8>,
    Pextrw => extract::<Word, u16> => |e| mmx::into_general::<Word>(e, 4),
    Pextrd => extract::<Doubleword, u32>,
    Pextrq => extract::<Quadword, u64>,
    Extractps => extract::<Doubleword, u32>,
    Pinsrb => out_of_general::<Byte>,
    Pinsrw => out_of_general::<Word> => |e| mmx::out_of_general::<Word>(e, 4),
    Pinsrd => out_of_general::<Doubleword>,
    Pinsrq => out_of_general::<Quadword>,
    Insertps => insert_single,
}

/// The elements of one width. The immediate names one of them; its upper bits are ignored.
macro_rules! elements {
    ($($name:ident: [$element:ty; $count:literal], $register:ty, $memory:ty;)*) => {
        $(pub(in crate::execute) struct $name;

        impl ToGeneral for $name {
            type Source = Unaligned;
            type Width = $register;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, source: Vector, immediate: u8) -> u64 {
                <[$element; $count]>::of(source)[usize::from(immediate) % $count].into()
            }
        }

        impl FromGeneral for $name {
            type Source = $memory;
            type Width = $register;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: u64, immediate: u8) -> Vector {
                let mut elements = <[$element; $count]>::of(destination);
                elements[usize::from(immediate) % $count] = source as $element;
                elements.vector()
            }
        })*
    };
}

elements! {
    Byte: [u8; 16], u32, Low8;
    Word: [u16; 8], u32, Low16;
    Doubleword: [u32; 4], u32, Low32;
    Quadword: [u64; 2], u64, Low64;
}

/// An element to a general register, zero-extended, or to memory of its width.
pub(in crate::execute) fn extract<O: ToGeneral, M: Width>(emit: &mut Emit) -> Option<()> {
    if !emit.is_memory(0) {
        return into_general::<O>(emit);
    }
    emit.call_out(store_element::<O, M>);
    Some(())
}

fn store_element<O: ToGeneral, M: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let source = cpu.vector(detail.registers[1]);
    let element = O::compute(&mut 0, source, detail.immediate as u8);
    cpu.write_memory(detail, M::truncate(element))
}

/// INSERTPS: a single of the source, which bits 6 and 7 of the immediate name, goes to the place that
/// bits 4 and 5 name; bits 0 to 3 clear places.
pub(in crate::execute) struct Insertps;

impl Operation for Insertps {
    type Source = Low32;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        let (mut singles, source) = (<[u32; 4]>::of(destination), <[u32; 4]>::of(source));
        let immediate = usize::from(immediate);
        singles[immediate >> 4 & 3] = source[immediate >> 6];
        let kept: [u32; 4] =
            core::array::from_fn(
                |place| if immediate >> place & 1 != 0 { 0 } else { singles[place] },
            );
        kept.vector()
    }
}

/// INSERTPS of a single in memory, of which there is but one.
pub(in crate::execute) struct InsertpsFromMemory;

impl Operation for InsertpsFromMemory {
    type Source = Low32;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        Insertps::compute(mxcsr, destination, source, immediate & 0x3f)
    }
}

fn insert_single(emit: &mut Emit) -> Option<()> {
    match emit.is_memory(1) {
        true => operation::<InsertpsFromMemory>(emit),
        false => operation::<Insertps>(emit),
    }
}
