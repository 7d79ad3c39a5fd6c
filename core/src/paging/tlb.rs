//! The translation lookaside buffers that the interpreter's memory operations compare against, and
//! the record of what is in them. How an entry comes about is `translate`'s business.
//!
//! Invariant: an entry without a valid tag is equal to [`TlbEntry::INVALID`], and every other one is
//! in `Filled::any` of its TLB; so an emptying TLB touches only what was filled.

use super::AccessKind;
use super::gibibytes::Gibibytes;
use super::rights::Kinds;

/// A tag that no page address equals.
const NO_TAG: u64 = 1;

/// A page's translation for each kind of access.
///
/// A tag is the linear address of the page if the kind is permitted and needs nothing but host
/// memory, and 1 if not. The host address of a linear address is the sum of it and `addend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(32))]
pub(crate) struct TlbEntry {
    pub(crate) read: u64,
    pub(crate) write: u64,
    pub(crate) execute: u64,
    pub(crate) addend: u64,
}

impl TlbEntry {
    pub(super) const INVALID: Self =
        Self { read: NO_TAG, write: NO_TAG, execute: NO_TAG, addend: 0 };

    #[inline(always)]
    pub(super) fn new(page: u64, host: usize, permitted: Kinds) -> Self {
        let tag = |kind| if permitted.contains(kind) { page } else { NO_TAG };
        Self {
            read: tag(AccessKind::Read),
            write: tag(AccessKind::Write),
            execute: tag(AccessKind::Execute),
            addend: (host as u64).wrapping_sub(page),
        }
    }

    #[inline(always)]
    pub(super) fn tag(&self, kind: AccessKind) -> u64 {
        match kind {
            AccessKind::Read => self.read,
            AccessKind::Write => self.write,
            AccessKind::Execute => self.execute,
        }
    }

    /// The number of the linear page of an entry that has some tag; 0 of one without.
    #[inline(always)]
    fn page(&self) -> u64 {
        (self.read | self.write | self.execute) >> 12
    }
}

/// Entries in a TLB.
pub(super) const ENTRIES: usize = 256;

/// A direct-mapped TLB, indexed by the low bits of the page number.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Tlb(pub(crate) [TlbEntry; ENTRIES]);

impl Tlb {
    pub(super) const EMPTY: Self = Self([TlbEntry::INVALID; ENTRIES]);

    #[inline(always)]
    pub(super) fn index(linear: u64) -> usize {
        (linear >> 12) as usize % ENTRIES
    }

    /// The host address of `linear` if `kind` of access to all of `bytes` bytes hits.
    #[inline(always)]
    pub(super) fn lookup(&self, linear: u64, bytes: usize, kind: AccessKind) -> Option<usize> {
        let entry = &self.0[Self::index(linear)];
        let last = linear.wrapping_add(bytes as u64 - 1);
        let hit = entry.tag(kind) == linear & !0xfff && (last ^ linear) & !0xfff == 0;
        hit.then(|| linear.wrapping_add(entry.addend) as usize)
    }
}

/// Which entries of one TLB are filled, and what an invalidation must know of them.
#[derive(Debug)]
pub(super) struct Filled {
    /// A bit for each entry that is filled.
    any: [u64; ENTRIES / 64],
    /// What each filled entry is part of.
    pages: [Extent; ENTRIES],
    /// Where pieces of large pages were filled since the TLB was last empty.
    large: Gibibytes,
}

/// The page that a translation comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The physical address of the 4 KiB that are translated.
    pub(super) physical: u64,
    /// The page's size as a power of two.
    pub(super) bits: u8,
    /// Whether a flush for a new CR3 keeps it.
    pub(super) global: bool,
    /// Its protection key.
    pub(super) key: u8,
}

impl Filled {
    pub(super) const NOTHING: Self = Self {
        any: [0; ENTRIES / 64],
        pages: [Extent { physical: 0, bits: 12, global: false, key: 0 }; ENTRIES],
        large: Gibibytes::NONE,
    };

    /// Puts `entry` into `tlb`.
    #[inline(always)]
    pub(super) fn insert(&mut self, tlb: &mut Tlb, linear: u64, entry: TlbEntry, page: Extent) {
        let index = Tlb::index(linear);
        tlb.0[index] = entry;
        self.any[index / 64] |= 1 << (index % 64);
        self.pages[index] = page;
        if page.bits > 12 {
            self.large.add(linear);
        }
    }

    /// The physical page of `linear`, which hits in the TLB.
    #[inline(always)]
    pub(super) fn physical(&self, linear: u64) -> u64 {
        self.pages[Tlb::index(linear)].physical
    }

    /// Empties `tlb`, or all of it but global pages.
    pub(super) fn flush(&mut self, tlb: &mut Tlb, keep_global: bool) {
        for (word, any) in self.any.iter_mut().enumerate() {
            for index in indices(word, *any) {
                if !(keep_global && self.pages[index].global) {
                    tlb.0[index] = TlbEntry::INVALID;
                    *any &= !(1 << (index % 64));
                }
            }
        }
        if !keep_global {
            self.large = Gibibytes::NONE;
        }
    }

    /// Removes the pages whose keys have their bit in `keys` set.
    pub(super) fn flush_keys(&mut self, tlb: &mut Tlb, keys: u16) {
        for (word, any) in self.any.iter_mut().enumerate() {
            for index in indices(word, *any) {
                if keys >> self.pages[index].key & 1 != 0 {
                    tlb.0[index] = TlbEntry::INVALID;
                    *any &= !(1 << (index % 64));
                }
            }
        }
    }

    /// Removes the page that contains `linear`, with each piece of it if it is a large one.
    pub(super) fn flush_page(&mut self, tlb: &mut Tlb, linear: u64) {
        let index = Tlb::index(linear);
        // An entry without a tag, too, if it is the first page: it stays as it is.
        if tlb.0[index].page() == linear >> 12 {
            tlb.0[index] = TlbEntry::INVALID;
            self.any[index / 64] &= !(1 << (index % 64));
        }
        if !self.large.may_contain(linear) {
            return;
        }
        for (word, any) in self.any.iter_mut().enumerate() {
            for index in indices(word, *any) {
                let bits = self.pages[index].bits;
                if tlb.0[index].page() >> (bits - 12) == linear >> bits {
                    tlb.0[index] = TlbEntry::INVALID;
                    *any &= !(1 << (index % 64));
                }
            }
        }
    }

    /// Removes the write tags of the page at `host`.
    pub(super) fn forbid_writes(&self, tlb: &mut Tlb, host: usize) {
        for (word, &any) in self.any.iter().enumerate() {
            for index in indices(word, any) {
                let entry = &mut tlb.0[index];
                if entry.write.wrapping_add(entry.addend) as usize == host {
                    entry.write = NO_TAG;
                }
            }
        }
    }
}

/// The indices of the bits that are set in word number `word`.
fn indices(word: usize, mut bits: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = (bits != 0).then_some(bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(word * 64 + bit)
    })
}
