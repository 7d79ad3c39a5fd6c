//! Moves between YMM and XMM registers, memory and general registers.
//!
//! VMOVAPS and its like, and those past the caches, are the only VEX-encoded instructions whose operand
//! in memory has to be aligned: to its length.

use super::super::address::Address;
use super::super::dispatch::Flow;
use super::super::emit::{ByForm, Emit, Function, by_form};
use super::super::op::{Detail, Op};
use super::super::sse::FromGeneral;
use super::super::sse::element::{
    Byte, Doubleword, Insertps, InsertpsFromMemory, Quadword, Word, extract,
};
use super::super::sse::handler::{into_general, misaligned};
use super::super::sse::moves::{
    Bits, Copy, MoveHighToLow, MoveLow32, MoveLow64, MoveLowToHigh, ZeroExtend64, mask_move,
};
use super::super::sse::vector::{Aligned, High64, Lanes, Load, Low32, Low64, Store, Unaligned};
use super::super::sse::{Operation, ToGeneral};
use super::super::{Cpu, Leave};
use super::handler::{lanes, load, low, out_of_general, store};
use super::{Length, Xmm, Ymm, is_wide, rows};
use crate::memory::Width;
use crate::state::Exception;

rows! {
    Vmovaps => aligned, Vmovapd => aligned, Vmovdqa => aligned,
    Vmovntps => aligned, Vmovntpd => aligned, Vmovntdq => aligned, Vmovntdqa => aligned,
    Vmovups => unaligned, Vmovupd => unaligned, Vmovdqu => unaligned, Vlddqu => unaligned,
    Vmovss => scalar::<Low32, MoveLow32>,
    Vmovsd => scalar::<Low64, MoveLow64>,
    Vmovlps => half::<Low64, MoveLow64>, Vmovlpd => half::<Low64, MoveLow64>,
    Vmovhps => half::<High64, MoveLowToHigh>, Vmovhpd => half::<High64, MoveLowToHigh>,
    Vmovlhps => low::<MoveLowToHigh>,
    Vmovhlps => low::<MoveHighToLow>,
    Vmovd => between::<u32, Low32>,
    Vmovq => movq,
    Vmaskmovdqu => |e| {
        e.call_out(mask_move);
        Some(())
    },
    Vpextrb => extract::<Byte, u8>, Vpextrw => extract::<Word, u16>,
    Vpextrd => extract::<Doubleword, u32>, Vpextrq => extract::<Quadword, u64>,
    Vextractps => extract::<Doubleword, u32>,
    Vpinsrb => out_of_general::<Byte>, Vpinsrw => out_of_general::<Word>,
    Vpinsrd => out_of_general::<Doubleword>, Vpinsrq => out_of_general::<Quadword>,
    Vinsertps => |e| match e.is_memory(2) {
        true => low::<InsertpsFromMemory>(e),
        false => low::<Insertps>(e),
    },
}

/// Loads register `a` from an aligned address.
unsafe extern "C" fn load_aligned<A: Address, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the emitter pairs the handler with an op of this form; the arguments are its own.
    unsafe {
        let linear = A::linear::<N::Of<Aligned>, false>(cpu, op, res, src);
        match is_aligned::<N>(linear) {
            true => load::<Aligned, A, N>(cpu, op, res, src, budget),
            false => misaligned(cpu, op, res, src, budget),
        }
    }
}

/// Stores register `a` at an aligned address.
unsafe extern "C" fn store_aligned<A: Address, N: Length>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the emitter pairs the handler with an op of this form; the arguments are its own.
    unsafe {
        let linear = A::linear::<N::Of<Aligned>, true>(cpu, op, res, src);
        match is_aligned::<N>(linear) {
            true => store::<Aligned, A, N>(cpu, op, res, src, budget),
            false => misaligned(cpu, op, res, src, budget),
        }
    }
}

#[inline(always)]
fn is_aligned<N: Length>(linear: u64) -> bool {
    linear.is_multiple_of(bytes::<N>())
}

/// The bytes of a register.
#[inline(always)]
const fn bytes<N: Length>() -> u64 {
    if N::WIDE { 32 } else { 16 }
}

/// The linear address of an aligned operand outside 64-bit mode, where the fast path does not know that
/// of one that its segment does not simply let through.
fn aligned_linear<N: Length>(cpu: &Cpu, detail: &Detail, write: bool) -> Result<u64, Leave> {
    // The alignment comes first: in the stack segment, another exception.
    let base = cpu.state.segments[super::super::segment_register(detail.segment)].base;
    if !is_aligned::<N>(base.wrapping_add(cpu.effective_address(detail))) {
        return Err(Exception::GP0.into());
    }
    cpu.linear(detail, bytes::<N>(), write)
}

fn load_checked<N: Length>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let linear = aligned_linear::<N>(cpu, detail, false)?;
    let segment = super::super::segment_register(detail.segment);
    let low: u128 = cpu.load(segment, linear)?;
    let high = if N::WIDE { cpu.load(segment, linear + 16)? } else { 0_u128 };
    cpu.set_wide(detail.registers[0], [low.vector(), high.vector()]);
    Ok(())
}

fn store_checked<N: Length>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let linear = aligned_linear::<N>(cpu, detail, true)?;
    let segment = super::super::segment_register(detail.segment);
    let [low, high] = cpu.wide(detail.registers[1]).map(u128::of);
    // An aligned operand is in one page, so the second part does not fault.
    cpu.store(segment, linear, low)?;
    if N::WIDE { cpu.store(segment, linear + 16, high) } else { Ok(()) }
}

/// What an aligned move becomes, by length.
struct AlignedForms {
    load: ByForm,
    store: ByForm,
    load_checked: Function,
    store_checked: Function,
}

const fn aligned_forms<N: Length>() -> AlignedForms {
    AlignedForms {
        load: by_form!(A => load_aligned::<A, N>),
        store: by_form!(A => store_aligned::<A, N>),
        load_checked: load_checked::<N>,
        store_checked: store_checked::<N>,
    }
}

fn aligned(emit: &mut Emit) -> Option<()> {
    let forms = const { &[aligned_forms::<Xmm>(), aligned_forms::<Ymm>()] };
    let forms = &forms[usize::from(is_wide(emit))];
    let in_64_bit_mode = emit.mode.bitness == 64;
    match (emit.is_memory(0), emit.is_memory(1)) {
        (true, _) if in_64_bit_mode => emit.memory_op(&forms.store, emit.register(1), None),
        (_, true) if in_64_bit_mode => emit.memory_op(&forms.load, emit.register(0), None),
        (true, _) => emit.call_out(forms.store_checked),
        (_, true) => emit.call_out(forms.load_checked),
        _ => return lanes::<Copy>(emit),
    }
    Some(())
}

fn unaligned(emit: &mut Emit) -> Option<()> {
    let loads: &[ByForm; 2] = const { &super::handler::whole::<Unaligned>() };
    let stores: &[ByForm; 2] = const {
        &[by_form!(A => store::<Unaligned, A, Xmm>), by_form!(A => store::<Unaligned, A, Ymm>)]
    };
    let wide = usize::from(is_wide(emit));
    match (emit.is_memory(0), emit.is_memory(1)) {
        (true, _) => emit.memory_op(&stores[wide], emit.register(1), None),
        (_, true) => emit.memory_op(&loads[wide], emit.register(0), None),
        _ => return lanes::<Copy>(emit),
    }
    Some(())
}

/// Emits a load that clears all of register `a` that it does not load.
fn load_part<L: Load>(emit: &mut Emit, a: u8) {
    let handlers: &ByForm = const { &by_form!(A => load::<L, A, Xmm>) };
    emit.memory_op(handlers, a, None);
}

fn store_part<S: Load + Store>(emit: &mut Emit, a: u8) {
    let handlers: &ByForm = const { &by_form!(A => store::<S, A, Xmm>) };
    emit.memory_op(handlers, a, None);
}

/// VMOVSS and VMOVSD: between registers they have three operands.
fn scalar<M: Load + Store, R: Operation>(emit: &mut Emit) -> Option<()> {
    match (emit.is_memory(0), emit.is_memory(1)) {
        (true, _) => store_part::<M>(emit, emit.register(1)),
        (_, true) => load_part::<M>(emit, emit.register(0)),
        _ => return low::<R>(emit),
    }
    Some(())
}

/// VMOVLPS, VMOVHPS and their like: to memory, or from memory and a register.
fn half<S: Load + Store, R: Operation>(emit: &mut Emit) -> Option<()> {
    if emit.is_memory(0) {
        store_part::<S>(emit, emit.register(1));
        return Some(());
    }
    super::handler::low_with::<R, Low64>(emit)
}

/// VMOVD and VMOVQ between an XMM register and a general register or memory.
fn between<W: Width, M: Load + Store>(emit: &mut Emit) -> Option<()>
where
    Bits<W, M>: ToGeneral + FromGeneral,
{
    match (emit.is_memory(0), emit.is_memory(1)) {
        (true, _) => store_part::<M>(emit, emit.register(1)),
        (_, true) => load_part::<M>(emit, emit.register(0)),
        _ if emit.instruction.op_register(0).is_xmm() => {
            return out_of_general::<Bits<W, M>>(emit);
        }
        _ => return into_general::<Bits<W, M>>(emit),
    }
    Some(())
}

fn movq(emit: &mut Emit) -> Option<()> {
    let xmm = |position| emit.instruction.op_register(position).is_xmm();
    match xmm(0) && xmm(1) {
        true => low::<ZeroExtend64>(emit),
        false => between::<u64, Low64>(emit),
    }
}
