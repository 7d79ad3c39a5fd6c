//! VGATHER and VPGATHER: elements from addresses that a vector of indices names, where the mask has its
//! top bit set.
//!
//! An element that has been loaded is in the destination, and its mask is cleared; so the instruction goes
//! on where a fault has stopped it. Where a device has to be asked nothing is changed, because the whole
//! instruction is executed anew with the answers.

use super::super::emit::{Emit, Function};
use super::super::op::Detail;
use super::super::operand::address_mask;
use super::super::{Cpu, Leave};
use super::mask_move::{bytes, wide};
use super::{is_wide, rows};
use crate::memory::Width;
use crate::state::Exception;

rows! {
    Vgatherdps => gather::<u32, u32>, Vpgatherdd => gather::<u32, u32>,
    Vgatherdpd => gather::<u32, u64>, Vpgatherdq => gather::<u32, u64>,
    Vgatherqps => gather::<u64, u32>, Vpgatherqd => gather::<u64, u32>,
    Vgatherqpd => gather::<u64, u64>, Vpgatherqq => gather::<u64, u64>,
}

/// `I` is the width of indices, `W` that of elements.
fn gather<I: Width, W: Width>(emit: &mut Emit) -> Option<()> {
    let instruction = &emit.instruction;
    // The size of addresses is that of the base, if there is one, and else that of the displacement.
    let bits = match (instruction.memory_base().size(), instruction.memory_displ_size()) {
        (4, _) | (0, 4) => 32,
        _ => 64,
    };
    // The vector with more bytes has the length of the instruction.
    let length = if is_wide(emit) { 32 } else { 16 };
    let count = length / I::BYTES.max(W::BYTES);
    let function: Function = gather_elements::<I, W>;
    emit.call_out_with_immediate(function, (count as u64) << 8 | bits);
    Some(())
}

fn gather_elements<I: Width, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let [bits, count, ..] = detail.immediate.to_le_bytes();
    let (count, limit) = (usize::from(count), address_mask(bits));
    let [target, _, mask_register, _] = detail.registers;
    let indices = bytes(cpu.wide(detail.index_register));
    let before = bytes(cpu.wide(mask_register));
    let mut values = bytes(cpu.wide(target));
    let wanted = |index: usize| before[index * W::BYTES + W::BYTES - 1] & 0x80 != 0;
    // What is behind the elements is cleared, in the mask as well.
    let mut mask = [0; 32];
    for index in (0..count).filter(|&index| wanted(index)) {
        mask[index * W::BYTES..(index + 1) * W::BYTES].fill(0xff);
    }
    values[count * W::BYTES..].fill(0);
    let segment = super::super::segment_register(detail.segment);
    let base = cpu.get::<u64>(detail.base).wrapping_add(detail.displacement);
    for index in (0..count).filter(|&index| wanted(index)) {
        let mut word = [0; 8];
        word[..I::BYTES].copy_from_slice(&indices[index * I::BYTES..(index + 1) * I::BYTES]);
        let scaled = I::truncate(u64::from_le_bytes(word)).sign_extend() << detail.scale;
        let loaded = cpu
            .segment_linear(segment, base.wrapping_add(scaled) & limit, W::BYTES as u64, false)
            .and_then(|linear| cpu.load::<W>(segment, linear));
        let value = match loaded {
            Ok(value) => value.extend().to_le_bytes(),
            Err(Leave::Exception(exception)) => return stop(cpu, detail, values, mask, exception),
            Err(other) => return Err(other),
        };
        let element = index * W::BYTES..(index + 1) * W::BYTES;
        values[element.clone()].copy_from_slice(&value[..W::BYTES]);
        mask[element].fill(0);
    }
    cpu.set_wide(target, wide(values));
    cpu.set_wide(mask_register, wide(mask));
    Ok(())
}

/// Keeps what has been loaded, and raises `exception`.
fn stop(
    cpu: &mut Cpu,
    detail: &Detail,
    values: [u8; 32],
    mask: [u8; 32],
    exception: Exception,
) -> Result<(), Leave> {
    cpu.set_wide(detail.registers[0], wide(values));
    cpu.set_wide(detail.registers[2], wide(mask));
    Err(exception.into())
}
