//! Conversions between integers and floating point, between single and double, and between single and
//! half precision (F16C).

use super::super::emit::Emit;
use super::super::host_vector::HostVector;
use super::super::op::Detail;
use super::super::sse::Operation;
use super::super::sse::convert::*;
use super::super::sse::handler::into_general;
use super::super::sse::host_float::guarded;
use super::super::sse::soft_float::{Environment, from_half, to_half};
use super::super::sse::vector::{Lanes, Low64, Unaligned, Vector};
use super::super::{Cpu, Leave};
use super::extend::Widen;
use super::handler::{lanes, lifted, low, out_of_general, parts, whole};
use super::{Length, Lift, Wide, Xmm, Ymm, rows, zero};
use crate::paging::AccessKind;

rows! {
    Vcvtdq2ps => lanes::<Cvtdq2ps>,
    Vcvtps2dq => lanes::<Cvtps2dq>,
    Vcvttps2dq => lanes::<Cvttps2dq>,
    Vcvtdq2pd => |e| lifted::<Widen<Cvtdq2pd, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vcvtps2pd => |e| lifted::<Widen<Cvtps2pd, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vcvtpd2dq => |e| lifted::<Narrow<Cvtpd2dq>>(e, const { &whole::<Unaligned>() }),
    Vcvttpd2dq => |e| lifted::<Narrow<Cvttpd2dq>>(e, const { &whole::<Unaligned>() }),
    Vcvtpd2ps => |e| lifted::<Narrow<Cvtpd2ps>>(e, const { &whole::<Unaligned>() }),
    Vcvtss2sd => low::<Cvtss2sd>,
    Vcvtsd2ss => low::<Cvtsd2ss>,
    Vcvtsi2ss => |e| by_width(e, 2, out_of_general::<Cvtsi2ss32>, out_of_general::<Cvtsi2ss64>),
    Vcvtsi2sd => |e| by_width(e, 2, out_of_general::<Cvtsi2sd32>, out_of_general::<Cvtsi2sd64>),
    Vcvtss2si => |e| by_width(e, 0, into_general::<Cvtss2si32>, into_general::<Cvtss2si64>),
    Vcvtsd2si => |e| by_width(e, 0, into_general::<Cvtsd2si32>, into_general::<Cvtsd2si64>),
    Vcvttss2si => |e| by_width(e, 0, into_general::<Cvttss2si32>, into_general::<Cvttss2si64>),
    Vcvttsd2si => |e| by_width(e, 0, into_general::<Cvttsd2si32>, into_general::<Cvttsd2si64>),
    Vcvtph2ps => |e| lifted::<Widen<Cvtph2ps, 64>>(e, const { &parts::<Low64, Unaligned>() }),
    Vcvtps2ph => to_half_precision,
}

/// An operation that makes half a vector of one: the result has them side by side.
struct Narrow<O>(core::marker::PhantomData<O>);

/// The lower halves of two vectors.
#[inline(always)]
fn beside(low: Vector, high: Vector) -> Vector {
    let ([low, _], [high, _]) = (<[u64; 2]>::of(low), <[u64; 2]>::of(high));
    [low, high].vector()
}

impl<O: Operation> Lift for Narrow<O> {
    const FLOATS: bool = O::FLOATS;
    const NEEDS: HostVector = O::NEEDS;

    #[inline(always)]
    fn compute<N: Length>(mxcsr: &mut u32, _: Wide, source: Wide, [immediate, _]: [u8; 2]) -> Wide {
        let [low, high] = source;
        let low = O::compute(mxcsr, zero(), low, immediate);
        let mut both = || beside(low, O::compute(mxcsr, zero(), high, immediate));
        [if N::WIDE { both() } else { low }, zero()]
    }

    #[inline(always)]
    fn apply<N: Length>(mxcsr: &mut u32, _: Wide, source: Wide, [immediate, _]: [u8; 2]) -> Wide {
        let [low, high] = source;
        let low = O::apply(mxcsr, zero(), low, immediate);
        let mut both = || beside(low, O::apply(mxcsr, zero(), high, immediate));
        [if N::WIDE { both() } else { low }, zero()]
    }
}

/// Emits the form for the width of the general operand, which is at `position`.
fn by_width(
    emit: &mut Emit,
    position: u32,
    narrow: fn(&mut Emit) -> Option<()>,
    wide: fn(&mut Emit) -> Option<()>,
) -> Option<()> {
    if emit.width(position) == 3 { wide(emit) } else { narrow(emit) }
}

/// VCVTPH2PS: four halves to singles.
struct Cvtph2ps;

impl Operation for Cvtph2ps {
    type Source = Low64;
    const FLOATS: bool = true;
    const NEEDS: HostVector = HostVector::F16C;

    fn compute(mxcsr: &mut u32, _: Vector, source: Vector, _: u8) -> Vector {
        let [a, b, c, d, ..] = <[u16; 8]>::of(source);
        let env = &mut Environment(mxcsr);
        [a, b, c, d].map(|half| from_half(env, half.into()) as u32).vector()
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn apply(_: &mut u32, _: Vector, source: Vector, _: u8) -> Vector {
        let mut result = source;
        super::super::sse::instruction!("vcvtph2ps {0}, {0}", inout(xmm_reg) result);
        result
    }
}

/// VCVTPS2PH: four singles to halves. The immediate tells how to round: as MXCSR says, or in the mode
/// of its two lowest bits.
struct Cvtps2ph;

impl Operation for Cvtps2ph {
    type Source = Unaligned;
    const FLOATS: bool = true;
    const NEEDS: HostVector = HostVector::F16C;

    fn compute(mxcsr: &mut u32, _: Vector, source: Vector, immediate: u8) -> Vector {
        let mode = (immediate & 4 == 0).then_some(immediate & 3);
        let halves = <[u32; 4]>::of(source)
            .map(|single| to_half(&mut Environment(mxcsr), single.into(), mode));
        let word = halves.iter().rev().fold(0, |word, half| word << 16 | half);
        [word, 0].vector()
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn apply(_: &mut u32, _: Vector, source: Vector, immediate: u8) -> Vector {
        let mut result = source;
        // The instruction has the immediate in its code.
        macro_rules! rounding {
            ($($mode:literal)*) => {
                match immediate & 7 {
                    $($mode => super::super::sse::instruction!(
                        concat!("vcvtps2ph {0}, {0}, ", $mode), inout(xmm_reg) result),)*
                    _ => super::super::sse::instruction!("vcvtps2ph {0}, {0}, 4", inout(xmm_reg) result),
                }
            };
        }
        rounding!(0 1 2 3);
        result
    }
}

/// VCVTPS2PH has its destination, which may be in memory, where others have a source.
fn to_half_precision(emit: &mut Emit) -> Option<()> {
    if !emit.is_memory(0) {
        return lifted::<Narrow<Cvtps2ph>>(emit, const { &whole::<Unaligned>() });
    }
    emit.call_out(store_halves);
    Some(())
}

/// VCVTPS2PH to memory, which must be writable before any flag is set.
fn store_halves(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let immediate = [detail.immediate as u8; 2];
    let source = cpu.wide(detail.registers[1]);
    let (segment, bytes) = (super::super::segment_register(detail.segment), detail.width);
    let linear = cpu.linear(detail, bytes.into(), true)?;
    let aligned = cpu.mmu.check_alignment(&cpu.state, linear, bytes.into(), AccessKind::Write);
    aligned.map_err(|error| Leave::access(error, segment))?;
    cpu.probe_write(segment, linear, bytes.into())?;
    let wide = bytes == 16;
    let [halves, _] = guarded(cpu, |mxcsr| match wide {
        true => Narrow::<Cvtps2ph>::compute::<Ymm>(mxcsr, source, source, immediate),
        false => Narrow::<Cvtps2ph>::compute::<Xmm>(mxcsr, source, source, immediate),
    })?;
    match wide {
        true => cpu.store(segment, linear, u128::of(halves)),
        false => cpu.store(segment, linear, <[u64; 2]>::of(halves)[0]),
    }
}
