//! The tables as a guest finds them: by searching, then from table to table, with every checksum.

use super::*;
use crate::memory::layout::FIRMWARE_TABLES;

fn machine(cpus: u32) -> GuestRam {
    let ram = GuestRam::new(layout::MIN_RAM_BYTES).unwrap();
    write(&ram, cpus).unwrap();
    ram
}

fn bytes(ram: &GuestRam, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ram.read(at, &mut bytes).unwrap();
    bytes
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn adds_up(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

/// What a guest does that was told of no table.
fn search(ram: &GuestRam, from: u64, signature: &[u8]) -> u64 {
    (from..FIRMWARE_TABLES.end)
        .step_by(16)
        .find(|&at| bytes(ram, at, signature.len()) == signature)
        .unwrap()
}

fn acpi_table(ram: &GuestRam, at: u64) -> Vec<u8> {
    let length = number(&bytes(ram, at, 8), 4, 4) as usize;
    let table = bytes(ram, at, length);
    assert!(adds_up(&table), "the table at {at:#x}");
    table
}

/// The table with this signature, found through the XSDT; the RSDT must lead to the same ones.
fn find(ram: &GuestRam, signature: &[u8; 4]) -> Vec<u8> {
    let at = search(ram, 0xe_0000, b"RSD PTR ");
    assert_eq!(at, ROOT_POINTER);
    let pointer = bytes(ram, at, ROOT_POINTER_BYTES);
    assert!(adds_up(&pointer[..ROOT_POINTER_1_BYTES]) && adds_up(&pointer));
    let root = acpi_table(ram, number(&pointer, 16, 4));
    let extended = acpi_table(ram, number(&pointer, 24, 8));
    let old: Vec<_> = root[36..].chunks(4).map(|entry| number(entry, 0, 4)).collect();
    let new: Vec<_> = extended[36..].chunks(8).map(|entry| number(entry, 0, 8)).collect();
    assert_eq!(old, new);
    let tables = new.iter().map(|&at| acpi_table(ram, at));
    tables.into_iter().find(|table| &table[..4] == signature).unwrap()
}

/// The entries of a MADT or an MP table: type and content.
fn entries(mut rest: &[u8], length: impl Fn(&[u8]) -> usize) -> Vec<(u8, Vec<u8>)> {
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) = rest.split_at(length(rest));
        entries.push((entry[0], entry.to_vec()));
        rest = behind;
    }
    entries
}

#[test]
fn acpi_lists_every_processor_and_the_io_apic() {
    for cpus in [1, 2, 64, 255] {
        let madt = find(&machine(cpus), b"APIC");
        assert_eq!(number(&madt, 36, 4), layout::LOCAL_APIC);
        let entries = entries(&madt[44..], |entry| entry[1].into());
        let processors: Vec<_> = entries.iter().filter(|(kind, _)| *kind == 0).collect();
        let ids: Vec<_> = processors.iter().map(|(_, entry)| u32::from(entry[3])).collect();
        assert_eq!(ids, (0..cpus).collect::<Vec<_>>());
        assert!(processors.iter().all(|(_, entry)| number(entry, 4, 4) == 1));
        let io_apic = &entries.iter().find(|(kind, _)| *kind == 1).unwrap().1;
        assert_eq!((number(io_apic, 4, 4), number(io_apic, 8, 4)), (layout::IO_APIC, 0));
        let timer = &entries.iter().find(|(kind, _)| *kind == 2).unwrap().1;
        assert_eq!((timer[3], number(timer, 4, 4)), (0, layout::TIMER_PIN.into()));
    }
}

#[test]
fn acpi_tells_how_to_turn_off_and_to_reset() {
    let ram = machine(1);
    let fadt = find(&ram, b"FACP");
    assert_eq!(fadt.len(), 276);
    assert_eq!(number(&fadt, 64, 4), u64::from(layout::ACPI_PM.start + 4));
    let reset = (number(&fadt, 120, 8), fadt[128]);
    assert_eq!(reset, (layout::RESET_CONTROL.into(), 6));
    let (sleep, timer) = (number(&fadt, 176, 8), number(&fadt, 212, 8));
    assert_eq!((sleep, timer), (number(&fadt, 64, 4), number(&fadt, 76, 4)));
    assert_eq!(&bytes(&ram, number(&fadt, 36, 4), 4), b"FACS");
    let dsdt = acpi_table(&ram, number(&fadt, 140, 8));
    assert_eq!((&dsdt[..4], number(&fadt, 40, 4)), (&b"DSDT"[..], number(&fadt, 140, 8)));
    assert!(dsdt[36..].windows(4).any(|name| name == b"_S5_"));
}

#[test]
fn the_mp_table_lists_the_same() {
    for cpus in [1, 2, 64, 255] {
        let ram = machine(cpus);
        let pointer = bytes(&ram, search(&ram, 0xf_0000, b"_MP_"), 16);
        assert!(adds_up(&pointer));
        let at = number(&pointer, 4, 4);
        let length = number(&bytes(&ram, at, 6), 4, 2) as usize;
        let table = bytes(&ram, at, length);
        assert!(table.starts_with(b"PCMP") && adds_up(&table));
        let entries = entries(&table[44..], |entry| if entry[0] == 0 { 20 } else { 8 });
        assert_eq!(entries.len() as u64, number(&table, 34, 2));
        let processors: Vec<_> = entries.iter().filter(|(kind, _)| *kind == 0).collect();
        let ids: Vec<_> = processors.iter().map(|(_, entry)| u32::from(entry[1])).collect();
        assert_eq!(ids, (0..cpus).collect::<Vec<_>>());
        let bootstrap = processors.iter().filter(|(_, entry)| entry[3] & 2 != 0).count();
        assert_eq!(bootstrap, 1);
        let lines = entries.iter().filter(|(kind, _)| *kind == 3);
        let pins: Vec<_> = lines.map(|(_, entry)| (entry[5], entry[7])).collect();
        assert_eq!(pins[..2], [(0, 2), (1, 1)]);
        assert_eq!(pins.len(), 15);
    }
}

#[test]
fn a_bios_in_real_mode_refuses_all_that_it_is_asked() {
    let ram = GuestRam::new(layout::MIN_RAM_BYTES).unwrap();
    write_bios(&Placement::new(&ram), 639).unwrap();
    assert_eq!(number(&bytes(&ram, CONVENTIONAL_MEMORY, 2), 0, 2), 639);
    for vector in 0..=0xff_u64 {
        let entry = bytes(&ram, vector * 4, 4);
        let handler = number(&entry, 2, 2) * 16 + number(&entry, 0, 2);
        let is_service = (0x10..=0x1a).contains(&vector);
        assert_eq!(handler, if is_service { REFUSAL_AT } else { 0 }, "{vector:#x}");
    }
    assert_eq!(bytes(&ram, REFUSAL_AT, REFUSAL.len()), REFUSAL);
    // An image that begins at address 0 keeps its bytes.
    let ram = GuestRam::new(layout::MIN_RAM_BYTES).unwrap();
    write_bios(&Placement::bare(&ram), 639).unwrap();
}
