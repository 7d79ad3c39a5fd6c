//! CRC32 of SSE4.2: a step of the cyclic redundancy check with the polynomial of iSCSI (CRC-32C), on
//! general registers.

use iced_x86::Mnemonic;

use super::emit::{Emit, functions};
use super::op::Detail;
use super::table::Row;
use super::{Cpu, Leave};
use crate::memory::Width;

pub(super) const ROWS: &[Row] = &[(Mnemonic::Crc32, crc32)];

/// The polynomial 0x11edc6f41 without its highest bit, lowest coefficient first (SDM, CRC32).
const POLYNOMIAL: u32 = 0x1edc_6f41_u32.reverse_bits();

/// What a byte adds to the remainder when 0 to 7 bytes follow it in the operand.
static REMAINDERS: [[u32; 256]; 8] = {
    let mut table = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut following = 0;
        while following < 8 {
            let mut bit = 0;
            while bit < 8 {
                remainder = remainder >> 1 ^ if remainder & 1 != 0 { POLYNOMIAL } else { 0 };
                bit += 1;
            }
            table[following][byte] = remainder;
            following += 1;
        }
        byte += 1;
    }
    table
};

/// The remainder after the lowest `bytes` bytes of `value`.
fn remainder(before: u32, value: u64, bytes: usize) -> u32 {
    let value = (value ^ u64::from(before)).to_le_bytes();
    let shifted = before.checked_shr(8 * bytes as u32).unwrap_or(0);
    let places = value.iter().zip(REMAINDERS[..bytes].iter().rev());
    places.fold(shifted, |sum, (byte, table)| sum ^ table[usize::from(*byte)])
}

fn crc32(emit: &mut Emit) -> Option<()> {
    emit.call_out(functions!(step)[emit.width(1)]);
    Some(())
}

/// The upper half of a 64-bit destination is cleared.
fn step<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let value = cpu.read::<W>(detail, 1)?;
    let destination = detail.registers[0];
    let before = cpu.get::<u32>(destination) as u32;
    cpu.set::<u32>(destination, remainder(before, value, W::BYTES).into());
    Ok(())
}
