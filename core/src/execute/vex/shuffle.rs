//! Shuffles within each half: by an immediate, by a vector of places, and of bytes; and blends.

use super::super::emit::Emit;
use super::super::host_vector::HostVector;
use super::super::sse::Operation;
use super::super::sse::shuffle::{Pshufhw, Pshuflw, Shufpd};
use super::super::sse::sse3::{Movddup, Movshdup, Movsldup};
use super::super::sse::sse4_1::blend::{Blendpd, Blendps, Blendvpd, Blendvps, Pblendvb, Pblendw};
use super::super::sse::ssse3::{Palignr, Pshufb};
use super::super::sse::vector::{Aligned, Lanes, Vector};
use super::handler::{lanes, lanes_by_bits, with_fourth};
use super::rows;

rows! {
    Vmovddup => lanes::<Movddup>, Vmovshdup => lanes::<Movshdup>, Vmovsldup => lanes::<Movsldup>,
    Vpblendvb => with_fourth::<Pblendvb>,
    Vblendvps => with_fourth::<Blendvps>, Vblendvpd => with_fourth::<Blendvpd>,
    Vpblendw => lanes::<Pblendw>, Vpblendd => lanes_by_bits::<Blendps, 4>,
    Vblendps => lanes_by_bits::<Blendps, 4>, Vblendpd => lanes_by_bits::<Blendpd, 2>,
    Vpshufb => lanes::<Pshufb>,
    Vpalignr => lanes::<Palignr>,
    Vpshufd => lanes::<Singles>,
    Vpshuflw => lanes::<Pshuflw>,
    Vpshufhw => lanes::<Pshufhw>,
    Vshufps => lanes::<Vshufps>,
    Vshufpd => lanes_by_bits::<Shufpd, 2>,
    Vpermilps => |e| permute::<Singles, VariableSingles>(e, lanes::<Singles>),
    Vpermilpd => |e| permute::<Doubles, VariableDoubles>(e, lanes_by_bits::<Doubles, 2>),
}

/// VPERMIL: by an immediate or by a vector.
fn permute<I: Operation, V: Operation>(emit: &mut Emit, by_immediate: super::EmitFn) -> Option<()> {
    if emit.is_immediate(2) { by_immediate(emit) } else { lanes::<V>(emit) }
}

/// The places that two bits of an immediate name, as VPERMILPS wants them in a vector.
static PLACES: [[u32; 4]; 256] = {
    let mut places = [[0; 4]; 256];
    let mut immediate = 0;
    while immediate < places.len() {
        let mut place = 0;
        while place < 4 {
            places[immediate][place] = (immediate >> (2 * place) & 3) as u32;
            place += 1;
        }
        immediate += 1;
    }
    places
};

/// The element that each place of `places` names.
#[inline(always)]
fn select(elements: [u32; 4], places: [u32; 4]) -> [u32; 4] {
    places.map(|place| elements[place as usize & 3])
}

macro_rules! shuffles {
    ($($(#[$doc:meta])* $name:ident: $native:expr, |$left:ident, $right:ident, $immediate:ident| $result:expr;)*) => {
        $($(#[$doc])*
        pub(super) struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            const NEEDS: HostVector = HostVector::AVX;

            #[inline(always)]
            fn compute(_: &mut u32, $left: Vector, $right: Vector, $immediate: u8) -> Vector {
                $result
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, left: Vector, right: Vector, immediate: u8) -> Vector {
                let native: fn(Vector, Vector, u8) -> Vector = $native;
                native(left, right, immediate)
            }
        })*
    };
}

/// VPERMILPS of the host.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn permute_singles(vector: Vector, places: Vector) -> Vector {
    super::super::sse::pure!("vpermilps {0}, {0}, {1}", vector, places)
}

shuffles! {
    /// VPSHUFD and VPERMILPS by an immediate.
    Singles: |_, right, immediate| permute_singles(right, PLACES[usize::from(immediate)].vector()),
        |_left, right, immediate| select(Lanes::of(right), PLACES[usize::from(immediate)]).vector();
    /// VPERMILPD by an immediate.
    Doubles: |_, right, immediate| permute_doubles(right, immediate),
        |_left, right, immediate| permute_doubles(right, immediate);
    /// VPERMILPS by a vector.
    VariableSingles: |left, right, _| permute_singles(left, right),
        |left, right, _immediate| select(Lanes::of(left), Lanes::of(right)).vector();
    /// VPERMILPD by a vector, which has a place in bit 1 of each element.
    VariableDoubles: |left, right, _| {
        super::super::sse::pure!("vpermilpd {0}, {0}, {1}", left, right)
    }, |left, right, _immediate| {
        let [low, high] = <[u64; 2]>::of(right);
        permute_doubles(left, (low >> 1 & 1 | high & 2) as u8)
    };
    /// VSHUFPS: two elements of the left operand, then two of the right one.
    Vshufps: |left, right, immediate| {
        let places = PLACES[usize::from(immediate)].vector();
        let (left, right) = (permute_singles(left, places), permute_singles(right, places));
        // The low half of one and the high half of the other.
        super::super::sse::pure!("vshufpd {0}, {0}, {1}, 2", left, right)
    }, |left, right, immediate| {
        let places = PLACES[usize::from(immediate)];
        let [a, b, ..] = select(Lanes::of(left), places);
        let [_, _, c, d] = select(Lanes::of(right), places);
        [a, b, c, d].vector()
    };
}

#[inline(always)]
fn permute_doubles(vector: Vector, places: u8) -> Vector {
    let doubles = <[u64; 2]>::of(vector);
    [doubles[usize::from(places & 1)], doubles[usize::from(places >> 1 & 1)]].vector()
}
