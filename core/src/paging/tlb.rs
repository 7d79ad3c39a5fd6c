//! The translation lookaside buffers that the interpreter's memory operations compare against, and
//! the record of what is in them. How an entry comes about is `translate`'s business.
//!
//! Invariant: an entry without a valid tag is equal to [`TlbEntry::INVALID`], and every other one is
//! in `Filled::any` of its TLB; so an emptying TLB touches only what was filled.

use super::AccessKind;

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
    pub(super) fn new(page: u64, host: usize, [read, write, execute]: [bool; 3]) -> Self {
        let tag = |permitted| if permitted { page } else { NO_TAG };
        Self {
            read: tag(read),
            write: tag(write),
            execute: tag(execute),
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

    /// The linear page of an entry that has some tag.
    fn page(&self) -> Option<u64> {
        [self.read, self.write, self.execute].into_iter().find(|&tag| tag != NO_TAG)
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

/// A set of TLB indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Indices([u64; ENTRIES / 64]);

impl Indices {
    #[inline(always)]
    fn set(&mut self, index: usize, value: bool) {
        let word = &mut self.0[index / 64 % (ENTRIES / 64)];
        *word = *word & !(1 << (index % 64)) | u64::from(value) << (index % 64);
    }

    fn without(self, other: Self) -> Self {
        Self(core::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    fn for_each(self, mut visit: impl FnMut(usize)) {
        for (word, mut bits) in self.0.into_iter().enumerate() {
            while bits != 0 {
                visit(word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

/// Which entries of one TLB are filled, and what an invalidation must know of them.
#[derive(Debug, Default)]
pub(super) struct Filled {
    any: Indices,
    /// Global pages.
    global: Indices,
    /// Pieces of 2 MiB or 4 MiB pages.
    large: Indices,
    /// Pieces of 1 GiB pages.
    huge: Indices,
}

impl Filled {
    /// Puts `entry` into `tlb`.
    #[inline(always)]
    pub(super) fn insert(
        &mut self,
        tlb: &mut Tlb,
        linear: u64,
        entry: TlbEntry,
        page_bits: u32,
        global: bool,
    ) {
        let index = Tlb::index(linear);
        tlb.0[index] = entry;
        self.any.set(index, true);
        self.global.set(index, global);
        self.large.set(index, (21..30).contains(&page_bits));
        self.huge.set(index, page_bits == 30);
    }

    /// Empties `tlb`, or all of it but global pages.
    pub(super) fn flush(&mut self, tlb: &mut Tlb, keep_global: bool) {
        let gone = if keep_global { self.any.without(self.global) } else { self.any };
        gone.for_each(|index| tlb.0[index] = TlbEntry::INVALID);
        self.any = self.any.without(gone);
        // The other sets are meaningful where `any` is set alone, and are written with it.
        self.global = if keep_global { self.global } else { Indices::default() };
    }

    /// Removes the page that contains `linear`, with each piece of it if it is a large one; large
    /// pages have `large_bits` address bits.
    pub(super) fn flush_page(&mut self, tlb: &mut Tlb, linear: u64, large_bits: u32) {
        let mut remove = |index: usize, bits: u32| {
            let same = |page: u64| page >> bits == linear >> bits;
            if tlb.0[index].page().is_some_and(same) {
                tlb.0[index] = TlbEntry::INVALID;
                self.any.set(index, false);
                self.global.set(index, false);
            }
        };
        remove(Tlb::index(linear), 12);
        self.large.for_each(|index| remove(index, large_bits));
        self.huge.for_each(|index| remove(index, 30));
    }

    /// Removes the write tags of the page at `host`.
    pub(super) fn forbid_writes(&self, tlb: &mut Tlb, host: usize) {
        self.any.for_each(|index| {
            let entry = &mut tlb.0[index];
            if entry.write.wrapping_add(entry.addend) as usize == host {
                entry.write = NO_TAG;
            }
        });
    }
}
