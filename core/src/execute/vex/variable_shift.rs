//! Shifts of each element by a count of its own: VPSLLV, VPSRLV, VPSRAV. A count beyond the width shifts
//! all bits out.

use super::super::host_vector::HostVector;
use super::super::sse::Operation;
use super::super::sse::vector::{Aligned, Lanes, Vector};
use super::handler::lanes;
use super::rows;

rows! {
    Vpsllvd => lanes::<Vpsllvd>, Vpsllvq => lanes::<Vpsllvq>,
    Vpsrlvd => lanes::<Vpsrlvd>, Vpsrlvq => lanes::<Vpsrlvq>,
    Vpsravd => lanes::<Vpsravd>,
}

macro_rules! shifts {
    ($($name:ident: $instruction:literal, [$element:ty; $count:literal], |$value:ident, $by:ident| $result:expr;)*) => {
        $(struct $name;
        impl Operation for $name {
            type Source = Aligned;
            const FLOATS: bool = false;
            const NEEDS: HostVector = HostVector::AVX2;

            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let values = <[$element; $count]>::of(destination);
                let counts = <[$element; $count]>::of(source);
                let shifted: [$element; $count] = core::array::from_fn(|index| {
                    let ($value, $by) = (values[index], counts[index]);
                    $result
                });
                shifted.vector()
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                super::super::sse::pure!(concat!($instruction, " {0}, {0}, {1}"), destination, source)
            }
        })*
    };
}

shifts! {
    // In 64 bits: shifts of 32 to the left by several counts are a multiplication of floats to compilers,
    // which leaves flags in MXCSR.
    Vpsllvd: "vpsllvd", [u32; 4], |value, by| (u64::from(value) << by.min(32)) as u32;
    Vpsrlvd: "vpsrlvd", [u32; 4], |value, by| value.checked_shr(by).unwrap_or(0);
    Vpsravd: "vpsravd", [i32; 4], |value, by| value >> (by as u32).min(31);
    Vpsllvq: "vpsllvq", [u64; 2], |value, by| value.checked_shl(by.min(64) as u32).unwrap_or(0);
    Vpsrlvq: "vpsrlvq", [u64; 2], |value, by| value.checked_shr(by.min(64) as u32).unwrap_or(0);
}
