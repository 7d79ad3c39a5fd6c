//! The least set of ACPI tables (ACPI Specification 6.4) by which a guest finds its processors, its
//! interrupt controllers, the power switch and the reset button. There are no events and no
//! devices in the name space.

use monovisor_core::apic::LINES;

use super::{Area, ROOT_POINTER_1_BYTES, ROOT_POINTER_BYTES, SYSTEM_CONTROL_IRQ, checksum};
use crate::boot::error::Reason;
use crate::memory::layout;

const OEM_ID: &[u8; 6] = b"MONOVR";
const OEM_TABLE_ID: &[u8; 8] = b"MONOVISR";
/// Who made the tables, and with what revision of itself.
const CREATOR_ID: &[u8; 4] = b"MNVR";
const CREATOR_REVISION: u32 = 1;

/// The length of a table's header, and where its fields are that depend on the whole.
const HEADER_BYTES: usize = 36;
const LENGTH: usize = 4;
const CHECKSUM: usize = 9;

/// AML of `Name (\_S5, Package () { 0, 0, 0, 0 })`: what is to be written to the sleep type fields
/// for S5, off.
#[rustfmt::skip]
const DEFINITIONS: &[u8] = &[
    0x08, b'\\', b'_', b'S', b'5', b'_', // NameOp, the name
    0x12, 6, 4, // PackageOp, length, number of elements
    0, 0, 0, 0, // ZeroOp each
];

/// Writes all tables, and returns the root pointer to them.
pub fn write(area: &mut Area<'_>, cpus: u32) -> Result<[u8; ROOT_POINTER_BYTES], Reason> {
    let control = area.put(&firmware_control(), 64)?;
    let definitions = Table::new(b"DSDT", 2).bytes(DEFINITIONS).put(area)?;
    let fixed = fixed_description(control, definitions).put(area)?;
    let multiple = multiple_apic_description(cpus).put(area)?;
    let tables = [fixed, multiple];
    let root = tables.iter().fold(Table::new(b"RSDT", 1), |table, &at| table.word(at as u32));
    let extended = tables.iter().fold(Table::new(b"XSDT", 1), Table::address);
    let root = root.put(area)?;
    let extended = extended.put(area)?;
    Ok(root_pointer(root, extended))
}

/// ACPI, "Root System Description Pointer".
fn root_pointer(root: u64, extended: u64) -> [u8; ROOT_POINTER_BYTES] {
    let mut pointer = [0; ROOT_POINTER_BYTES];
    let revision = 2;
    pointer[..8].copy_from_slice(b"RSD PTR ");
    pointer[9..15].copy_from_slice(OEM_ID);
    pointer[15] = revision;
    pointer[16..20].copy_from_slice(&(root as u32).to_le_bytes());
    pointer[20..24].copy_from_slice(&(ROOT_POINTER_BYTES as u32).to_le_bytes());
    pointer[24..32].copy_from_slice(&extended.to_le_bytes());
    pointer[8] = checksum(&pointer[..ROOT_POINTER_1_BYTES]);
    pointer[32] = checksum(&pointer);
    pointer
}

/// ACPI, "Firmware ACPI Control Structure". Nothing sleeps but by S5, so it only has to be there.
fn firmware_control() -> [u8; 64] {
    let mut table = [0; 64];
    table[..4].copy_from_slice(b"FACS");
    table[4] = table.len() as u8;
    let version = 2;
    table[32] = version;
    table
}

/// ACPI, "Fixed ACPI Description Table".
fn fixed_description(control: u64, definitions: u64) -> Table {
    /// System Control Interrupt and others: no SMI command port, so ACPI mode is on for good.
    const DESKTOP: u8 = 1;
    /// Worst-case latencies of C2 and C3 that say that there are none.
    const NO_C2: u16 = 101;
    const NO_C3: u16 = 1001;
    /// CMOS registers of the alarm's day and month and of the century.
    const CENTURY: u8 = 0x32;
    /// IA-PC boot architecture: ISA devices and a keyboard controller are there, VGA is not.
    const BOOT_ARCHITECTURE: u16 = 1 << 0 | 1 << 1 | 1 << 2;
    /// WBINVD works; every processor has C1; no power button, sleep button or alarm among the fixed
    /// registers; there is a reset register.
    const FLAGS: u32 = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10;
    const RESET: u8 = 0x06;
    let pm = layout::ACPI_PM.start;
    let (events, event_bytes) = (pm, 4);
    let (sleep, sleep_bytes) = (pm + 4, 2);
    let (timer, timer_bytes) = (pm + 8, 4);
    let none = 0u32;
    Table::new(b"FACP", 6)
        .word(control as u32)
        .word(definitions as u32)
        .bytes(&[0, DESKTOP])
        .bytes(&u16::from(SYSTEM_CONTROL_IRQ).to_le_bytes())
        .word(none)
        .bytes(&[0; 4])
        .word(events.into())
        .word(none)
        .word(sleep.into())
        .word(none)
        .word(none)
        .word(timer.into())
        .word(none)
        .word(none)
        .bytes(&[event_bytes, sleep_bytes, 0, timer_bytes, 0, 0, 0, 0])
        .bytes(&NO_C2.to_le_bytes())
        .bytes(&NO_C3.to_le_bytes())
        // Flush sizes and duty cycle, which WBINVD and C1 make needless.
        .bytes(&[0; 6])
        .bytes(&[0, 0, CENTURY])
        .bytes(&BOOT_ARCHITECTURE.to_le_bytes())
        .bytes(&[0])
        .word(FLAGS)
        .port(layout::RESET_CONTROL, 1)
        .bytes(&[RESET])
        // ARM boot flags, and the minor version.
        .bytes(&[0, 0, 4])
        // FIRMWARE_CTRL above is enough: with both, this one would have to be 0.
        .address(&0)
        .address(&definitions)
        .port(events, event_bytes)
        .bytes(&[0; 12])
        .port(sleep, sleep_bytes)
        .bytes(&[0; 12])
        .bytes(&[0; 12])
        .port(timer, timer_bytes)
        .bytes(&[0; 12])
        .bytes(&[0; 12])
        // Sleep control and status are those of hardware-reduced machines.
        .bytes(&[0; 24])
        .bytes(OEM_TABLE_ID)
}

/// ACPI, "Multiple APIC Description Table".
fn multiple_apic_description(cpus: u32) -> Table {
    /// There are PICs, too.
    const PCAT_COMPATIBLE: u32 = 1;
    const ENABLED: u32 = 1;
    const ISA: u8 = 0;
    /// Flags of an interrupt: as its bus has it; and active high, level-triggered.
    const CONFORMS: u16 = 0;
    const HIGH_LEVEL: u16 = 0b1101;
    const ALL_PROCESSORS: u8 = 0xff;
    let table = Table::new(b"APIC", 5).word(layout::LOCAL_APIC as u32).word(PCAT_COMPATIBLE);
    let table = (0..cpus as u8).fold(table, |table, id| table.bytes(&[0, 8, id, id]).word(ENABLED));
    let table = table
        .bytes(&[1, 12, layout::IO_APIC_ID, 0])
        .word(layout::IO_APIC as u32)
        .word(0)
        .bytes(&[4, 6, ALL_PROCESSORS])
        .bytes(&CONFORMS.to_le_bytes())
        .bytes(&[layout::NMI_LINT]);
    let redirected = |table: Table, irq: u8, pin: u8, flags: u16| {
        table.bytes(&[2, 10, ISA, irq]).word(pin.into()).bytes(&flags.to_le_bytes())
    };
    let table = redirected(table, 0, layout::TIMER_PIN, CONFORMS);
    redirected(table, SYSTEM_CONTROL_IRQ, SYSTEM_CONTROL_IRQ, HIGH_LEVEL)
}

const _: () = assert!((layout::TIMER_PIN as usize) < LINES);

/// A table while it is put together.
struct Table(Vec<u8>);

impl Table {
    fn new(signature: &[u8; 4], revision: u8) -> Self {
        let oem_revision = 1;
        Self(Vec::with_capacity(HEADER_BYTES))
            .bytes(signature)
            .word(0)
            .bytes(&[revision, 0])
            .bytes(OEM_ID)
            .bytes(OEM_TABLE_ID)
            .word(oem_revision)
            .bytes(CREATOR_ID)
            .word(CREATOR_REVISION)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn word(self, word: u32) -> Self {
        self.bytes(&word.to_le_bytes())
    }

    fn address(self, address: &u64) -> Self {
        self.bytes(&address.to_le_bytes())
    }

    /// ACPI, "Generic Address Structure", of a register in I/O ports.
    fn port(self, port: u16, size_bytes: u8) -> Self {
        const SYSTEM_IO: u8 = 1;
        // 1, 2, 3 for bytes, words and double words.
        let access_size = size_bytes.ilog2() as u8 + 1;
        self.bytes(&[SYSTEM_IO, 8 * size_bytes, 0, access_size]).address(&port.into())
    }

    fn put(self, area: &mut Area<'_>) -> Result<u64, Reason> {
        let Self(mut bytes) = self;
        let length = bytes.len() as u32;
        bytes[LENGTH..LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        bytes[CHECKSUM] = checksum(&bytes);
        area.put(&bytes, 8)
    }
}
