//! VEX-encoded vector instructions: AVX, AVX2, FMA and F16C on XMM and YMM registers.
//!
//! A YMM register is two halves of 128 bits, which are apart in the state, and most instructions do in
//! each half what those of `sse` do in a register. So most rows here lift an operation from there
//! ([`handler::lanes`]): three operands instead of two, a second half or a cleared one. On x86-64 hosts
//! each half is one instruction of the host's. What moves elements from one half to the other, or makes
//! one of two sizes, is a [`Lift`]. Operands in memory need no alignment, except where `moves` says so.
//!
//! VEX-encoded instructions on general registers are elsewhere, in their groups.
//!
//! Invariant: an instruction writes both halves of its destination; instructions of `sse` leave the upper
//! one as it is.

pub(super) mod aes;
pub(super) mod arithmetic;
pub(super) mod broadcast;
pub(super) mod coded;
pub(super) mod compare;
pub(super) mod control;
pub(super) mod convert;
pub(super) mod extend;
pub(super) mod fma;
pub(super) mod gather;
mod handler;
pub(super) mod integer;
pub(super) mod mask_move;
pub(super) mod moves;
pub(super) mod permute;
pub(super) mod shift;
pub(super) mod shuffle;
pub(super) mod text;
pub(super) mod variable_shift;

use core::marker::PhantomData;

use super::Cpu;
use super::address::{Bytes32, Extent};
use super::emit::{Emit, EmitFn};
use super::host_vector::HostVector;
use super::sse::vector::{Lanes, Load, Vector};
use super::sse::{Operation, available};

/// A YMM register: its lower and its upper half.
type Wide = [Vector; 2];

/// How many bits an instruction works on: VEX.L.
trait Length: 'static {
    /// Whether they are 256.
    const WIDE: bool;
    /// What is accessed of an operand in memory that `L` is half of.
    type Of<L: Load>: Extent;
}

/// 128 bits; the upper half of the destination is cleared.
struct Xmm;
/// 256 bits.
struct Ymm;

impl Length for Xmm {
    const WIDE: bool = false;
    type Of<L: Load> = L::Memory;
}

impl Length for Ymm {
    const WIDE: bool = true;
    type Of<L: Load> = Bytes32;
}

/// Computes a YMM register from two. Where the length is 128 bits, the upper half of the result is zero.
trait Lift: 'static {
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool = false;
    /// What the host must have for `apply`.
    const NEEDS: HostVector = HostVector::empty();

    /// The destination, and flags in `mxcsr`. `immediate` has a byte for each half.
    fn compute<N: Length>(mxcsr: &mut u32, left: Wide, right: Wide, immediate: [u8; 2]) -> Wide;

    /// The same by the host's means, as of an [`Operation`].
    #[inline(always)]
    fn apply<N: Length>(mxcsr: &mut u32, left: Wide, right: Wide, immediate: [u8; 2]) -> Wide {
        Self::compute::<N>(mxcsr, left, right, immediate)
    }
}

/// An operation in each half.
struct Each<O>(PhantomData<O>);

impl<O: Operation> Lift for Each<O> {
    const FLOATS: bool = O::FLOATS;
    const NEEDS: HostVector = O::NEEDS;

    #[inline(always)]
    fn compute<N: Length>(mxcsr: &mut u32, left: Wide, right: Wide, immediate: [u8; 2]) -> Wide {
        let half =
            |mxcsr: &mut u32, at: usize| O::compute(mxcsr, left[at], right[at], immediate[at]);
        let low = half(mxcsr, 0);
        [low, if N::WIDE { half(mxcsr, 1) } else { zero() }]
    }

    #[inline(always)]
    fn apply<N: Length>(mxcsr: &mut u32, left: Wide, right: Wide, immediate: [u8; 2]) -> Wide {
        // Not by a closure: one that is not inlined has the handler call the next one.
        let low = O::apply(mxcsr, left[0], right[0], immediate[0]);
        let high = if N::WIDE { O::apply(mxcsr, left[1], right[1], immediate[1]) } else { zero() };
        [low, high]
    }
}

#[inline(always)]
fn zero() -> Vector {
    0_u128.vector()
}

impl Cpu {
    /// YMM register `number`.
    #[inline(always)]
    fn wide(&self, number: u8) -> Wide {
        [self.vector(number), self.upper(number)]
    }

    /// Writes YMM register `number`.
    #[inline(always)]
    fn set_wide(&mut self, number: u8, [low, high]: Wide) {
        self.set_vector(number, low);
        self.set_upper(number, high);
    }
}

/// The rows of instructions on YMM registers: each is emitted where AVX is enabled.
macro_rules! rows {
    ($($mnemonic:ident => $emit:expr),* $(,)?) => {
        pub(in crate::execute) const ROWS: &[$crate::execute::table::Row] = &[
            $((iced_x86::Mnemonic::$mnemonic, |emit| $crate::execute::vex::enabled(emit, $emit))),*
        ];
    };
}
use rows;

/// Emits an instruction if the system has enabled the registers.
fn enabled(emit: &mut Emit, then: EmitFn) -> Option<()> {
    available(emit, emit.mode.avx, then)
}

/// Whether the instruction at hand has 256-bit operands, in registers, in memory or as indices.
fn is_wide(emit: &Emit) -> bool {
    let instruction = &emit.instruction;
    (0..instruction.op_count()).any(|position| instruction.op_register(position).is_ymm())
        || instruction.memory_index().is_ymm()
        || instruction.memory_size().size() == Bytes32::LENGTH
}
