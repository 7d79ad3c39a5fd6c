//! SSE4.1 on integers: minimum and maximum, products, extensions, sums of differences, PTEST. Blends
//! and floating point are in files of their own; single elements in `element`.

pub(in crate::execute) mod blend;
pub(in crate::execute) mod float;

use super::super::flags::{CF, ZF};
use super::super::host_vector::HostVector;
use super::handler::{comparison, load_register, operation};
use super::vector::{Aligned, Lanes, Low16, Low32, Low64, Vector};
use super::{Compare, Operation, accelerated, rows};

rows! {
    Pminsb => operation::<Pminsb>, Pmaxsb => operation::<Pmaxsb>,
    Pminuw => operation::<Pminuw>, Pmaxuw => operation::<Pmaxuw>,
    Pminsd => operation::<Pminsd>, Pmaxsd => operation::<Pmaxsd>,
    Pminud => operation::<Pminud>, Pmaxud => operation::<Pmaxud>,
    Pmulld => operation::<Pmulld>, Pmuldq => operation::<Pmuldq>,
    Pcmpeqq => operation::<Pcmpeqq>,
    Packusdw => operation::<Packusdw>,
    Pmovsxbw => operation::<Pmovsxbw>, Pmovzxbw => operation::<Pmovzxbw>,
    Pmovsxbd => operation::<Pmovsxbd>, Pmovzxbd => operation::<Pmovzxbd>,
    Pmovsxbq => operation::<Pmovsxbq>, Pmovzxbq => operation::<Pmovzxbq>,
    Pmovsxwd => operation::<Pmovsxwd>, Pmovzxwd => operation::<Pmovzxwd>,
    Pmovsxwq => operation::<Pmovsxwq>, Pmovzxwq => operation::<Pmovzxwq>,
    Pmovsxdq => operation::<Pmovsxdq>, Pmovzxdq => operation::<Pmovzxdq>,
    Phminposuw => operation::<Phminposuw>,
    Mpsadbw => operation::<Mpsadbw>,
    Ptest => comparison::<Ptest>,
    Movntdqa => load_register::<Aligned>,
}

/// What `combine` makes of each pair of elements.
#[inline(always)]
pub(super) fn pairs<T: Copy, const N: usize>(
    left: [T; N],
    right: [T; N],
    combine: impl Fn(T, T) -> T,
) -> [T; N] {
    core::array::from_fn(|index| combine(left[index], right[index]))
}

/// The first elements, wider.
#[inline(always)]
fn extend<T: Copy, U: From<T>, const N: usize, const M: usize>(elements: [T; N]) -> [U; M] {
    core::array::from_fn(|index| elements[index].into())
}

accelerated! {
    NEEDS = HostVector::SSE4_1;
    Pminsb: Aligned, "pminsb", [i8; 16], |left, right| pairs(left, right, i8::min);
    Pmaxsb: Aligned, "pmaxsb", [i8; 16], |left, right| pairs(left, right, i8::max);
    Pminuw: Aligned, "pminuw", [u16; 8], |left, right| pairs(left, right, u16::min);
    Pmaxuw: Aligned, "pmaxuw", [u16; 8], |left, right| pairs(left, right, u16::max);
    Pminsd: Aligned, "pminsd", [i32; 4], |left, right| pairs(left, right, i32::min);
    Pmaxsd: Aligned, "pmaxsd", [i32; 4], |left, right| pairs(left, right, i32::max);
    Pminud: Aligned, "pminud", [u32; 4], |left, right| pairs(left, right, u32::min);
    Pmaxud: Aligned, "pmaxud", [u32; 4], |left, right| pairs(left, right, u32::max);
    Pmulld: Aligned, "pmulld", [i32; 4], |left, right| pairs(left, right, i32::wrapping_mul);
    Pmuldq: Aligned, "pmuldq", [i64; 2], |left, right| pairs(left, right, |a, b| {
        i64::from(a as i32) * i64::from(b as i32)
    });
    Pcmpeqq: Aligned, "pcmpeqq", [i64; 2], |left, right| pairs(left, right, |a, b| -i64::from(a == b));
    Packusdw: Aligned, "packusdw", [i32; 4], |low, high| {
        let words: [u16; 8] = core::array::from_fn(|index| {
            let element = if index < 4 { low[index] } else { high[index - 4] };
            element.clamp(0, 0xffff) as u16
        });
        words
    };
    Pmovsxbw: Low64, "pmovsxbw", [i8; 16], |_, source| extend::<_, i16, 16, 8>(source);
    Pmovsxbd: Low32, "pmovsxbd", [i8; 16], |_, source| extend::<_, i32, 16, 4>(source);
    Pmovsxbq: Low16, "pmovsxbq", [i8; 16], |_, source| extend::<_, i64, 16, 2>(source);
    Pmovsxwd: Low64, "pmovsxwd", [i16; 8], |_, source| extend::<_, i32, 8, 4>(source);
    Pmovsxwq: Low32, "pmovsxwq", [i16; 8], |_, source| extend::<_, i64, 8, 2>(source);
    Pmovsxdq: Low64, "pmovsxdq", [i32; 4], |_, source| extend::<_, i64, 4, 2>(source);
    Pmovzxbw: Low64, "pmovzxbw", [u8; 16], |_, source| extend::<_, u16, 16, 8>(source);
    Pmovzxbd: Low32, "pmovzxbd", [u8; 16], |_, source| extend::<_, u32, 16, 4>(source);
    Pmovzxbq: Low16, "pmovzxbq", [u8; 16], |_, source| extend::<_, u64, 16, 2>(source);
    Pmovzxwd: Low64, "pmovzxwd", [u16; 8], |_, source| extend::<_, u32, 8, 4>(source);
    Pmovzxwq: Low32, "pmovzxwq", [u16; 8], |_, source| extend::<_, u64, 8, 2>(source);
    Pmovzxdq: Low64, "pmovzxdq", [u32; 4], |_, source| extend::<_, u64, 4, 2>(source);
    Phminposuw: Aligned, "phminposuw", [u16; 8], |_, source| {
        let first = (1..8).fold(0, |least, at| if source[at] < source[least] { at } else { least });
        [source[first], first as u16, 0, 0, 0, 0, 0, 0]
    };
}

/// MPSADBW: sums of absolute differences of four bytes of the source, which bits 0 and 1 of the
/// immediate name, and each four of eleven of the destination, which bit 2 names.
pub(in crate::execute) struct Mpsadbw;

impl Operation for Mpsadbw {
    type Source = Aligned;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        differences(u128::of(destination), u128::of(source), immediate).vector()
    }
}

/// What [`Mpsadbw`] computes. Apart, because a handler that has locals of which an address is taken
/// would call the next one.
#[inline(never)]
fn differences(destination: u128, source: u128, immediate: u8) -> u128 {
    let (left, right) = (destination.to_le_bytes(), source.to_le_bytes());
    let (from, with) = (usize::from(immediate >> 2 & 1) * 4, usize::from(immediate & 3) * 4);
    (0..8).fold(0, |sums, place| {
        let differences = (0..4).map(|at| left[from + place + at].abs_diff(right[with + at]));
        sums | differences.map(u128::from).sum::<u128>() << (place * 16)
    })
}

/// PTEST.
pub(in crate::execute) struct Ptest;

impl Compare for Ptest {
    type Source = Aligned;

    #[inline(always)]
    fn compute(_: &mut u32, left: Vector, right: Vector) -> u64 {
        let (left, right) = (u128::of(left), u128::of(right));
        let zero = if left & right == 0 { ZF } else { 0 };
        zero | if !left & right == 0 { CF } else { 0 }
    }
}
