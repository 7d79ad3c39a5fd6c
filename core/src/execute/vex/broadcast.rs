//! One element, or one half, copied to all places: VBROADCAST and VPBROADCAST.

use super::super::emit::{ByForm, Emit, by_form};
use super::super::sse::vector::{Broadcast32, Broadcast64, Lanes, Load, Unaligned, Vector};
use super::handler::{lifted, load, load_twice, parts};
use super::{Length, Lift, Wide, Xmm, is_wide, rows, zero};
use crate::memory::Width;

rows! {
    Vbroadcastss => broadcast::<Broadcast32, Elements<u32>>,
    Vbroadcastsd => broadcast::<Broadcast64, Elements<u64>>,
    Vbroadcastf128 => broadcast::<Unaligned, Elements<u64>>,
    Vbroadcasti128 => broadcast::<Unaligned, Elements<u64>>,
    Vpbroadcastb => broadcast::<Broadcast8, Elements<u8>>,
    Vpbroadcastw => broadcast::<Broadcast16, Elements<u16>>,
    Vpbroadcastd => broadcast::<Broadcast32, Elements<u32>>,
    Vpbroadcastq => broadcast::<Broadcast64, Elements<u64>>,
}

fn broadcast<L: Load, I: Lift>(emit: &mut Emit) -> Option<()> {
    if !emit.is_memory(1) {
        return lifted::<I>(emit, const { &parts::<L, L>() });
    }
    let handlers: &[ByForm; 2] =
        const { &[by_form!(A => load::<L, A, Xmm>), by_form!(A => load_twice::<L, A>)] };
    emit.memory_op(&handlers[usize::from(is_wide(emit))], emit.register(0), None);
    Some(())
}

/// Copies of the lowest element of this width.
struct Elements<W>(core::marker::PhantomData<W>);

impl<W: Width> Lift for Elements<W> {
    #[inline(always)]
    fn compute<N: Length>(_: &mut u32, _: Wide, [low, _]: Wide, _: [u8; 2]) -> Wide {
        let [word, _] = <[u64; 2]>::of(low);
        let half = copies::<W>(word);
        [half, if N::WIDE { half } else { zero() }]
    }
}

/// Copies of the lowest bits of `word`.
#[inline(always)]
fn copies<W: Width>(word: u64) -> Vector {
    match W::BYTES {
        1 => [word as u8; 16].vector(),
        2 => [word as u16; 8].vector(),
        4 => [word as u32; 4].vector(),
        _ => [word; 2].vector(),
    }
}

/// A byte, which a load copies to all elements.
struct Broadcast8;
/// Two bytes, which a load copies to all elements.
struct Broadcast16;

impl Load for Broadcast8 {
    type Memory = u8;

    #[inline(always)]
    unsafe fn load(pointer: *const u8, _: Vector) -> Vector {
        // SAFETY: the caller vouches for the byte.
        copies::<u8>(unsafe { u8::load(pointer) }.into())
    }
}

impl Load for Broadcast16 {
    type Memory = u16;

    #[inline(always)]
    unsafe fn load(pointer: *const u8, _: Vector) -> Vector {
        // SAFETY: the caller vouches for the bytes.
        copies::<u16>(unsafe { u16::load(pointer) }.into())
    }
}
