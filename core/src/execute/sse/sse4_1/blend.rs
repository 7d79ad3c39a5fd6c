//! Blends: each element from the destination or the source, as the immediate or XMM0 says.

use crate::execute::host_vector::HostVector;

use crate::execute::sse::handler::{operation, with_xmm0};
use crate::execute::sse::vector::{Aligned, Lanes, Vector};
use crate::execute::sse::{Operation, ThreeSources, rows};

rows! {
    Pblendvb => with_xmm0::<Pblendvb>,
    Blendvps => with_xmm0::<Blendvps>,
    Blendvpd => with_xmm0::<Blendvpd>,
    Pblendw => operation::<Pblendw>,
    Blendps => operation::<Blendps>,
    Blendpd => operation::<Blendpd>,
}

/// Choices by the top bits of the third vector's elements.
macro_rules! variable_blends {
    ($($name:ident: $instruction:literal, [$element:ty; $count:literal];)*) => {
        $(pub(in crate::execute) struct $name;
        impl ThreeSources for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            const NEEDS: HostVector = HostVector::SSE4_1;

            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, third: Vector) -> Vector {
                let [left, right, mask] = [destination, source, third].map(<[$element; $count]>::of);
                let chosen: [$element; $count] = core::array::from_fn(|index| {
                    if mask[index] < 0 { right[index] } else { left[index] }
                });
                chosen.vector()
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: Vector, third: Vector) -> Vector {
                crate::execute::sse::with_xmm0!(concat!($instruction, " {0}, {1}"), destination, source, third)
            }
        })*
    };
}

variable_blends! {
    Pblendvb: "pblendvb", [i8; 16];
    Blendvps: "blendvps", [i32; 4];
    Blendvpd: "blendvpd", [i64; 2];
}

/// Choices by the bits of the immediate.
macro_rules! blends {
    ($($name:ident: [$element:ty; $count:literal];)*) => {
        $(pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;

            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
                let (left, right) =
                    (<[$element; $count]>::of(destination), <[$element; $count]>::of(source));
                let chosen: [$element; $count] = core::array::from_fn(|index| {
                    if immediate >> index & 1 != 0 { right[index] } else { left[index] }
                });
                chosen.vector()
            }
        })*
    };
}

blends! {
    Pblendw: [u16; 8];
    Blendps: [u32; 4];
    Blendpd: [u64; 2];
}
