//! Moves between XMM registers, memory and general registers.

use super::super::emit::{Emit, functions};
use super::super::mmx;
use super::super::op::Detail;
use super::super::{Cpu, Leave};
use super::handler::{into_general, load_register, operation, out_of_general, store_register};
use super::vector::{
    Aligned, High64, Lanes, Load, Low32, Low64, MergeLow64, Store, Unaligned, Vector,
};
use super::{FromGeneral, Operation, ToGeneral, enabled, rows};
use crate::memory::Width;
use crate::paging::AccessKind;
use crate::state::{Register, SegmentRegister};

rows! {
    Movaps => whole::<Aligned>,
    Movapd => whole::<Aligned>,
    Movdqa => whole::<Aligned>,
    Movups => whole::<Unaligned>,
    Movupd => whole::<Unaligned>,
    Movdqu => whole::<Unaligned>,
    Movntps => whole::<Aligned>,
    Movntpd => whole::<Aligned>,
    Movntdq => whole::<Aligned>,
    Movss => part::<Low32, Low32, MoveLow32>,
    Movlps => part::<MergeLow64, Low64, MoveLow64>,
    Movlpd => part::<MergeLow64, Low64, MoveLow64>,
    Movhps => part::<High64, High64, MoveLowToHigh>,
    Movhpd => part::<High64, High64, MoveLowToHigh>,
    Movlhps => operation::<MoveLowToHigh>,
    Movhlps => operation::<MoveHighToLow>,
    Movd => between::<u32, Low32> => mmx::moves::movd,
    Movq => movq => mmx::moves::movq,
    Maskmovdqu => |e| {
        e.call_out(mask_move);
        Some(())
    },
}

/// MOVNTI needs nothing of SSE's state.
pub(in crate::execute) const STORE_ROWS: &[super::super::table::Row] =
    &[(iced_x86::Mnemonic::Movnti, |emit| {
        emit.call_out(functions!(store_general)[emit.width(1)]);
        Some(())
    })];

fn store_general<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let value = cpu.read::<W>(detail, 1)?;
    cpu.write::<W>(detail, 0, value)
}

/// Operations that move parts of registers.
macro_rules! moves {
    ($($(#[$doc:meta])* $name:ident: |$destination:ident, $source:ident| $result:expr;)*) => {
        $($(#[$doc])* pub(in crate::execute) struct $name;
        impl Operation for $name {
            type Source = Unaligned;
            const FLOATS: bool = false;
            #[inline(always)]
            fn compute(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
                let ($destination, $source) = (destination, source);
                $result
            }
        })*
    };
}

moves! {
    /// All of it.
    Copy: |_destination, source| source;
    /// The low element; the others stay.
    MoveLow32: |destination, source| {
        let ([_, b, c, d], [a, ..]) = (<[u32; 4]>::of(destination), <[u32; 4]>::of(source));
        [a, b, c, d].vector()
    };
    /// The low half; the high one stays.
    MoveLow64: |destination, source| {
        let ([_, high], [low, _]) = (<[u64; 2]>::of(destination), <[u64; 2]>::of(source));
        [low, high].vector()
    };
    /// The low half; the high one is cleared.
    ZeroExtend64: |_destination, source| [<[u64; 2]>::of(source)[0], 0].vector();
    /// The low half goes to the high one.
    MoveLowToHigh: |destination, source| {
        let ([low, _], [high, _]) = (<[u64; 2]>::of(destination), <[u64; 2]>::of(source));
        [low, high].vector()
    };
    /// The high half goes to the low one.
    MoveHighToLow: |destination, source| {
        let ([_, high], [_, low]) = (<[u64; 2]>::of(destination), <[u64; 2]>::of(source));
        [low, high].vector()
    };
}

/// A move of 16 bytes.
fn whole<F: Load + Store>(emit: &mut Emit) -> Option<()> {
    part::<F, F, Copy>(emit)
}

/// A move between a register and memory, or of some part between registers.
fn part<L: Load, S: Store, R: Operation>(emit: &mut Emit) -> Option<()> {
    match (emit.is_memory(0), emit.is_memory(1)) {
        (true, _) => store_register::<S>(emit),
        (_, true) => load_register::<L>(emit),
        _ => operation::<R>(emit),
    }
}

/// MOVSD, whose mnemonic string instructions have, too: the row is theirs.
pub(in crate::execute) fn movsd(emit: &mut Emit) -> Option<()> {
    enabled(emit, part::<Low64, Low64, MoveLow64>)
}

/// MOVD and MOVQ between an XMM register and a general register or memory.
fn between<W: Width, M: Load + Store>(emit: &mut Emit) -> Option<()>
where
    Bits<W, M>: ToGeneral + FromGeneral,
{
    match (emit.is_memory(0), emit.is_memory(1)) {
        (true, _) => store_register::<M>(emit),
        (_, true) => load_register::<M>(emit),
        _ if emit.instruction.op_register(0).is_xmm() => out_of_general::<Bits<W, M>>(emit),
        _ => into_general::<Bits<W, M>>(emit),
    }
}

fn movq(emit: &mut Emit) -> Option<()> {
    let xmm = |position| emit.instruction.op_register(position).is_xmm();
    match xmm(0) && xmm(1) {
        true => operation::<ZeroExtend64>(emit),
        false => between::<u64, Low64>(emit),
    }
}

/// Low bits as they are.
pub(in crate::execute) struct Bits<W, M>(core::marker::PhantomData<(W, M)>);

impl<W: Width, M: Load> ToGeneral for Bits<W, M> {
    type Source = M;
    type Width = W;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, source: Vector, _: u8) -> u64 {
        <[u64; 2]>::of(source)[0]
    }
}

impl<W: Width, M: Load> FromGeneral for Bits<W, M> {
    type Source = M;
    type Width = W;
    const FLOATS: bool = false;
    #[inline(always)]
    fn compute(_: &mut u32, _: Vector, source: u64, _: u8) -> Vector {
        [source, 0].vector()
    }
}

/// MASKMOVDQU: stores the bytes whose mask has its top bit set, at DS:RDI. Where the bytes that are
/// not stored could not be, it faults nevertheless, as processors do (SDM, MASKMOVDQU, leaves it open);
/// they look at one quadword, then at the other.
pub(in crate::execute) fn mask_move(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    const QUADWORD: usize = 8;
    let values = <[u8; 16]>::of(cpu.vector(detail.registers[1]));
    let mask = <[u8; 16]>::of(cpu.vector(detail.registers[2]));
    let segment: SegmentRegister = super::super::segment_register(detail.segment);
    let address_mask = super::super::operand::address_mask(detail.address_bits);
    let mut halves = [0; 2];
    for (half, linear) in halves.iter_mut().enumerate() {
        let offset = cpu.state.gpr[Register::Rdi].wrapping_add((half * QUADWORD) as u64);
        *linear = cpu.segment_linear(segment, offset & address_mask, QUADWORD as u64, true)?;
        cpu.mmu
            .check_alignment(&cpu.state, *linear, QUADWORD, AccessKind::Write)
            .map_err(|error| Leave::access(error, segment))?;
        cpu.probe_write(segment, *linear, QUADWORD as u32)?;
    }
    for index in (0..values.len()).filter(|&index| mask[index] & 0x80 != 0) {
        let linear = cpu.following(halves[index / QUADWORD], (index % QUADWORD) as u64);
        cpu.store(segment, linear, values[index])?;
    }
    Ok(())
}
