//! SSE to SSE4.2, AES, PCLMULQDQ and SHA on XMM registers.
//!
//! An instruction is a row that names a type, and the type says what the instruction does with
//! vectors: an [`Operation`] computes a vector from two, a [`ThreeSources`] from three, [`ToGeneral`],
//! [`FromGeneral`] and [`Compare`] have an end in general registers or flags. [`handler`] makes ops of
//! them. An operand in memory is loaded by an op of its own into a register that no guest sees; what
//! compiled code does most often has ops that do both.
//!
//! `compute` says what an operation does, in portable code and integers. `apply` does the same with the
//! host's own instruction, and `NEEDS` tells what the host must have for that beyond SSE2; elsewhere
//! [`Portable`] stands for the operation.
//!
//! The types know neither registers nor encodings, so other encodings lift them: of a VEX instruction
//! with 128 bits the first source is `destination`, and one with 256 bits is mostly the same operation
//! on each half. The same holds for MMX registers, whose rows stand behind a second arrow ([`rows`]).

pub(super) mod aes;
pub(super) mod arithmetic;
pub(super) mod carry_less;
pub(super) mod compare;
pub(super) mod control;
pub(super) mod convert;
mod copied;
pub(super) mod element;
pub(super) mod handler;
pub(crate) mod host_float;
pub(super) mod integer;
pub(super) mod moves;
mod neighbours;
pub(super) mod pack;
pub(super) mod pair;
pub(super) mod rounds;
pub(super) mod sha;
pub(super) mod shift;
pub(super) mod shuffle;
pub(super) mod signs;
pub(super) mod soft_float;
pub(super) mod sse3;
pub(super) mod sse4_1;
pub(super) mod sse4_2;
pub(super) mod ssse3;
pub(super) mod text;
pub(crate) mod vector;

use core::marker::PhantomData;

use self::vector::{Lanes, Load, Vector};
use super::emit::{Emit, Vectors};
use super::host_vector::HostVector;
use super::op::Detail;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::state::Exception;

/// Computes a vector from the destination and the source.
pub(in crate::execute) trait Operation: 'static {
    /// What a source in memory is.
    type Source: Load;
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool;
    /// What the host must have for `apply`.
    const NEEDS: HostVector = HostVector::empty();

    /// The new destination, and flags in `mxcsr`.
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector;

    /// The same by the host's means: its own MXCSR may stand for `mxcsr`, with all exceptions
    /// masked.
    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        Self::compute(mxcsr, destination, source, immediate)
    }
}

/// Computes a vector from the destination, the source and a third vector, which the encoding names or
/// implies.
pub(in crate::execute) trait ThreeSources: 'static {
    /// What a source in memory is.
    type Source: Load;
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool;
    /// As [`Operation::NEEDS`].
    const NEEDS: HostVector = HostVector::empty();

    /// The new destination, and flags in `mxcsr`.
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, third: Vector) -> Vector;

    /// As [`Operation::apply`].
    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: Vector, third: Vector) -> Vector {
        Self::compute(mxcsr, destination, source, third)
    }
}

/// An operation without what the host has. Those on three sources keep nothing in memory.
pub(in crate::execute) struct Portable<O>(PhantomData<O>);

impl<O: Operation> Operation for Portable<O> {
    type Source = O::Source;
    const FLOATS: bool = O::FLOATS;
    #[inline(always)]
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        /// By values and behind a call: what the computation has on its stack is gone when the handler
        /// goes on, so that can be a jump.
        #[inline(never)]
        fn apart<O: Operation>(mxcsr: &mut u32, left: u128, right: u128, immediate: u8) -> u128 {
            u128::of(O::compute(mxcsr, left.vector(), right.vector(), immediate))
        }
        apart::<O>(mxcsr, u128::of(destination), u128::of(source), immediate).vector()
    }
}

impl<O: ThreeSources> ThreeSources for Portable<O> {
    type Source = O::Source;
    const FLOATS: bool = O::FLOATS;
    #[inline(always)]
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, third: Vector) -> Vector {
        O::compute(mxcsr, destination, source, third)
    }
}

/// Computes a general register's new value from a vector.
pub(in crate::execute) trait ToGeneral: 'static {
    /// What a source in memory is.
    type Source: Load;
    /// Width of the general register.
    type Width: Width;
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool;

    /// The new value, and flags in `mxcsr`.
    fn compute(mxcsr: &mut u32, source: Vector, immediate: u8) -> u64;

    /// As [`Operation::apply`].
    #[inline(always)]
    fn apply(mxcsr: &mut u32, source: Vector, immediate: u8) -> u64 {
        Self::compute(mxcsr, source, immediate)
    }
}

/// Computes a vector from the destination and a general register or its like in memory.
pub(in crate::execute) trait FromGeneral: 'static {
    /// What a source in memory is.
    type Source: Load;
    /// Width of the general register.
    type Width: Width;
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool;

    /// The new destination, and flags in `mxcsr`.
    fn compute(mxcsr: &mut u32, destination: Vector, source: u64, immediate: u8) -> Vector;

    /// As [`Operation::apply`].
    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: u64, immediate: u8) -> Vector {
        Self::compute(mxcsr, destination, source, immediate)
    }
}

/// Computes the status flags from two vectors.
pub(in crate::execute) trait Compare: 'static {
    /// What the right operand in memory is.
    type Source: Load;

    /// The flags in RFLAGS's places, and MXCSR's in `mxcsr`.
    fn compute(mxcsr: &mut u32, left: Vector, right: Vector) -> u64;

    /// As [`Operation::apply`].
    #[inline(always)]
    fn apply(mxcsr: &mut u32, left: Vector, right: Vector) -> u64 {
        Self::compute(mxcsr, left, right)
    }
}

/// The rows of instructions on XMM registers: each is emitted where SSE is enabled. Behind a second
/// arrow is what emits the form on MMX registers, if there is one.
macro_rules! rows {
    ($($mnemonic:ident => $emit:expr $(=> $mmx:expr)?),* $(,)?) => {
        pub(in crate::execute) const ROWS: &[$crate::execute::table::Row] = &[
            $((iced_x86::Mnemonic::$mnemonic, |emit| {
                $(if $crate::execute::sse::is_mmx(emit) {
                    let emit_mmx: $crate::execute::emit::EmitFn = $mmx;
                    return emit_mmx(emit);
                })?
                $crate::execute::sse::enabled(emit, $emit)
            })),*
        ];
    };
}
use rows;

/// Whether an operand is an MMX register.
pub(in crate::execute) fn is_mmx(emit: &Emit) -> bool {
    let instruction = &emit.instruction;
    (0..instruction.op_count()).any(|position| instruction.op_register(position).is_mm())
}

/// Floating-point operations, which may raise exceptions or not: the host's own instruction, and what
/// computes them elsewhere.
macro_rules! native {
    (FLOATS = $floats:literal, NEEDS = $needs:expr; $($name:ident: $source:ty, $instruction:literal, $computed:expr);* $(;)?) => {
        $(pub(in crate::execute) struct $name;
        impl $crate::execute::sse::Operation for $name {
            type Source = $source;
            const FLOATS: bool = $floats;
            const NEEDS: $crate::execute::host_vector::HostVector = $needs;

            fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let computed = $computed;
                computed(&mut $crate::execute::sse::soft_float::Environment(mxcsr), destination, source)
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let mut result = destination;
                $crate::execute::sse::instruction!(
                    concat!($instruction, " {0}, {1}"), inout(xmm_reg) result, in(xmm_reg) source);
                result
            }
        })*
    };
}
use native;

/// Integer operations that the host has an instruction for, beyond what it always has.
macro_rules! accelerated {
    (NEEDS = $needs:expr; $($name:ident: $source:ty, $instruction:literal, $lanes:ty, |$destination:pat_param, $from:pat_param| $result:expr;)*) => {
        $(pub(in crate::execute) struct $name;
        impl $crate::execute::sse::Operation for $name {
            type Source = $source;
            const FLOATS: bool = false;
            const NEEDS: $crate::execute::host_vector::HostVector = $needs;

            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let ($destination, $from) = (<$lanes>::of(destination), <$lanes>::of(source));
                $result.vector()
            }

            #[cfg(all(target_arch = "x86_64", not(miri)))]
            #[inline(always)]
            fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                $crate::execute::sse::pure!(concat!($instruction, " {0}, {1}"), destination, source)
            }
        })*
    };
}
use accelerated;

/// One instruction of the host that makes a vector of two, and reads and changes nothing else.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! pure {
    ($text:expr, $destination:expr, $source:expr $(, const $immediate:ident)?) => {{
        let mut result: Vector = $destination;
        // SAFETY: the instruction touches its operands alone, and is only used where the host has it.
        unsafe {
            core::arch::asm!($text, inout(xmm_reg) result, in(xmm_reg) $source $(, const $immediate)?,
                options(pure, nomem, nostack, preserves_flags));
        }
        result
    }};
}
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(super) use pure;

/// As [`pure`], for instructions that take a third vector from XMM0.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! with_xmm0 {
    ($text:expr, $destination:expr, $source:expr, $third:expr) => {{
        let mut result: Vector = $destination;
        // SAFETY: as for `pure`.
        unsafe {
            core::arch::asm!($text, inout(xmm_reg) result, in(xmm_reg) $source, in("xmm0") $third,
                options(pure, nomem, nostack, preserves_flags));
        }
        result
    }};
}
#[cfg(all(target_arch = "x86_64", not(miri)))]
use with_xmm0;

/// One instruction of the host that reads MXCSR and may set flags there, for which reason it does
/// not promise to be pure, and clobbers the status flags.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! instruction {
    ($text:expr, $($operands:tt)*) => {
        // SAFETY: the instruction touches its operands and MXCSR's flags, which are the guest's.
        unsafe {
            core::arch::asm!($text, $($operands)*, options(nomem, nostack));
        }
    };
}
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(super) use instruction;

/// Emits an instruction on XMM registers, if the system has enabled them.
pub(in crate::execute) fn enabled(
    emit: &mut Emit,
    then: impl Fn(&mut Emit) -> Option<()>,
) -> Option<()> {
    available(emit, emit.mode.sse, then)
}

/// Emits an instruction on vector registers that the system keeps as `vectors` says.
pub(in crate::execute) fn available(
    emit: &mut Emit,
    vectors: Vectors,
    then: impl Fn(&mut Emit) -> Option<()>,
) -> Option<()> {
    match vectors {
        Vectors::Enabled => then(emit),
        Vectors::Undefined => None,
        Vectors::NotAvailable => {
            emit.call_out_last(not_available);
            Some(())
        }
    }
}

fn not_available(_: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Err(Exception::NM.into())
}
