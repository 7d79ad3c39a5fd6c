//! Shifts of elements by one count, and of each half by bytes.

use core::marker::PhantomData;

use super::super::emit::Emit;
use super::super::sse::Operation;
use super::super::sse::shift::*;
use super::super::sse::vector::Unaligned;
use super::handler::{lanes, lifted, parts};
use super::{Length, Lift, Wide, rows, zero};

rows! {
    Vpsllw => shift::<Psllw>, Vpslld => shift::<Pslld>, Vpsllq => shift::<Psllq>,
    Vpsrlw => shift::<Psrlw>, Vpsrld => shift::<Psrld>, Vpsrlq => shift::<Psrlq>,
    Vpsraw => shift::<Psraw>, Vpsrad => shift::<Psrad>,
    Vpslldq => lanes::<Pslldq>, Vpsrldq => lanes::<Psrldq>,
}

fn shift<S: Shift>(emit: &mut Emit) -> Option<()> {
    match emit.is_immediate(2) {
        true => lanes::<ByImmediate<S>>(emit),
        false => lifted::<ByLow<S>>(emit, const { &parts::<Unaligned, Unaligned>() }),
    }
}

/// Shifts in both halves by the low 64 bits of the right operand, which has 128 bits whatever the length.
struct ByLow<S>(PhantomData<S>);

impl<S: Shift> Lift for ByLow<S> {
    #[inline(always)]
    fn compute<N: Length>(mxcsr: &mut u32, left: Wide, [count, _]: Wide, _: [u8; 2]) -> Wide {
        let low = BySource::<S>::compute(mxcsr, left[0], count, 0);
        [low, if N::WIDE { BySource::<S>::compute(mxcsr, left[1], count, 0) } else { zero() }]
    }

    #[inline(always)]
    fn apply<N: Length>(mxcsr: &mut u32, left: Wide, [count, _]: Wide, _: [u8; 2]) -> Wide {
        let low = BySource::<S>::apply(mxcsr, left[0], count, 0);
        [low, if N::WIDE { BySource::<S>::apply(mxcsr, left[1], count, 0) } else { zero() }]
    }
}
