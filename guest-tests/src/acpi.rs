//! ACPI's tables, as far as a guest needs them to find the machine's processors: found by searching,
//! as on a PC, so that this works after every boot protocol.

use core::slice;

/// Where a PC's root pointer is, on a multiple of 16.
const SEARCHED: core::ops::Range<u64> = 0xe_0000..0x10_0000;
const HEADER_BYTES: usize = 36;

/// The table with this signature, header included; the first of several.
pub fn table(signature: &[u8; 4]) -> Option<&'static [u8]> {
    let pointer = root_pointer()?;
    // Revision 2 knows the extended table, whose entries have 64 bits.
    let (root, entry_bytes) = match pointer[15] {
        0 => (number(&pointer[16..20]), 4),
        _ => (number(&pointer[24..32]), 8),
    };
    let mut entries = at(root)[HEADER_BYTES..].chunks_exact(entry_bytes);
    let found = entries.find(|entry| at(number(entry)).starts_with(signature))?;
    Some(at(number(found)))
}

/// The APIC IDs of all processors that may be started, in the table's order.
pub fn processors() -> impl Iterator<Item = u8> {
    const PROCESSOR: u8 = 0;
    const ENABLED: u64 = 1;
    const FLAGS_END: usize = 44;
    let mut rest = table(b"APIC").map_or(&[][..], |table| &table[FLAGS_END..]);
    core::iter::from_fn(move || {
        let length = usize::from(*rest.get(1)?);
        let (entry, behind) = rest.split_at(length);
        rest = behind;
        Some(entry)
    })
    .filter(|entry| entry[0] == PROCESSOR && number(&entry[4..8]) & ENABLED != 0)
    .map(|entry| entry[3])
}

/// The root pointer's bytes, those of revision 2 included.
fn root_pointer() -> Option<&'static [u8]> {
    // SAFETY: this is memory on every machine, mapped one to one, and nobody writes it.
    let bytes = |address| unsafe { slice::from_raw_parts(address as *const u8, 36) };
    SEARCHED.step_by(16).map(bytes).find(|bytes| bytes.starts_with(b"RSD PTR "))
}

/// The bytes of the table at `address`, header included.
///
/// Panics if they do not add up to 0.
pub fn at(address: u64) -> &'static [u8] {
    // SAFETY: the root pointer leads to tables in memory, mapped one to one, that nobody writes.
    let bytes = unsafe {
        let length = ((address + 4) as *const u32).read_unaligned();
        slice::from_raw_parts(address as *const u8, length as usize)
    };
    let sum = bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte));
    assert!(sum == 0, "the ACPI table at {address:#x} has a wrong checksum");
    bytes
}

/// A little-endian number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
