//! What a PC's firmware leaves in memory for an operating system: ACPI tables ([`acpi`]) and the
//! older table of the MultiProcessor Specification ([`multiprocessor`]). From both a guest learns
//! how many processors there are, where the I/O APIC is, and how interrupt lines lead to it. For kernels that
//! come from a BIOS's boot loader there is a little of that BIOS, too ([`write_bios`]).
//!
//! The tables lie in [`layout::FIRMWARE_TABLES`], which every memory map shows as reserved and which
//! is within what guests search for them. Invariant: the same machine gets the same bytes.

mod acpi;
mod multiprocessor;

use std::ops::Range;

use super::error::Reason;
use super::placement::Placement;
use crate::memory::{GuestRam, layout};

/// Guest-physical address of ACPI's root pointer: the first thing in the area.
pub const ROOT_POINTER: u64 = layout::FIRMWARE_TABLES.start;
/// Length of ACPI's root pointer.
pub const ROOT_POINTER_BYTES: usize = 36;
/// Of [`ROOT_POINTER_BYTES`]: what ACPI 1.0 knows of it.
pub const ROOT_POINTER_1_BYTES: usize = 20;

/// The BIOS data area's word for the size of conventional memory, in KiB.
const CONVENTIONAL_MEMORY: u64 = 0x413;

/// The interrupts by which a BIOS is asked in real mode: video, memory, disks … time.
const SERVICES: Range<u8> = 0x10..0x1b;
/// What they lead to, behind the tables: CF is set in the flags on the stack, as a BIOS says that it does not
/// know a function.
const REFUSAL: [u8; 9] = [
    0x55, // push bp
    0x89, 0xe5, // mov bp, sp
    0x80, 0x4e, 0x06, 0x01, // or byte ptr [bp + 6], 1
    0x5d, // pop bp
    0xcf, // iret
];
const REFUSAL_AT: u64 = layout::FIRMWARE_TABLES.end - 0x100;

/// The ISA interrupt that ACPI calls its system control interrupt.
const SYSTEM_CONTROL_IRQ: u8 = 9;

/// Writes all tables for a machine with this many processors.
pub fn write(ram: &GuestRam, cpus: u32) -> Result<(), Reason> {
    let mut area = Area { ram, next: ROOT_POINTER + ROOT_POINTER_BYTES as u64 };
    let root_pointer = acpi::write(&mut area, cpus)?;
    ram.write(ROOT_POINTER, &root_pointer)?;
    multiprocessor::write(&mut area, cpus)
}

/// What kernels that expect to come from a boot loader of a PC's BIOS find of it, whatever Multiboot tells
/// them: the size of conventional memory, and in real mode a BIOS that has none of its services. An image
/// that is loaded there keeps its own bytes.
pub fn write_bios(placement: &Placement, conventional_kib: u32) -> Result<(), Reason> {
    let word = (conventional_kib as u16).to_le_bytes();
    let (segment, offset) = ((REFUSAL_AT >> 4) as u16, 0_u16);
    let vector = [offset.to_le_bytes(), segment.to_le_bytes()].concat();
    let first = u64::from(SERVICES.start) * vector.len() as u64;
    placement.ram().write(REFUSAL_AT, &REFUSAL)?;
    for (at, bytes) in
        [(CONVENTIONAL_MEMORY, word.to_vec()), (first, vector.repeat(SERVICES.len()))]
    {
        if placement.is_free(at, bytes.len() as u64) {
            placement.ram().write(at, &bytes)?;
        }
    }
    Ok(())
}

/// The part of the area that is still free.
struct Area<'a> {
    ram: &'a GuestRam,
    next: u64,
}

impl Area<'_> {
    /// Puts a table at the next multiple of `alignment`, and tells where.
    fn put(&mut self, table: &[u8], alignment: u64) -> Result<u64, Reason> {
        let address = self.next.next_multiple_of(alignment);
        let end = address + table.len() as u64;
        if end > REFUSAL_AT {
            return Err(Reason::NoRoom { what: "firmware tables" });
        }
        self.ram.write(address, table)?;
        self.next = end;
        Ok(address)
    }
}

/// The byte that makes all of `bytes`, where it is 0 now, add up to 0.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)).wrapping_neg()
}

#[cfg(test)]
mod tests;
