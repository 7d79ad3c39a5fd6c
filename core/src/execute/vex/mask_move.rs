//! VMASKMOV and VPMASKMOV: loads and stores of the elements whose mask has its top bit set.
//!
//! The others are not accessed: they neither fault nor are they written, and a load clears them. No
//! element is checked for its alignment, so those that are not aligned are accessed by bytes.

use super::super::emit::{Emit, Function};
use super::super::op::Detail;
use super::super::sse::vector::Lanes;
use super::super::{Cpu, Leave};
use super::{Length, Wide, Xmm, Ymm, is_wide, rows};
use crate::memory::Width;
use crate::state::SegmentRegister;

rows! {
    Vmaskmovps => mask_move::<u32>, Vpmaskmovd => mask_move::<u32>,
    Vmaskmovpd => mask_move::<u64>, Vpmaskmovq => mask_move::<u64>,
}

fn mask_move<W: Width>(emit: &mut Emit) -> Option<()> {
    let loads: [Function; 2] = [load_masked::<W, Xmm>, load_masked::<W, Ymm>];
    let stores: [Function; 2] = [store_masked::<W, Xmm>, store_masked::<W, Ymm>];
    let functions = if emit.is_memory(0) { stores } else { loads };
    emit.call_out(functions[usize::from(is_wide(emit))]);
    Some(())
}

/// The bytes of a YMM register.
pub(super) fn bytes(value: Wide) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&<[u8; 16]>::of(value[0]));
    bytes[16..].copy_from_slice(&<[u8; 16]>::of(value[1]));
    bytes
}

/// The YMM register with these bytes.
pub(super) fn wide(bytes: [u8; 32]) -> Wide {
    let half = |at: usize| core::array::from_fn::<u8, 16, _>(|index| bytes[at + index]).vector();
    [half(0), half(16)]
}

/// The offsets of the elements that are moved.
fn chosen<W: Width, N: Length>(mask: [u8; 32]) -> impl Iterator<Item = usize> {
    let length = if N::WIDE { 32 } else { 16 };
    (0..length).step_by(W::BYTES).filter(move |at| mask[at + W::BYTES - 1] & 0x80 != 0)
}

/// The linear address of the element at `at`.
fn element<W: Width>(
    cpu: &Cpu,
    detail: &Detail,
    segment: SegmentRegister,
    at: usize,
    write: bool,
) -> Result<u64, Leave> {
    let address_mask = super::super::operand::address_mask(detail.address_bits);
    let offset = cpu.effective_address(detail).wrapping_add(at as u64) & address_mask;
    cpu.segment_linear(segment, offset, W::BYTES as u64, write)
}

fn load_masked<W: Width, N: Length>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let mask = bytes(cpu.wide(detail.registers[1]));
    let segment = super::super::segment_register(detail.segment);
    let mut loaded = [0; 32];
    for at in chosen::<W, N>(mask) {
        let linear = element::<W>(cpu, detail, segment, at, false)?;
        let into = &mut loaded[at..at + W::BYTES];
        if linear.is_multiple_of(W::BYTES as u64) {
            let value: W = cpu.load(segment, linear)?;
            into.copy_from_slice(&value.extend().to_le_bytes()[..W::BYTES]);
            continue;
        }
        cpu.probe_read(segment, linear, W::BYTES as u32)?;
        for (index, byte) in (0..).zip(into) {
            *byte = cpu.load(segment, cpu.following(linear, index))?;
        }
    }
    cpu.set_wide(detail.registers[0], wide(loaded));
    Ok(())
}

/// Nothing is written if any element faults.
fn store_masked<W: Width, N: Length>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let mask = bytes(cpu.wide(detail.registers[1]));
    let values = bytes(cpu.wide(detail.registers[2]));
    let segment = super::super::segment_register(detail.segment);
    for at in chosen::<W, N>(mask) {
        let linear = element::<W>(cpu, detail, segment, at, true)?;
        cpu.probe_write(segment, linear, W::BYTES as u32)?;
    }
    for at in chosen::<W, N>(mask) {
        let linear = element::<W>(cpu, detail, segment, at, true)?;
        let value = &values[at..at + W::BYTES];
        if linear.is_multiple_of(W::BYTES as u64) {
            let mut word = [0; 8];
            word[..W::BYTES].copy_from_slice(value);
            cpu.store(segment, linear, W::truncate(u64::from_le_bytes(word)))?;
            continue;
        }
        for (index, byte) in (0..).zip(value) {
            cpu.store(segment, cpu.following(linear, index), *byte)?;
        }
    }
    Ok(())
}
