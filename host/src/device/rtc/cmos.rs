//! What a PC's BIOS leaves in the clock's battery-backed memory for software that asks it for the
//! size of RAM and the equipment.

/// RAM below and above the gap for devices, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RamSizes {
    /// From address 0 to the gap.
    pub low_bytes: u64,
    /// From 4 GiB on.
    pub high_bytes: u64,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Equipment: coprocessor present; display with its own BIOS.
const EQUIPMENT: u8 = 0x02;

pub fn fill(memory: &mut [u8; 128], ram: RamSizes) {
    let conventional = (ram.low_bytes / KIB).min(640);
    let extended = (ram.low_bytes.saturating_sub(MIB) / KIB).min(0xffff);
    let above_16_mib = (ram.low_bytes.saturating_sub(16 * MIB) / (64 * KIB)).min(0xffff);
    let above_4_gib = (ram.high_bytes / (64 * KIB)).min(0xff_ffff);
    memory[0x14] = EQUIPMENT;
    for (index, value) in [
        (0x15, conventional),
        (0x17, extended),
        (0x30, extended),
        (0x34, above_16_mib),
        (0x5b, above_4_gib),
    ] {
        memory[index..index + 2].copy_from_slice(&value.to_le_bytes()[..2]);
    }
    memory[0x5d] = (above_4_gib >> 16) as u8;
}
