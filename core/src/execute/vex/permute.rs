//! What moves halves and elements across halves: VPERM2F128, VINSERTF128, VEXTRACTF128 and their integer
//! names, VPERMQ, VPERMPD, VPERMD, VPERMPS.

use super::super::emit::{Emit, by_form};
use super::super::sse::vector::{Lanes, UPPER, Unaligned, Vector};
use super::handler::{lifted, parts, store, whole};
use super::{Length, Lift, Wide, Xmm, rows, zero};

rows! {
    Vperm2f128 => |e| lifted::<Halves>(e, const { &whole::<Unaligned>() }),
    Vperm2i128 => |e| lifted::<Halves>(e, const { &whole::<Unaligned>() }),
    Vinsertf128 => |e| lifted::<Insert>(e, const { &parts::<Unaligned, Unaligned>() }),
    Vinserti128 => |e| lifted::<Insert>(e, const { &parts::<Unaligned, Unaligned>() }),
    Vextractf128 => extract,
    Vextracti128 => extract,
    Vpermq => |e| lifted::<Quadwords>(e, const { &whole::<Unaligned>() }),
    Vpermpd => |e| lifted::<Quadwords>(e, const { &whole::<Unaligned>() }),
    Vpermd => |e| lifted::<Doublewords>(e, const { &whole::<Unaligned>() }),
    Vpermps => |e| lifted::<Doublewords>(e, const { &whole::<Unaligned>() }),
}

/// VEXTRACTF128: half of a register to another or to memory.
fn extract(emit: &mut Emit) -> Option<()> {
    if !emit.is_memory(0) {
        return lifted::<Extract>(emit, const { &whole::<Unaligned>() });
    }
    let upper = emit.immediate(2) & 1 != 0;
    let half = emit.register(1) + if upper { UPPER } else { 0 };
    emit.memory_op(&const { by_form!(A => store::<Unaligned, A, Xmm>) }, half, None);
    Some(())
}

macro_rules! lifts {
    ($($(#[$doc:meta])* $name:ident: |$left:ident, $right:ident, $immediate:ident| $result:expr;)*) => {
        $($(#[$doc])*
        struct $name;
        impl Lift for $name {
            #[inline(always)]
            fn compute<N: Length>(_: &mut u32, $left: Wide, $right: Wide, [$immediate, _]: [u8; 2]) -> Wide {
                $result
            }
        })*
    };
}

lifts! {
    /// Each half of the result is one of the four of the sources, or zero.
    Halves: |left, right, immediate| {
        let all = [left[0], left[1], right[0], right[1]];
        [immediate, immediate >> 4].map(|place| match place & 8 {
            0 => all[usize::from(place & 3)],
            _ => zero(),
        })
    };
    /// The left source with one half replaced.
    Insert: |left, right, immediate| match immediate & 1 {
        0 => [right[0], left[1]],
        _ => [left[0], right[0]],
    };
    /// One half of the source.
    Extract: |_left, right, immediate| [right[usize::from(immediate & 1)], zero()];
    /// Two bits of the immediate name each quadword.
    Quadwords: |_left, right, immediate| {
        let quadwords = join::<u64, 2, 4>(right);
        let at = |place: u8| quadwords[usize::from(immediate >> (2 * place) & 3)];
        [[at(0), at(1)].vector(), [at(2), at(3)].vector()]
    };
    /// The left source names each doubleword of the right one.
    Doublewords: |left, right, _immediate| {
        let doublewords = join::<u32, 4, 8>(right);
        [named(&doublewords, left[0]), named(&doublewords, left[1])]
    };
}

/// The doublewords that each place names.
#[inline(always)]
fn named(doublewords: &[u32; 8], places: Vector) -> Vector {
    let mut named = <[u32; 4]>::of(places);
    for place in &mut named {
        *place = doublewords[*place as usize & 7];
    }
    named.vector()
}

/// The elements of both halves.
#[inline(always)]
pub(super) fn join<T: Copy + Default, const N: usize, const TWICE: usize>(value: Wide) -> [T; TWICE]
where
    [T; N]: Lanes,
{
    let mut all = [T::default(); TWICE];
    for (into, half) in all.chunks_exact_mut(N).zip(value) {
        into.copy_from_slice(&<[T; N]>::of(half));
    }
    all
}
