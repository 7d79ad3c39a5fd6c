//! Page tables: find, make and change the entry of a page, and frames to map.
//!
//! The boot code maps 4 GiB one to one with pages of 2 MiB, for supervisor mode alone; page-table
//! entries above the last are open to all, so the last one decides. Tests map at [`TEST_AREA`].

use alloc::alloc::{Layout, alloc_zeroed};
use core::arch::asm;
use x86_64::registers::control::Cr3;
pub use x86_64::structures::paging::PageTableFlags as Flags;

/// A linear address with a PML4 entry of its own, where nothing is mapped.
pub const TEST_AREA: u64 = 0x0000_0080_0000_0000;

/// Bytes of the smallest page.
pub const PAGE: u64 = 4096;

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// What an entry above the last one permits: everything.
const TABLE: u64 = Flags::PRESENT.bits() | Flags::WRITABLE.bits() | Flags::USER_ACCESSIBLE.bits();

/// Present and writable, for supervisor mode.
pub const KERNEL: Flags = Flags::PRESENT.union(Flags::WRITABLE);
/// Present and writable, for user mode too.
pub const USER: Flags = KERNEL.union(Flags::USER_ACCESSIBLE);

/// The level of a page-table entry, by the size of the page it can map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// A page-table entry: 4 KiB.
    Page4K = 1,
    /// A page-directory entry: 2 MiB, or a page table.
    Page2M = 2,
    /// A page-directory-pointer-table entry: 1 GiB, or a page directory.
    Page1G = 3,
    /// A PML4 entry: always a table.
    Pml4 = 4,
}

impl Level {
    fn shift(self) -> u32 {
        12 + 9 * (self as u32 - 1)
    }

    /// Bytes that an entry of this level maps.
    pub fn bytes(self) -> u64 {
        1 << self.shift()
    }
}

/// A zeroed frame of 4 KiB; its physical address is also where the boot code mapped it.
pub fn frame() -> u64 {
    frames(1, PAGE)
}

/// `count` zeroed frames in a row, aligned to `align` bytes.
pub fn frames(count: u64, align: u64) -> u64 {
    let layout = Layout::from_size_align((count * PAGE) as usize, align as usize);
    let layout = layout.expect("alignments are powers of two");
    // SAFETY: the size is not zero.
    let frames = unsafe { alloc_zeroed(layout) };
    assert!(!frames.is_null(), "out of memory");
    frames as u64
}

/// The entry of `level` on the way to `linear`: missing tables are made, a large page in the way is
/// split into smaller ones that map the same.
pub fn entry(linear: u64, level: Level) -> *mut u64 {
    let mut table = Cr3::read_raw().0.start_address().as_u64();
    for above in [Level::Pml4, Level::Page1G, Level::Page2M] {
        if above == level {
            break;
        }
        let entry = slot(table, linear, above);
        // SAFETY: page tables lie in the part that is mapped one to one.
        unsafe {
            if *entry & Flags::PRESENT.bits() == 0 {
                *entry = frame() | TABLE;
            } else if above != Level::Pml4 && *entry & Flags::HUGE_PAGE.bits() != 0 {
                *entry = split(*entry, above) | TABLE;
                flush_all();
            }
            table = *entry & ADDRESS;
        }
    }
    slot(table, linear, level)
}

fn slot(table: u64, linear: u64, level: Level) -> *mut u64 {
    (table as *mut u64).wrapping_add((linear >> level.shift()) as usize & 511)
}

/// A table of the pages into which the `large` page of `level` falls.
fn split(large: u64, level: Level) -> u64 {
    let table = frame();
    let step = level.bytes() / 512;
    // Bit 7 is the page size above the lowest level, and PAT at it; nothing here uses PAT.
    let large = if level == Level::Page2M { large & !Flags::HUGE_PAGE.bits() } else { large };
    for index in 0..512 {
        // SAFETY: the table is new and has 512 entries.
        unsafe { *(table as *mut u64).add(index) = large + index as u64 * step };
    }
    table
}

/// Maps the page of `level` at `linear` to `physical`, and drops what the TLB knew of it.
pub fn map(linear: u64, physical: u64, level: Level, flags: Flags) {
    let size = if level == Level::Page4K { 0 } else { Flags::HUGE_PAGE.bits() };
    set(linear, level, physical | flags.bits() | size);
}

/// Maps a new zeroed frame of 4 KiB at `linear`, and returns its physical address.
pub fn map_new(linear: u64, flags: Flags) -> u64 {
    let physical = frame();
    map(linear, physical, Level::Page4K, flags);
    physical
}

/// Takes the page of `level` at `linear` away.
pub fn unmap(linear: u64, level: Level) {
    set(linear, level, 0);
}

/// Changes the flags of the page of 4 KiB at `linear`, and keeps what it maps to.
pub fn protect(linear: u64, flags: Flags) {
    set(linear, Level::Page4K, get(linear, Level::Page4K) & ADDRESS | flags.bits());
}

/// The entry's value.
pub fn get(linear: u64, level: Level) -> u64 {
    // SAFETY: `entry` leads to an entry of a table. The processor writes it too, so: volatile.
    unsafe { entry(linear, level).read_volatile() }
}

/// Replaces the entry's value, and drops what the TLB knew of it.
pub fn set(linear: u64, level: Level, value: u64) {
    set_without_flush(linear, level, value);
    flush(linear);
}

/// Replaces the entry's value, and lets the TLB keep what it knows.
pub fn set_without_flush(linear: u64, level: Level, value: u64) {
    // SAFETY: `entry` leads to an entry of a table; what it maps is the test's business.
    unsafe { entry(linear, level).write_volatile(value) };
}

/// INVLPG.
pub fn flush(linear: u64) {
    // SAFETY: dropping a translation changes nothing that is mapped.
    unsafe { asm!("invlpg [{}]", in(reg) linear, options(nostack, preserves_flags)) };
}

/// Drops all translations but the global ones, by loading CR3.
pub fn flush_all() {
    // SAFETY: CR3 keeps its value.
    unsafe { asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags)) };
}
