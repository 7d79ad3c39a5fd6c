//! String comparisons of SSE4.2: PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM.
//!
//! Strings with an explicit length and those that end with a null differ only in where they end; so
//! both are compared by their lengths, which the host's PCMPESTRM does, too. All the rest of the
//! control byte is about what becomes of the resulting bits.

use core::marker::PhantomData;

use super::super::Cpu;
use super::super::dispatch::{Flow, next};
use super::super::emit::{Emit, EmitFn};
use super::super::flags::{CF, Kind, OF, SF, ZF};
use super::super::host_vector::HostVector;
use super::super::op::{Handler, Op};
use super::handler::vector_source;
use super::integer::{Pcmpeqb, Pcmpeqw};
use super::signs::Pmovmskb;
use super::vector::{Lanes, Unaligned, Vector};
use super::{Operation, ToGeneral, rows};
use crate::memory::Width;
use crate::state::Register;

rows! {
    Pcmpestri => PCMPESTRI,
    Pcmpestri64 => PCMPESTRI64,
    Pcmpestrm => PCMPESTRM,
    Pcmpestrm64 => PCMPESTRM64,
    Pcmpistri => PCMPISTRI,
    Pcmpistrm => PCMPISTRM,
}

/// The handlers with and without the host's means.
macro_rules! forms {
    ($end:ty, $result:ty) => {
        [strings::<$end, $result, Host>, strings::<$end, $result, Integers>]
    };
}
macro_rules! emitters {
    ($($name:ident: $end:ty, $result:ty;)*) => {
        $(pub(in crate::execute) const $name: EmitFn =
            |emit| emit_comparison(emit, forms!($end, $result));)*
    };
}

emitters! {
    PCMPESTRI: Explicit<u32>, ToIndex;
    PCMPESTRI64: Explicit<u64>, ToIndex;
    PCMPESTRM: Explicit<u32>, ToMask;
    PCMPESTRM64: Explicit<u64>, ToMask;
    PCMPISTRI: Implicit, ToIndex;
    PCMPISTRM: Implicit, ToMask;
}

/// Control byte: elements are words.
const WORDS: u8 = 1;
/// Control byte: elements are signed.
const SIGNED: u8 = 1 << 1;
/// Control byte: the last of the set bits, or a mask of whole elements.
const MOST_SIGNIFICANT: u8 = 1 << 6;

/// How many elements a vector has.
fn element_count(control: u8) -> u32 {
    if control & WORDS != 0 { 8 } else { 16 }
}

/// Where strings end.
trait End: 'static {
    /// The elements of the left and the right string.
    fn lengths(cpu: &Cpu, left: Vector, right: Vector, control: u8) -> [u32; 2];
}

/// At lengths in RAX and RDX, or their low halves.
struct Explicit<W>(PhantomData<W>);
/// In front of the first null.
struct Implicit;

impl<W: Width> End for Explicit<W> {
    #[inline(always)]
    fn lengths(cpu: &Cpu, _: Vector, _: Vector, control: u8) -> [u32; 2] {
        [Register::Rax, Register::Rdx].map(|register| {
            let length = W::truncate(cpu.state.gpr[register]).sign_extend() as i64;
            length.unsigned_abs().min(element_count(control).into()) as u32
        })
    }
}

impl End for Implicit {
    #[inline(always)]
    fn lengths(_: &Cpu, left: Vector, right: Vector, control: u8) -> [u32; 2] {
        [first_null(left, control), first_null(right, control)]
    }
}

/// The place of the first null, or behind all elements.
#[inline(always)]
fn first_null(string: Vector, control: u8) -> u32 {
    let (words, zero) = (control & WORDS, 0_u128.vector());
    let nulls = match words {
        0 => Pcmpeqb::apply(&mut 0, string, zero, 0),
        _ => Pcmpeqw::apply(&mut 0, string, zero, 0),
    };
    let bytes = Pmovmskb::apply(&mut 0, nulls, 0) as u32 | 1 << 16;
    bytes.trailing_zeros() >> words
}

/// How the bits of a comparison are found: one for each element of the right string.
trait Means: 'static {
    fn compare(control: u8, left: Vector, right: Vector, lengths: [u32; 2]) -> u32;
}

/// By the host's PCMPESTRM.
struct Host;
/// In integers.
struct Integers;

impl Means for Integers {
    #[inline(always)]
    fn compare(control: u8, left: Vector, right: Vector, lengths: [u32; 2]) -> u32 {
        let [left_length, right_length] = lengths;
        compare_integers(control, u128::of(left), u128::of(right), left_length, right_length)
    }
}

/// By values and behind a call, as [`Portable`](super::Portable) says.
#[inline(never)]
fn compare_integers(
    control: u8,
    left: u128,
    right: u128,
    left_length: u32,
    right_length: u32,
) -> u32 {
    let (left, right, lengths) = (left.vector(), right.vector(), [left_length, right_length]);
    match control & (WORDS | SIGNED) {
        0 => aggregate(control, <[u8; 16]>::of(left), <[u8; 16]>::of(right), lengths),
        WORDS => aggregate(control, <[u16; 8]>::of(left), <[u16; 8]>::of(right), lengths),
        SIGNED => aggregate(control, <[i8; 16]>::of(left), <[i8; 16]>::of(right), lengths),
        _ => aggregate(control, <[i16; 8]>::of(left), <[i16; 8]>::of(right), lengths),
    }
}

/// The comparisons that bits 2 and 3 of the control byte name.
fn aggregate<T: Copy + Ord, const N: usize>(
    control: u8,
    left: [T; N],
    right: [T; N],
    lengths: [u32; 2],
) -> u32 {
    let [left_length, right_length] = lengths.map(|length| length as usize);
    let set = &left[..left_length];
    let holds = |place: usize| {
        let valid = place < right_length;
        match control >> 2 & 3 {
            // Equal to any.
            0 => valid && set.contains(&right[place]),
            // In one of the ranges.
            1 => {
                let is_in = |range: &[T]| range[0] <= right[place] && right[place] <= range[1];
                valid && set.as_chunks::<2>().0.iter().any(|range| is_in(range))
            }
            // Equal to the one at its place.
            2 => match (place < left_length, valid) {
                (true, true) => left[place] == right[place],
                (left_valid, right_valid) => left_valid == right_valid,
            },
            // The beginning of the substring, as far as there are elements.
            _ => set.iter().take(N - place).enumerate().all(|(index, element)| {
                place + index < right_length && *element == right[place + index]
            }),
        }
    };
    (0..N).filter(|&place| holds(place)).fold(0, |bits, place| bits | 1 << place)
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
impl Means for Host {
    fn compare(control: u8, left: Vector, right: Vector, lengths: [u32; 2]) -> u32 {
        Integers::compare(control, left, right, lengths)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
impl Means for Host {
    #[inline(always)]
    fn compare(control: u8, left: Vector, right: Vector, lengths: [u32; 2]) -> u32 {
        macro_rules! by_control {
            ($($control:literal)*) => {
                match control & 15 {
                    $($control => compare_on_host::<$control>(left, right, lengths),)*
                    _ => 0,
                }
            };
        }
        by_control!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn compare_on_host<const CONTROL: u8>(left: Vector, right: Vector, lengths: [u32; 2]) -> u32 {
    let bits: Vector;
    // SAFETY: the instruction touches registers alone, and is only used where the host has it.
    unsafe {
        core::arch::asm!("pcmpestrm {0}, {1}, {2}", in(xmm_reg) left, in(xmm_reg) right,
            const CONTROL, in("eax") lengths[0], in("edx") lengths[1], out("xmm0") bits,
            options(pure, nomem, nostack));
    }
    <[u32; 4]>::of(bits)[0]
}

/// Bits 4 and 5 of the control byte: which bits are turned over.
#[inline(always)]
fn polarize(control: u8, bits: u32, right_length: u32) -> u32 {
    let all = (1 << element_count(control)) - 1;
    match control >> 4 & 3 {
        1 => bits ^ all,
        3 => bits ^ ((1 << right_length) - 1),
        _ => bits,
    }
}

/// Where the bits go.
trait Outcome: 'static {
    fn put(cpu: &mut Cpu, control: u8, bits: u32);
}

/// ECX is the place of the first or last.
struct ToIndex;
/// XMM0 is a mask of bits or of whole elements.
struct ToMask;

impl Outcome for ToIndex {
    #[inline(always)]
    fn put(cpu: &mut Cpu, control: u8, bits: u32) {
        let index = match (bits, control & MOST_SIGNIFICANT) {
            (0, _) => element_count(control),
            (_, 0) => bits.trailing_zeros(),
            _ => bits.ilog2(),
        };
        cpu.state.gpr[Register::Rcx] = index.into();
    }
}

impl Outcome for ToMask {
    #[inline(always)]
    fn put(cpu: &mut Cpu, control: u8, bits: u32) {
        let is_set = |place: usize| bits >> place & 1 != 0;
        let mask = match control & (MOST_SIGNIFICANT | WORDS) {
            MOST_SIGNIFICANT => {
                let bytes: [i8; 16] = core::array::from_fn(|place| -i8::from(is_set(place)));
                bytes.vector()
            }
            0 | WORDS => u128::from(bits).vector(),
            _ => {
                let words: [i16; 8] = core::array::from_fn(|place| -i16::from(is_set(place)));
                words.vector()
            }
        };
        cpu.set_vector(0, mask);
    }
}

/// Compares the strings in registers `a` and `b`.
unsafe extern "C" fn strings<E: End, O: Outcome, M: Means>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let (left, right, control) = (cpu.vector(a), cpu.vector(b), imm as u8);
    let lengths = E::lengths(cpu, left, right, control);
    let bits = polarize(control, M::compare(control, left, right, lengths), lengths[1]);
    O::put(cpu, control, bits);
    let ends = |length: u32, flag: u64| if length < element_count(control) { flag } else { 0 };
    let src = ends(lengths[1], ZF)
        | ends(lengths[0], SF)
        | if bits != 0 { CF } else { 0 }
        | if bits & 1 != 0 { OF } else { 0 };
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

fn emit_comparison(emit: &mut Emit, [host, portable]: [Handler; 2]) -> Option<()> {
    let handler = if emit.host_has(HostVector::SSE4_2) { host } else { portable };
    let control = emit.immediate(2) as u8;
    let b = vector_source::<Unaligned>(emit, 1);
    emit.op(handler, emit.register(0), b, 0, 0, control.into());
    emit.writes_flags(Kind::KNOWN);
    Some(())
}
