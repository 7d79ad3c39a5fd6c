//! SSSE3: horizontal sums, signs and absolute values, byte shuffles by a vector, and the window over
//! two registers that PALIGNR cuts out.

use super::super::host_vector::HostVector;
use super::super::mmx;
use super::handler::operation;
use super::sse4_1::pairs;
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, accelerated, rows};

rows! {
    Phaddw => operation::<Phaddw> => mmx::operation::<mmx::Joined<Phaddw>>, Phaddd => operation::<Phaddd> => mmx::operation::<mmx::Joined<Phaddd>>, Phaddsw => operation::<Phaddsw> => mmx::operation::<mmx::Joined<Phaddsw>>,
    Phsubw => operation::<Phsubw> => mmx::operation::<mmx::Joined<Phsubw>>, Phsubd => operation::<Phsubd> => mmx::operation::<mmx::Joined<Phsubd>>, Phsubsw => operation::<Phsubsw> => mmx::operation::<mmx::Joined<Phsubsw>>,
    Psignb => operation::<Psignb> => mmx::operation::<Psignb>, Psignw => operation::<Psignw> => mmx::operation::<Psignw>, Psignd => operation::<Psignd> => mmx::operation::<Psignd>,
    Pabsb => operation::<Pabsb> => mmx::operation::<Pabsb>, Pabsw => operation::<Pabsw> => mmx::operation::<Pabsw>, Pabsd => operation::<Pabsd> => mmx::operation::<Pabsd>,
    Pmaddubsw => operation::<Pmaddubsw> => mmx::operation::<Pmaddubsw>,
    Pmulhrsw => operation::<Pmulhrsw> => mmx::operation::<Pmulhrsw>,
    Pshufb => operation::<Pshufb> => mmx::operation::<mmx::ShuffleBytes>,
    Palignr => operation::<Palignr> => mmx::operation::<mmx::Window>,
}

/// What `combine` makes of neighbours: those of `low`, then those of `high`.
#[inline(always)]
pub(super) fn neighbours<T: Copy, const N: usize>(
    low: [T; N],
    high: [T; N],
    mut combine: impl FnMut(T, T) -> T,
) -> [T; N] {
    core::array::from_fn(|index| {
        let from = if index < N / 2 { &low } else { &high };
        let first = 2 * index % N;
        combine(from[first], from[first + 1])
    })
}

/// PSIGN's element: `value` with its sign turned as `sign` says, or zero.
macro_rules! signed {
    ($value:ident, $sign:ident) => {
        match $sign {
            0 => 0,
            1.. => $value,
            _ => $value.wrapping_neg(),
        }
    };
}

accelerated! {
    NEEDS = HostVector::SSSE3;
    Phaddw: Aligned, "phaddw", [i16; 8], |left, right| neighbours(left, right, i16::wrapping_add);
    Phaddd: Aligned, "phaddd", [i32; 4], |left, right| neighbours(left, right, i32::wrapping_add);
    Phaddsw: Aligned, "phaddsw", [i16; 8], |left, right| neighbours(left, right, i16::saturating_add);
    Phsubw: Aligned, "phsubw", [i16; 8], |left, right| neighbours(left, right, i16::wrapping_sub);
    Phsubd: Aligned, "phsubd", [i32; 4], |left, right| neighbours(left, right, i32::wrapping_sub);
    Phsubsw: Aligned, "phsubsw", [i16; 8], |left, right| neighbours(left, right, i16::saturating_sub);
    Psignb: Aligned, "psignb", [i8; 16], |left, right| pairs(left, right, |a, b| signed!(a, b));
    Psignw: Aligned, "psignw", [i16; 8], |left, right| pairs(left, right, |a, b| signed!(a, b));
    Psignd: Aligned, "psignd", [i32; 4], |left, right| pairs(left, right, |a, b| signed!(a, b));
    Pabsb: Aligned, "pabsb", [i8; 16], |_, right| right.map(i8::wrapping_abs);
    Pabsw: Aligned, "pabsw", [i16; 8], |_, right| right.map(i16::wrapping_abs);
    Pabsd: Aligned, "pabsd", [i32; 4], |_, right| right.map(i32::wrapping_abs);
    Pmulhrsw: Aligned, "pmulhrsw", [i16; 8], |left, right| pairs(left, right, |a, b| {
        ((((i32::from(a) * i32::from(b)) >> 14) + 1) >> 1) as i16
    });
    Pmaddubsw: Aligned, "pmaddubsw", [u8; 16], |left, right| {
        let product = |at: usize| i32::from(left[at]) * i32::from(right[at] as i8);
        let sums: [i16; 8] = core::array::from_fn(|index| {
            let sum = product(2 * index) + product(2 * index + 1);
            sum.clamp(i16::MIN.into(), i16::MAX.into()) as i16
        });
        sums
    };
    Pshufb: Aligned, "pshufb", [u8; 16], |left, right| {
        // A loop, which is compiled in place: what is called with arrays keeps handlers from jumps.
        let mut shuffled = [0; 16];
        for (byte, index) in shuffled.iter_mut().zip(right) {
            *byte = if index & 0x80 == 0 { left[usize::from(index & 15)] } else { 0 };
        }
        shuffled
    };
}

/// PALIGNR: the source with the destination above it, shifted right by bytes.
pub(in crate::execute) struct Palignr;

impl Palignr {
    /// Bytes that are moved by more than two vectors are all gone.
    const MOST: u8 = 32;
}

impl Operation for Palignr {
    type Source = Aligned;
    const FLOATS: bool = false;
    const NEEDS: HostVector = HostVector::SSSE3;

    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        let mut bytes = [0; 48];
        bytes[..16].copy_from_slice(&<[u8; 16]>::of(source));
        bytes[16..32].copy_from_slice(&<[u8; 16]>::of(destination));
        let from = usize::from(immediate.min(Self::MOST));
        let window: [u8; 16] = core::array::from_fn(|index| bytes[from + index]);
        window.vector()
    }

    /// The host's instruction has its immediate in its code, but PSHUFB moves bytes as well.
    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        /// Indices that move bytes down, between such as give zero.
        static INDICES: [u8; 64] = {
            let (mut indices, mut index) = ([0x80; 64], 0);
            while index < 16 {
                indices[16 + index] = index as u8;
                index += 1;
            }
            indices
        };
        let from = usize::from(immediate.min(Self::MOST));
        let mut moved = |vector: Vector, first: usize| {
            let indices: [u8; 16] = core::array::from_fn(|index| INDICES[first + index]);
            u128::of(Pshufb::apply(mxcsr, vector, indices.vector(), 0))
        };
        (moved(source, 16 + from) | moved(destination, from)).vector()
    }
}
