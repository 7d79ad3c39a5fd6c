//! Comparisons: VCMP with its 32 predicates, those that set the status flags, VPTEST and VTEST, and the
//! signs of elements.

use super::super::Cpu;
use super::super::dispatch::{Flow, next};
use super::super::emit::Emit;
use super::super::flags::{CF, Kind, ZF};
use super::super::host_vector::HostVector;
use super::super::op::{Handler, Op};
use super::super::sse::compare::{Comisd, Comiss, Ucomisd, Ucomiss};
use super::super::sse::handler::{comparison, into_general};
use super::super::sse::signs::{Movmskpd, Movmskps, Pmovmskb};
use super::super::sse::soft_float::{doubles, predicate, singles};
use super::super::sse::vector::{Aligned, Lanes, Low32, Low64, Unaligned, Vector};
use super::super::sse::{Operation, ToGeneral};
use super::handler::{lanes, low, source, whole};
use super::{Length, Wide, Xmm, Ymm, is_wide, rows};

rows! {
    Vcmpps => lanes::<Vcmpps>, Vcmppd => lanes::<Vcmppd>,
    Vcmpss => low::<Vcmpss>, Vcmpsd => low::<Vcmpsd>,
    Vcomiss => comparison::<Comiss>, Vcomisd => comparison::<Comisd>,
    Vucomiss => comparison::<Ucomiss>, Vucomisd => comparison::<Ucomisd>,
    Vptest => test::<AllBits>, Vtestps => test::<SignsOfSingles>, Vtestpd => test::<SignsOfDoubles>,
    Vpmovmskb => signs::<Pmovmskb, 16>,
    Vmovmskps => signs::<Movmskps, 4>,
    Vmovmskpd => signs::<Movmskpd, 2>,
}

/// The host's comparison with the predicate of an immediate, which its instruction has in its code.
macro_rules! by_predicate {
    ($instruction:literal, $left:ident, $right:ident, $immediate:ident) => {
        by_predicate!(@ $instruction, $left, $right, $immediate,
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    };
    (@ $instruction:literal, $left:ident, $right:ident, $immediate:ident, $($predicate:literal)*) => {{
        let mut result = $left;
        match $immediate & 31 {
            $($predicate => {
                super::super::sse::instruction!(
                    concat!($instruction, " {0}, {0}, {1}, ", $predicate), inout(xmm_reg) result,
                    in(xmm_reg) $right);
            })*
            _ => {}
        }
        result
    }};
}

macro_rules! masks {
    ($($name:ident: $source:ty, $instruction:literal, $lanes:expr;)*) => {
        $(struct $name;
        impl Operation for $name {
            type Source = $source;
            const FLOATS: bool = true;
            const NEEDS: HostVector = HostVector::AVX;

            fn compute(mxcsr: &mut u32, left: Vector, right: Vector, immediate: u8) -> Vector {
                let computed = $lanes(|env: &mut Environment, format, left, right| {
                    predicate(env, format, left, right, immediate & 31)
                });
                computed(&mut Environment(mxcsr), left, right)
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, left: Vector, right: Vector, immediate: u8) -> Vector {
                by_predicate!($instruction, left, right, immediate)
            }
        })*
    };
}
use super::super::sse::soft_float::Environment;

masks! {
    Vcmpps: Aligned, "vcmpps", singles::<4>;
    Vcmppd: Aligned, "vcmppd", doubles::<2>;
    Vcmpss: Low32, "vcmpss", singles::<1>;
    Vcmpsd: Low64, "vcmpsd", doubles::<1>;
}

/// Which bits VPTEST and VTEST look at in each quadword.
trait Tested: 'static {
    const MASK: u64;
}

struct AllBits;
struct SignsOfSingles;
struct SignsOfDoubles;

impl Tested for AllBits {
    const MASK: u64 = u64::MAX;
}
impl Tested for SignsOfSingles {
    const MASK: u64 = 1 << 63 | 1 << 31;
}
impl Tested for SignsOfDoubles {
    const MASK: u64 = 1 << 63;
}

fn test<T: Tested>(emit: &mut Emit) -> Option<()> {
    let b = source(emit, 1, const { &whole::<Unaligned>() });
    let handlers: [Handler; 2] = [test_registers::<T, Xmm>, test_registers::<T, Ymm>];
    emit.op(handlers[usize::from(is_wide(emit))], emit.register(0), b, 0, 0, 0);
    emit.writes_flags(Kind::KNOWN);
    Some(())
}

/// ZF: registers `a` and `b` have no bit in common. CF: `a` has every bit of `b`. The other flags are
/// cleared.
unsafe extern "C" fn test_registers<T: Tested, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, right) = (cpu.wide(a), cpu.wide(b));
    let [common, missing] = [|l: u64, r: u64| l & r, |l: u64, r: u64| !l & r]
        .map(|combine| any::<N>(left, right, combine) & T::MASK != 0);
    let src = if common { 0 } else { ZF } | if missing { 0 } else { CF };
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// All bits of what `combine` makes of each pair of quadwords.
#[inline(always)]
fn any<N: Length>(left: Wide, right: Wide, combine: fn(u64, u64) -> u64) -> u64 {
    let half = |at: usize| {
        let ([a, b], [c, d]) = (<[u64; 2]>::of(left[at]), <[u64; 2]>::of(right[at]));
        combine(a, c) | combine(b, d)
    };
    half(0) | if N::WIDE { half(1) } else { 0 }
}

fn signs<O: ToGeneral, const COUNT: u32>(emit: &mut Emit) -> Option<()> {
    if !is_wide(emit) {
        return into_general::<O>(emit);
    }
    emit.op(wide_signs::<O, COUNT>, emit.register(0), emit.register(1), 0, 0, 0);
    Some(())
}

/// General register `a` becomes the signs of the elements of register `b`, `COUNT` in each half.
unsafe extern "C" fn wide_signs<O: ToGeneral, const COUNT: u32>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let halves = cpu.wide(b);
    let [low, high] = halves.map(|half| O::apply(&mut cpu.state.fpu.mxcsr, half, 0));
    cpu.set::<u32>(a, low | high << COUNT);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}
