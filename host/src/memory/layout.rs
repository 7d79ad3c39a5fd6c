//! The platform's addresses, all in one place: memory, interrupt controllers, ports (DESIGN,
//! "Platform seen by a guest"), and where boot protocols put their structures.
//!
//! Invariant: plain constants and functions of the size of RAM; nothing here has state.

use std::ops::Range;

/// Where the gap for devices starts: RAM beyond this continues at [`GAP_END`].
pub const GAP_START: u64 = 0xc000_0000;
/// Where the gap for devices ends.
pub const GAP_END: u64 = 0x1_0000_0000;
/// The I/O APIC's registers.
pub const IO_APIC: u64 = 0xfec0_0000;
/// How many bytes the I/O APIC's registers take.
pub const IO_APIC_BYTES: u64 = 0x100;
/// The I/O APIC's ID. Four bits are all that its register has; local APICs may have the same one,
/// since messages between them name no I/O APIC.
pub const IO_APIC_ID: u8 = 15;
/// The pin of the I/O APIC that the timer's line (ISA interrupt 0) leads to, since pin 0 is the
/// PIC's (MultiProcessor Specification, "I/O Interrupt Assignment Entries"; QEMU does the same).
pub const TIMER_PIN: u8 = 2;
/// The local interrupt pin of the bootstrap processor that the PIC leads to.
pub const EXT_INT_LINT: u8 = 0;
/// The local interrupt pin of every processor that is for NMI.
pub const NMI_LINT: u8 = 1;
/// The first virtio device's registers; the others follow, [`VIRTIO_BYTES`] each, where QEMU's
/// `microvm` has them.
pub const VIRTIO: u64 = 0xfeb0_0000;
/// How many bytes a virtio device's registers take.
pub const VIRTIO_BYTES: u64 = 0x200;
/// The interrupt lines of the virtio devices, from the first one on: as in QEMU's `microvm`, but
/// without the clock's line 8 between them.
pub const VIRTIO_IRQS: [u8; 3] = [5, 6, 7];
/// The local APIC's registers after reset.
pub const LOCAL_APIC: u64 = 0xfee0_0000;

/// The most processors a machine can have: as many as IDs of 8 bits name, without the one that means
/// all of them.
pub const MAX_CPUS: u32 = 255;

/// The least RAM a machine can have: boot structures and an image at 1 MiB must have a place.
pub const MIN_RAM_BYTES: u64 = 2 << 20;
/// The most RAM a machine can have, so that its end stays below 2^40, which every processor reaches.
pub const MAX_RAM_BYTES: u64 = 512 << 30;

/// Where conventional memory ends and video memory and ROMs are on a PC. Here that is RAM too, so
/// that stray writes to a screen are harmless, but no memory map offers it.
pub const CONVENTIONAL_END: u64 = 0xa_0000;
/// Where extended memory begins, and most images are linked.
pub const EXTENDED_START: u64 = 0x10_0000;

/// What boot protocols leave for the guest; memory maps show it as reserved.
pub const BOOT_AREA: Range<u64> = 0x9_0000..CONVENTIONAL_END;
/// Of [`BOOT_AREA`]: the descriptor table that the segment registers were loaded from.
pub const BOOT_GDT: Range<u64> = 0x9_0000..0x9_1000;
/// Of [`BOOT_AREA`]: the protocol's information structure, its memory map and module list.
pub const BOOT_INFO: Range<u64> = 0x9_1000..0x9_6000;
/// Of [`BOOT_AREA`]: command lines and other strings.
pub const BOOT_STRINGS: Range<u64> = 0x9_6000..0x9_a000;
/// Of [`BOOT_AREA`]: identity-mapping page tables of the first 4 GiB, for entry in long mode.
pub const BOOT_PAGE_TABLES: Range<u64> = 0x9_a000..0xa_0000;
/// The stack of an image that is entered in long mode or, as plain ELF, in protected mode; RSP
/// starts at its end.
pub const BOOT_STACK: Range<u64> = 0x8_0000..0x9_0000;

/// What firmware leaves for operating systems: within 0xf0000 to 0xfffff, which they search.
pub const FIRMWARE_TABLES: Range<u64> = 0xf_0000..EXTENDED_START;

/// COM1.
pub const COM1: Range<u16> = 0x3f8..0x400;
/// COM1's interrupt line.
pub const COM1_IRQ: u8 = 4;
/// QEMU's `isa-debug-exit`.
pub const DEBUG_EXIT: Range<u16> = 0xf4..0xf8;
/// The debug console (Bochs, QEMU).
pub const DEBUG_CONSOLE: u16 = 0xe9;
/// ACPI's power management as in QEMU's PIIX4: 0x604 turns the power off, 0x608 is the timer.
pub const ACPI_PM: Range<u16> = 0x600..0x60c;
/// The same where Bochs and old QEMUs have it: 0xb004 turns the power off.
pub const ACPI_PM_BOCHS: Range<u16> = 0xb000..0xb00c;
/// Power off by writing [`POWER_OFF_WORD`] byte by byte (Bochs).
pub const POWER_OFF_STRING: u16 = 0x8900;
/// What must be written to [`POWER_OFF_STRING`].
pub const POWER_OFF_WORD: &[u8] = b"Shutdown";
/// Codes of the power-on self-test; written for a short delay.
pub const POST: u16 = 0x80;
/// System control port A: address line 20, fast reset.
pub const SYSTEM_CONTROL: u16 = 0x92;
/// Takes note of a coprocessor's error.
pub const COPROCESSOR_ERROR: u16 = 0xf0;
/// The reset control register.
pub const RESET_CONTROL: u16 = 0xcf9;
/// The keyboard controller's data and command ports.
pub const I8042_DATA: u16 = 0x60;
/// See [`I8042_DATA`].
pub const I8042_COMMAND: u16 = 0x64;
/// The first interrupt controller.
pub const PIC_MASTER: Range<u16> = 0x20..0x22;
/// The second interrupt controller.
pub const PIC_SLAVE: Range<u16> = 0xa0..0xa2;
/// Edge or level selection of the interrupt controllers.
pub const PIC_ELCR: Range<u16> = 0x4d0..0x4d2;
/// The interval timer.
pub const PIT: Range<u16> = 0x40..0x44;
/// The interval timer's third channel: gate and output.
pub const PIT_SPEAKER: u16 = 0x61;
/// Real-time clock and CMOS memory.
pub const RTC: Range<u16> = 0x70..0x72;

/// What the memory map says of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// RAM the guest may use as it likes.
    Available,
    /// Devices, or what a boot protocol left there.
    Reserved,
}

/// The guest-physical ranges that are RAM on a machine with `ram_bytes` of it.
pub fn ram_ranges(ram_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let low = ram_bytes.min(GAP_START);
    [0..low, GAP_END..GAP_END + (ram_bytes - low)].into_iter().filter(|range| !range.is_empty())
}

/// The memory map that every boot protocol hands over, in ascending order and without gaps between
/// 0 and the end of low RAM. `reserved_from` is where [`BOOT_AREA`], or [`BOOT_STACK`] below it,
/// begins.
pub fn memory_map(ram_bytes: u64, reserved_from: u64) -> Vec<(Range<u64>, MemoryKind)> {
    let mut map = vec![
        (0..reserved_from, MemoryKind::Available),
        (reserved_from..EXTENDED_START, MemoryKind::Reserved),
    ];
    for range in ram_ranges(ram_bytes) {
        map.push((range.start.max(EXTENDED_START)..range.end, MemoryKind::Available));
        if range.start == 0 {
            map.push((IO_APIC..GAP_END, MemoryKind::Reserved));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_sorted_disjoint_and_complete() {
        for ram_bytes in [MIN_RAM_BYTES, 128 << 20, 3 << 30, (3 << 30) + 4096, 8 << 30] {
            let map = memory_map(ram_bytes, BOOT_AREA.start);
            assert!(map.iter().all(|(range, _)| range.start < range.end), "{map:x?}");
            assert!(map.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start), "{map:x?}");
            let available = |(range, kind): &(Range<u64>, _)| match kind {
                MemoryKind::Available => range.end - range.start,
                MemoryKind::Reserved => 0,
            };
            let hole = EXTENDED_START - BOOT_AREA.start;
            assert_eq!(map.iter().map(available).sum::<u64>(), ram_bytes - hole);
        }
    }
}
