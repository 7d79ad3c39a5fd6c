//! SSE and SSE2 on XMM registers.
//!
//! An instruction is a row that names a type, and the type says what the instruction does with
//! vectors: an [`Operation`] computes a vector from two, [`ToGeneral`], [`FromGeneral`] and
//! [`Compare`] have an end in general registers or flags. [`handler`] makes ops of them. An operand
//! in memory is loaded by an op of its own into a register that no guest sees; what compiled code
//! does most often has ops that do both.
//!
//! Absent: instructions with MMX registers, which raise #UD, for MMX is not offered.

pub(super) mod arithmetic;
pub(super) mod compare;
pub(super) mod control;
pub(super) mod convert;
mod handler;
pub(crate) mod host_float;
pub(super) mod integer;
pub(super) mod moves;
pub(super) mod pack;
pub(super) mod pair;
pub(super) mod shift;
pub(super) mod shuffle;
pub(super) mod signs;
mod soft_float;
pub(crate) mod vector;

use iced_x86::CpuidFeature;

use self::vector::{Load, Vector};
use super::emit::{Emit, EmitFn, Sse};
use super::op::Detail;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::state::Exception;

/// Computes a vector from the destination and the source.
trait Operation: 'static {
    /// What a source in memory is.
    type Source: Load;
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool;

    /// The new destination, and flags in `mxcsr`.
    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector;

    /// The same by the host's means: its own MXCSR may stand for `mxcsr`, with all exceptions
    /// masked.
    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        Self::compute(mxcsr, destination, source, immediate)
    }
}

/// Computes a general register's new value from a vector.
trait ToGeneral: 'static {
    /// What a source in memory is.
    type Source: Load;
    /// Width of the general register.
    type Width: Width;
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool;

    /// The new value, and flags in `mxcsr`.
    fn compute(mxcsr: &mut u32, source: Vector) -> u64;

    /// As [`Operation::apply`].
    #[inline(always)]
    fn apply(mxcsr: &mut u32, source: Vector) -> u64 {
        Self::compute(mxcsr, source)
    }
}

/// Computes a vector from the destination and a general register or its like in memory.
trait FromGeneral: 'static {
    /// What a source in memory is.
    type Source: Load;
    /// Width of the general register.
    type Width: Width;
    /// Whether floating-point exceptions may occur.
    const FLOATS: bool;

    /// The new destination, and flags in `mxcsr`.
    fn compute(mxcsr: &mut u32, destination: Vector, source: u64) -> Vector;

    /// As [`Operation::apply`].
    #[inline(always)]
    fn apply(mxcsr: &mut u32, destination: Vector, source: u64) -> Vector {
        Self::compute(mxcsr, destination, source)
    }
}

/// Computes the status flags from two vectors.
trait Compare: 'static {
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

/// The rows of instructions on XMM registers: each is emitted where SSE is enabled.
macro_rules! rows {
    ($($mnemonic:ident => $emit:expr),* $(,)?) => {
        pub(in crate::execute) const ROWS: &[$crate::execute::table::Row] = &[
            $((iced_x86::Mnemonic::$mnemonic, |emit| $crate::execute::sse::enabled(emit, $emit))),*
        ];
    };
}
use rows;

/// Floating-point operations, which may raise exceptions or not: the host's own instruction, and what
/// computes them elsewhere.
macro_rules! native {
    (FLOATS = $floats:literal; $($name:ident: $source:ty, $instruction:literal, $computed:expr);* $(;)?) => {
        $(pub(super) struct $name;
        impl $crate::execute::sse::Operation for $name {
            type Source = $source;
            const FLOATS: bool = $floats;

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
use instruction;

/// Emits an instruction if it is SSE's or SSE2's and works on XMM registers, and the system has
/// enabled them.
fn enabled(emit: &mut Emit, then: EmitFn) -> Option<()> {
    let instruction = &emit.instruction;
    let offered = instruction
        .cpuid_features()
        .iter()
        .all(|feature| matches!(feature, CpuidFeature::SSE | CpuidFeature::SSE2));
    let mmx = (0..instruction.op_count()).any(|position| instruction.op_register(position).is_mm());
    if !offered || mmx {
        return None;
    }
    match emit.mode.sse {
        Sse::Enabled => then(emit),
        Sse::Undefined => None,
        Sse::NotAvailable => {
            emit.call_out_last(not_available);
            Some(())
        }
    }
}

fn not_available(_: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Err(Exception::NM.into())
}
