//! SSE4.1 on integers and by mask: blends, comparisons, minimum and maximum.

use super::super::host_vector::HostVector;
use super::handler::with_xmm0;
use super::vector::{Aligned, Lanes, Vector};
use super::{ThreeSources, rows};

rows! {
    Pblendvb => with_xmm0::<Pblendvb>,
    Blendvps => with_xmm0::<Blendvps>,
    Blendvpd => with_xmm0::<Blendvpd>,
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
                super::with_xmm0!(concat!($instruction, " {0}, {1}"), destination, source, third)
            }
        })*
    };
}

variable_blends! {
    Pblendvb: "pblendvb", [i8; 16];
    Blendvps: "blendvps", [i32; 4];
    Blendvpd: "blendvpd", [i64; 2];
}
