//! The table of the MultiProcessor Specification 1.4, for guests that know of no ACPI: processors,
//! the I/O APIC, and where the interrupt lines of the one bus lead.

use monovisor_core::CpuState;
use monovisor_core::cpuid::{Model, SIGNATURE, cpuid};

use super::{Area, checksum};
use crate::boot::error::Reason;
use crate::memory::layout;

/// Version 1.4.
const SPECIFICATION: u8 = 4;
const HEADER_BYTES: usize = 44;

/// Types of entries.
const PROCESSOR: u8 = 0;
const BUS: u8 = 1;
const IO_APIC: u8 = 2;
const IO_INTERRUPT: u8 = 3;
const LOCAL_INTERRUPT: u8 = 4;

/// Kinds of interrupts.
const VECTORED: u8 = 0;
const NMI: u8 = 1;
const EXT_INT: u8 = 3;

const ISA_BUS: u8 = 0;
const ISA_INTERRUPTS: u8 = 16;
/// ISA interrupt 2 leads from one PIC to the other.
const CASCADE: u8 = 2;
const ALL_PROCESSORS: u8 = 0xff;
const BOOTSTRAP: u8 = 0;

/// The version registers of the APICs.
const LOCAL_APIC_VERSION: u8 = 0x14;
const IO_APIC_VERSION: u8 = 0x20;

/// Writes the table and the floating pointer to it.
pub fn write(area: &mut Area<'_>, cpus: u32) -> Result<(), Reason> {
    let at = area.put(&configuration(cpus), 16)?;
    let mut pointer = [0; 16];
    pointer[..4].copy_from_slice(b"_MP_");
    pointer[4..8].copy_from_slice(&(at as u32).to_le_bytes());
    pointer[8] = (pointer.len() / 16) as u8;
    pointer[9] = SPECIFICATION;
    pointer[10] = checksum(&pointer);
    area.put(&pointer, 16).map(|_| ())
}

/// MultiProcessor Specification, "MP Configuration Table".
fn configuration(cpus: u32) -> Vec<u8> {
    let entries = Entries::default()
        .processors(cpus)
        .add(&[BUS, ISA_BUS, b'I', b'S', b'A', b' ', b' ', b' '])
        .io_apic()
        .interrupts();
    let mut table = vec![0; HEADER_BYTES];
    table[..4].copy_from_slice(b"PCMP");
    table[6] = SPECIFICATION;
    table[8..16].copy_from_slice(b"MONOVISR");
    table[16..28].copy_from_slice(b"MONOVISOR   ");
    table[34..36].copy_from_slice(&entries.count.to_le_bytes());
    table[36..40].copy_from_slice(&(layout::LOCAL_APIC as u32).to_le_bytes());
    table.extend(entries.bytes);
    let length = table.len() as u16;
    table[4..6].copy_from_slice(&length.to_le_bytes());
    table[7] = checksum(&table);
    table
}

/// Entries, in the order of their types as the specification asks.
#[derive(Default)]
struct Entries {
    bytes: Vec<u8>,
    count: u16,
}

impl Entries {
    fn add(mut self, entry: &[u8]) -> Self {
        self.bytes.extend_from_slice(entry);
        self.count += 1;
        self
    }

    fn processors(self, cpus: u32) -> Self {
        const ENABLED: u8 = 1 << 0;
        const IS_BOOTSTRAP: u8 = 1 << 1;
        let [_, _, _, features] = cpuid(&Model::default(), &CpuState::reset(0), 0, 1, 0);
        (0..cpus as u8).fold(self, |entries, id| {
            let flags = if id == BOOTSTRAP { ENABLED | IS_BOOTSTRAP } else { ENABLED };
            let mut entry = [0; 20];
            entry[..4].copy_from_slice(&[PROCESSOR, id, LOCAL_APIC_VERSION, flags]);
            entry[4..8].copy_from_slice(&SIGNATURE.to_le_bytes());
            entry[8..12].copy_from_slice(&features.to_le_bytes());
            entries.add(&entry)
        })
    }

    fn io_apic(self) -> Self {
        const USABLE: u8 = 1;
        let mut entry = [IO_APIC, layout::IO_APIC_ID, IO_APIC_VERSION, USABLE, 0, 0, 0, 0];
        entry[4..].copy_from_slice(&(layout::IO_APIC as u32).to_le_bytes());
        self.add(&entry)
    }

    /// Interrupts conform to their bus: active high, edge-triggered.
    fn interrupts(self) -> Self {
        let lines = (0..ISA_INTERRUPTS).filter(|&irq| irq != CASCADE);
        let entries = lines.fold(self, |entries, irq| {
            let pin = if irq == 0 { layout::TIMER_PIN } else { irq };
            entries.add(&[IO_INTERRUPT, VECTORED, 0, 0, ISA_BUS, irq, layout::IO_APIC_ID, pin])
        });
        entries
            .add(&[LOCAL_INTERRUPT, EXT_INT, 0, 0, ISA_BUS, 0, BOOTSTRAP, layout::EXT_INT_LINT])
            .add(&[LOCAL_INTERRUPT, NMI, 0, 0, ISA_BUS, 0, ALL_PROCESSORS, layout::NMI_LINT])
    }
}
