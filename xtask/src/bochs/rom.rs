//! The firmware: 64 KiB below 1 MiB, which Bochs shows below 4 GiB, too, where a processor begins. It
//! enters the guest by PVH at once, and has the tables that a guest looks for.
//!
//! Bochs's own firmware would take a second of the guest's time to find a disk to boot from.

use anyhow::{Result, ensure};

const BASE: u32 = 0xf_0000;
const BYTES: usize = 0x1_0000;
/// What is where, from [`BASE`] on; the code begins the whole.
const GDT: u16 = 0x100;
const START_INFO: u16 = 0x1000;
const MEMORY_MAP: u16 = 0x1080;
const COMMAND_LINE: u16 = 0x1100;
const ROOT_POINTER: u16 = 0x2000;
const ROOT_TABLE: u16 = 0x2040;
const PROCESSORS: u16 = 0x2080;
/// The first instruction of all.
const RESET: u16 = 0xfff0;

const CODE_SELECTOR: u16 = 8;
const DATA_SELECTOR: u8 = 16;
const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APIC: u32 = 0xfec0_0000;

/// The whole ROM, for a guest that is entered at `entry`.
pub fn build(entry: u32, cpus: u32, memory_mib: u32, command_line: &str) -> Result<Vec<u8>> {
    let room = usize::from(ROOT_POINTER - COMMAND_LINE);
    ensure!(command_line.len() < room, "the command line is too long");
    let mut rom = vec![0; BYTES];
    let mut put = |place: u16, bytes: &[u8]| {
        let place = usize::from(place);
        rom[place..place + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &code(entry));
    put(GDT, &descriptors());
    put(START_INFO, &start_info());
    put(MEMORY_MAP, &ram(memory_mib));
    put(COMMAND_LINE, command_line.as_bytes());
    put(ROOT_POINTER, &root_pointer());
    put(ROOT_TABLE, &table(b"RSDT", &linear(PROCESSORS).to_le_bytes()));
    put(PROCESSORS, &processors(cpus));
    let [low, high] = ((BASE >> 4) as u16).to_le_bytes();
    put(RESET, &[0xea, 0, 0, low, high]); // jmp 0xf000:0
    Ok(rom)
}

fn linear(place: u16) -> u32 {
    BASE + u32::from(place)
}

/// From real mode to the guest's entry in 32-bit protected mode, with its information in EBX.
fn code(entry: u32) -> Vec<u8> {
    let [gdt_low, gdt_high] = GDT.to_le_bytes();
    let mut code = vec![
        0xfa, // cli
        0xfc, // cld
        0xba, 0xfb, 0x03, // mov dx, 0x3fb: the first serial port's line control
        0xb0, 0x03, // mov al, 3: bytes have eight bits
        0xee, // out dx, al
        0x2e, 0x66, 0x0f, 0x01, 0x16, gdt_low, gdt_high, // lgdt cs:[GDT]
        0x0f, 0x20, 0xc0, // mov eax, cr0
        0x0c, 0x01, // or al, 1
        0x0f, 0x22, 0xc0, // mov cr0, eax
        0x66, 0xea, // jmp CODE_SELECTOR:protected
    ];
    let protected = BASE + code.len() as u32 + 6;
    code.extend(protected.to_le_bytes());
    code.extend(CODE_SELECTOR.to_le_bytes());
    code.extend([
        0xb8,
        DATA_SELECTOR,
        0,
        0,
        0, // mov eax, DATA_SELECTOR
        0x8e,
        0xd8, // mov ds, eax
        0x8e,
        0xc0, // mov es, eax
        0x8e,
        0xd0, // mov ss, eax
        0xbb, // mov ebx, START_INFO
    ]);
    code.extend(linear(START_INFO).to_le_bytes());
    code.push(0xb8); // mov eax, entry
    code.extend(entry.to_le_bytes());
    code.extend([0xff, 0xe0]); // jmp eax
    code
}

/// The register's value, and behind it the table: nothing, code and data, flat and of 32 bits.
fn descriptors() -> Vec<u8> {
    const TABLE: [u64; 3] = [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
    let mut bytes = (size_of_val(&TABLE) as u16 - 1).to_le_bytes().to_vec();
    bytes.extend((linear(GDT) + 6).to_le_bytes());
    bytes.extend(TABLE.iter().flat_map(|descriptor| descriptor.to_le_bytes()));
    bytes
}

/// `hvm_start_info` (Xen, `public/arch-x86/hvm/start_info.h`).
fn start_info() -> Vec<u8> {
    const MAGIC: u32 = 0x336e_c578;
    const VERSION: u32 = 1;
    let mut bytes = Vec::new();
    // Flags, and how many modules there are.
    bytes.extend([MAGIC, VERSION, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    let addresses = [0, linear(COMMAND_LINE), linear(ROOT_POINTER), linear(MEMORY_MAP)];
    bytes.extend(addresses.iter().flat_map(|&address| u64::from(address).to_le_bytes()));
    bytes.extend([1_u32, 0].iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

/// The memory map's only entry.
fn ram(memory_mib: u32) -> Vec<u8> {
    const RAM: u64 = 1;
    [0, u64::from(memory_mib) << 20, RAM].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// ACPI's root pointer, as version 1 has it (ACPI Specification, "Root System Description Pointer").
fn root_pointer() -> Vec<u8> {
    let mut bytes = b"RSD PTR \0MONOV \0".to_vec();
    bytes.extend(linear(ROOT_TABLE).to_le_bytes());
    bytes[8] = checksum(&bytes);
    bytes
}

/// The processors, by number, and the I/O APIC behind them (ACPI Specification, "Multiple APIC
/// Description Table").
fn processors(cpus: u32) -> Vec<u8> {
    const PC_AT_COMPATIBLE: u32 = 1;
    let mut body = Vec::new();
    body.extend([LOCAL_APIC, PC_AT_COMPATIBLE].iter().flat_map(|word| word.to_le_bytes()));
    for id in 0..cpus as u8 {
        body.extend([0, 8, id, id, 1, 0, 0, 0]);
    }
    body.extend([1, 12, cpus as u8, 0]);
    body.extend([IO_APIC, 0].iter().flat_map(|word| word.to_le_bytes()));
    table(b"APIC", &body)
}

/// A table with its header.
fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    const HEADER: usize = 36;
    const REVISION: u8 = 1;
    let mut bytes = signature.to_vec();
    bytes.extend(((HEADER + body.len()) as u32).to_le_bytes());
    bytes.extend([REVISION, 0]);
    bytes.resize(HEADER, 0);
    bytes.extend(body);
    bytes[9] = checksum(&bytes);
    bytes
}

/// What makes the sum of all bytes 0.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_add_up_to_nothing() {
        for bytes in [root_pointer(), processors(2), table(b"RSDT", &[1, 2, 3, 4])] {
            assert_eq!(bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
        }
        assert_eq!((root_pointer().len(), processors(2).len()), (20, 36 + 8 + 2 * 8 + 12));
    }

    #[test]
    fn the_first_instruction_leads_to_the_first_byte() {
        let rom = build(0x12_3456, 1, 16, "a").expect("it fits");
        assert_eq!(rom[usize::from(RESET)..][..5], [0xea, 0, 0, 0, 0xf0]);
        assert_eq!(rom.len(), BYTES);
        assert!(rom.starts_with(&code(0x12_3456)) && code(0).len() <= usize::from(GDT));
        assert!(build(0, 1, 16, &"a".repeat(0x2000)).is_err());
    }
}
