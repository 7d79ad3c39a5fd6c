//! What the control registers say about translation, gathered into one small value. Which bits of an
//! entry are reserved is decided here; what an entry permits is not.

use x86_64::structures::paging::PageTableFlags;

use super::walk::Level;
use crate::CpuState;
use crate::state::{Cr0Flags, Cr4Flags, EferFlags};

/// Width of physical addresses (MAXPHYADDR), as CPUID leaf 0x8000_0008 reports it.
pub const PHYSICAL_ADDRESS_BITS: u32 = 46;

/// Width of linear addresses under 4-level paging.
pub const LINEAR_ADDRESS_BITS: u32 = 48;

/// Width of linear addresses under 5-level paging, as CPUID leaf 0x8000_0008 reports it of a processor
/// that has it.
pub const WIDEST_LINEAR_ADDRESS_BITS: u32 = 57;

/// The bits of a physical page address in an entry.
pub(super) const PAGE_ADDRESS: u64 = bits(PHYSICAL_ADDRESS_BITS - 1, 12);

/// The reserved bits of a PDPTE of PAE paging.
pub(super) const POINTER_RESERVED: u64 = bits(63, PHYSICAL_ADDRESS_BITS) | bits(8, 5) | bits(2, 1);

const PRESENT_PAGE_SIZE: u64 = PageTableFlags::HUGE_PAGE.bits();

/// Bits `high` to `low`, both included.
const fn bits(high: u32, low: u32) -> u64 {
    (u64::MAX >> (63 - high)) & (u64::MAX << low)
}

/// How linear addresses become physical ones (SDM, "Paging Modes and Control Bits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagingMode {
    /// CR0.PG = 0: a linear address is a physical one.
    Off,
    /// 32-bit paging: two levels of 32-bit entries.
    Bits32,
    /// PAE paging: three levels of 64-bit entries.
    Pae,
    /// 4-level paging.
    Level4,
    /// 5-level paging.
    Level5,
}

impl PagingMode {
    /// The mode that `state` is in.
    #[inline]
    pub fn of(state: &CpuState) -> Self {
        let control = &state.control;
        if !control.cr0.contains(Cr0Flags::PAGING) {
            Self::Off
        } else if control.efer.contains(EferFlags::LONG_MODE_ACTIVE) {
            if control.cr4.contains(Cr4Flags::L5_PAGING) { Self::Level5 } else { Self::Level4 }
        } else if control.cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION) {
            Self::Pae
        } else {
            Self::Bits32
        }
    }
}

/// The paging mode with all that modifies it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    /// The control bits that all else follows from.
    pub(super) key: ModeKey,
    pub(super) paging: PagingMode,
    /// IA-32e mode: linear addresses are 64 bits wide and must be canonical.
    pub(super) long: bool,
    /// How wide they are there.
    pub(super) linear_bits: u32,
    /// EFER.NXE, where entries have a bit for it.
    pub(super) no_execute: bool,
    /// CR0.WP.
    pub(super) write_protect: bool,
    /// CR4.SMEP.
    pub(super) smep: bool,
    /// CR4.SMAP.
    pub(super) smap: bool,
    /// GLOBAL with CR4.PGE, nothing without.
    pub(super) global: PageTableFlags,
    /// The bits that are reserved in each entry that maps or names something.
    pub(super) always_reserved: u64,
    /// PKRU or IA32_PKRS is in force.
    pub(super) keyed: bool,
    /// CR4.PSE; meant for 32-bit paging alone, the other modes always have large pages.
    pub(super) page_size_extension: bool,
}

/// The bits of CR4 that put protection keys in force.
const KEYS: Cr4Flags = Cr4Flags::PROTECTION_KEY_USER.union(Cr4Flags::PROTECTION_KEY_SUPERVISOR);

/// The bits of CR0, CR4 and EFER that translations depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModeKey(u64);

impl ModeKey {
    #[inline(always)]
    pub(super) fn of(state: &CpuState) -> Self {
        const CR0: Cr0Flags = Cr0Flags::PAGING.union(Cr0Flags::WRITE_PROTECT);
        const EFER: EferFlags = EferFlags::LONG_MODE_ACTIVE.union(EferFlags::NO_EXECUTE_ENABLE);
        const CR4: Cr4Flags = Cr4Flags::PAGE_SIZE_EXTENSION
            .union(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION)
            .union(Cr4Flags::PAGE_GLOBAL)
            .union(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION)
            .union(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION)
            .union(Cr4Flags::L5_PAGING)
            .union(KEYS);
        const { assert!(CR0.bits() & EFER.bits() == 0 && CR4.bits() >> 32 == 0) };
        let control = &state.control;
        let low = control.cr0.bits() & CR0.bits() | control.efer.bits() & EFER.bits();
        Self(low | (control.cr4.bits() & CR4.bits()) << 32)
    }
}

impl Mode {
    pub(super) fn of(state: &CpuState) -> Self {
        let control = &state.control;
        let paging = PagingMode::of(state);
        let has_global = control.cr4.contains(Cr4Flags::PAGE_GLOBAL);
        let no_execute = control.efer.contains(EferFlags::NO_EXECUTE_ENABLE)
            && control.cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
        Self {
            key: ModeKey::of(state),
            paging,
            long: state.long_mode(),
            linear_bits: linear_address_bits(control.cr4),
            no_execute,
            write_protect: control.cr0.contains(Cr0Flags::WRITE_PROTECT),
            smep: control.cr4.contains(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
            smap: control.cr4.contains(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
            global: if has_global { PageTableFlags::GLOBAL } else { PageTableFlags::empty() },
            always_reserved: match paging {
                PagingMode::Level4 | PagingMode::Level5 => bits(51, PHYSICAL_ADDRESS_BITS),
                PagingMode::Pae => bits(62, PHYSICAL_ADDRESS_BITS),
                PagingMode::Bits32 | PagingMode::Off => 0,
            } | if no_execute { 0 } else { PageTableFlags::NO_EXECUTE.bits() },
            keyed: control.cr4.intersects(KEYS),
            page_size_extension: control.cr4.contains(Cr4Flags::PAGE_SIZE_EXTENSION),
        }
    }

    /// `linear` as this mode sees it: outside IA-32e mode addresses wrap at 32 bits. `None` if it
    /// is not canonical.
    #[inline(always)]
    pub(super) fn linear(&self, linear: u64) -> Option<u64> {
        if !self.long {
            return Some(linear & 0xffff_ffff);
        }
        repeats_highest(linear, self.linear_bits).then_some(linear)
    }

    /// The top structure: its level and its physical address.
    #[inline(always)]
    pub(super) fn root(&self, cr3: u64) -> (Level, u64) {
        match self.paging {
            PagingMode::Level4 => (Level::Pml4, cr3 & PAGE_ADDRESS),
            PagingMode::Level5 => (Level::Pml5, cr3 & PAGE_ADDRESS),
            PagingMode::Pae => (Level::PageDirectoryPointer, cr3 & bits(31, 5)),
            _ => (Level::PageDirectory, cr3 & bits(31, 12)),
        }
    }

    /// Bytes of an entry.
    #[inline(always)]
    pub(super) fn entry_bytes(&self) -> usize {
        if self.paging == PagingMode::Bits32 { 4 } else { 8 }
    }

    /// Where the entry for `linear` is in a structure of `level`.
    #[inline(always)]
    pub(super) fn offset(&self, level: Level, linear: u64) -> u64 {
        match self.paging {
            PagingMode::Bits32 if level == Level::PageTable => (linear >> 12 & 0x3ff) * 4,
            PagingMode::Bits32 => (linear >> 22 & 0x3ff) * 4,
            _ => (linear >> level.shift() & 0x1ff) * 8,
        }
    }

    /// Whether a present entry maps a page rather than naming the next structure.
    #[inline(always)]
    pub(super) fn maps_page(&self, level: Level, entry: u64) -> bool {
        let large = entry & PRESENT_PAGE_SIZE != 0;
        match level {
            Level::Pml4 | Level::Pml5 => false,
            Level::PageDirectoryPointer => large && self.paging != PagingMode::Pae,
            Level::PageDirectory => {
                large && (self.paging != PagingMode::Bits32 || self.page_size_extension)
            }
            Level::PageTable => true,
        }
    }

    /// Whether entries of `level` hold access rights and an accessed flag: all but the PDPTEs of
    /// PAE paging do.
    #[inline(always)]
    pub(super) fn has_rights(&self, level: Level) -> bool {
        !(self.paging == PagingMode::Pae && level == Level::PageDirectoryPointer)
    }

    /// The reserved bits that are set in a present entry (SDM, "Reserved Bits and Page Faults").
    #[inline(always)]
    pub(super) fn reserved(&self, level: Level, entry: u64) -> u64 {
        let large = self.maps_page(level, entry);
        let mask = match (self.paging, level) {
            // With PSE-36, bits 20:13 are address bits 39:32.
            (PagingMode::Bits32, Level::PageDirectory) if large => bits(21, 21),
            (PagingMode::Bits32 | PagingMode::Off, _) => 0,
            (PagingMode::Pae, Level::PageDirectoryPointer) => {
                return entry & POINTER_RESERVED;
            }
            (_, Level::Pml4 | Level::Pml5) => PRESENT_PAGE_SIZE,
            (_, Level::PageDirectoryPointer) if large => bits(29, 13),
            (_, Level::PageDirectory) if large => bits(20, 13),
            _ => 0,
        };
        entry & (mask | self.always_reserved)
    }

    /// Size of the page that an entry of `level` maps, as a power of two.
    #[inline(always)]
    pub(super) fn page_bits(&self, level: Level) -> u32 {
        match (self.paging, level) {
            (PagingMode::Bits32, Level::PageDirectory) => 22,
            _ => level.shift(),
        }
    }

    /// The physical address of the 4 KiB page that contains `linear`, from the entry that maps it.
    #[inline(always)]
    pub(super) fn physical_page(&self, level: Level, entry: u64, linear: u64) -> u64 {
        let page = match (self.paging, level) {
            (PagingMode::Bits32, Level::PageDirectory) => {
                entry & bits(31, 22) | (entry & bits(20, 13)) << (32 - 13)
            }
            (PagingMode::Bits32, _) => entry & bits(31, 12),
            _ => entry & PAGE_ADDRESS,
        };
        // The entry's bit 12 is PAT in a large page, and bits below the page's size are zero.
        let offset = (1 << self.page_bits(level)) - 1;
        page & !offset | linear & offset & !0xfff
    }
}

/// Width of linear addresses in 64-bit mode with this CR4.
#[inline(always)]
pub fn linear_address_bits(cr4: Cr4Flags) -> u32 {
    match cr4.contains(Cr4Flags::L5_PAGING) {
        true => WIDEST_LINEAR_ADDRESS_BITS,
        false => LINEAR_ADDRESS_BITS,
    }
}

/// Whether the bits above those of a linear address repeat its highest one, in the paging mode that
/// the state is in: of instruction pointers and of whatever is accessed.
#[inline]
pub fn is_canonical(state: &CpuState, linear: u64) -> bool {
    repeats_highest(linear, linear_address_bits(state.control.cr4))
}

/// Whether the bits above the lowest `bits` repeat the highest of those.
#[inline(always)]
pub(crate) fn repeats_highest(linear: u64, bits: u32) -> bool {
    let unused = 64 - bits;
    ((linear << unused) as i64 >> unused) as u64 == linear
}
