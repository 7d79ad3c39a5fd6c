//! The walk through the paging structures: which entries a linear address selects, what they add up
//! to, and which one ends it. Pure: entries come from a function that the caller gives, and nothing
//! is written. Whether an access is permitted is `rights`' business.

use core::fmt;

use x86_64::structures::paging::PageTableFlags;

use super::keys::KEY;
use super::mode::Mode;

/// A level of the paging structures, by its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Page table.
    PageTable,
    /// Page directory.
    PageDirectory,
    /// Page-directory-pointer table.
    PageDirectoryPointer,
    /// Page map level 4.
    Pml4,
    /// Page map level 5.
    Pml5,
}

impl Level {
    /// The lowest linear-address bit that selects an entry among 64-bit entries.
    #[inline(always)]
    pub(super) fn shift(self) -> u32 {
        12 + 9 * self as u32
    }

    #[inline(always)]
    fn below(self) -> Self {
        match self {
            Self::Pml5 => Self::Pml4,
            Self::Pml4 => Self::PageDirectoryPointer,
            Self::PageDirectoryPointer => Self::PageDirectory,
            Self::PageDirectory | Self::PageTable => Self::PageTable,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Pml5 => "PML5E",
            Self::Pml4 => "PML4E",
            Self::PageDirectoryPointer => "PDPTE",
            Self::PageDirectory => "PDE",
            Self::PageTable => "PTE",
        })
    }
}

/// What a completed walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Physical address of the 4 KiB page that contains the linear address.
    pub(super) physical: u64,
    /// Size of the whole page as a power of two.
    pub(super) page_bits: u32,
    /// WRITABLE, USER_ACCESSIBLE and NO_EXECUTE as all levels together have them, ACCESSED if all
    /// levels have it, DIRTY, GLOBAL and the protection key of the last entry.
    pub(super) flags: PageTableFlags,
}

impl Leaf {
    /// The page that `linear` is in without paging.
    #[inline(always)]
    pub(super) fn unpaged(linear: u64) -> Self {
        let flags = PageTableFlags::WRITABLE
            .union(PageTableFlags::USER_ACCESSIBLE)
            .union(PageTableFlags::ACCESSED)
            .union(PageTableFlags::DIRTY);
        Self { physical: linear & !0xfff, page_bits: 12, flags }
    }
}

/// Why a walk stopped early, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    NotPresent(Level),
    /// These reserved bits are set.
    Reserved(Level, u64),
}

/// The flags of which an upper level takes away from those below (NO_EXECUTE the other way around).
const RESTRICTING: u64 = PageTableFlags::WRITABLE.bits()
    | PageTableFlags::USER_ACCESSIBLE.bits()
    | PageTableFlags::ACCESSED.bits();
const OF_LAST: u64 = PageTableFlags::DIRTY.bits() | PageTableFlags::GLOBAL.bits() | KEY;

/// What the entries above and including some level add up to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accumulated {
    all: u64,
    any: u64,
}

impl Accumulated {
    pub(super) const NOTHING: Self = Self { all: u64::MAX, any: 0 };

    #[inline(always)]
    pub(super) fn with(self, entry: u64) -> Self {
        Self { all: self.all & entry, any: self.any | entry }
    }

    /// The combined flags of a walk whose last entry is `last`.
    #[inline(always)]
    pub(super) fn flags(self, last: u64) -> PageTableFlags {
        PageTableFlags::from_bits_retain(
            self.all & RESTRICTING | self.any & PageTableFlags::NO_EXECUTE.bits() | last & OF_LAST,
        )
    }
}

/// Walks for `linear` (wrapped and canonical) with `read(level, address)` giving the entries.
#[inline(always)]
pub(super) fn walk(
    mode: &Mode,
    cr3: u64,
    linear: u64,
    mut read: impl FnMut(Level, u64) -> u64,
) -> Result<Leaf, Stop> {
    let (mut level, mut table) = mode.root(cr3);
    let mut accumulated = Accumulated::NOTHING;
    loop {
        let entry = read(level, table + mode.offset(level, linear));
        if entry & PageTableFlags::PRESENT.bits() == 0 {
            return Err(Stop::NotPresent(level));
        }
        let reserved = mode.reserved(level, entry);
        if reserved != 0 {
            return Err(Stop::Reserved(level, reserved));
        }
        if mode.has_rights(level) {
            accumulated = accumulated.with(entry);
        }
        if mode.maps_page(level, entry) {
            return Ok(Leaf {
                physical: mode.physical_page(level, entry, linear),
                page_bits: mode.page_bits(level),
                flags: accumulated.flags(entry),
            });
        }
        table = entry & super::mode::PAGE_ADDRESS;
        level = level.below();
    }
}
