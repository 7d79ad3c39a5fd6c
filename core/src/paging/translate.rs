//! The TLB-miss path: walk, check, set accessed and dirty flags, find the host page, install.

use core::ptr::{self, NonNull};

use x86_64::structures::idt::PageFaultErrorCode;
use x86_64::structures::paging::PageTableFlags;

use super::mode::{Mode, PagingMode};
use super::regions::Located;
use super::rights::View;
use super::structures::PageTable;
use super::tlb::TlbEntry;
use super::walk::{Accumulated, Leaf, Level, Stop, walk};
use super::{AccessError, AccessKind, Mmu, Privilege};
use crate::CpuState;
use crate::memory::Width;

/// A page that instructions are fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchPage {
    /// Its physical address.
    pub(crate) physical: u64,
    /// Its bytes; `None` where there is no RAM, and fetches give all ones.
    pub(crate) bytes: Option<NonNull<u8>>,
}

/// A 4 KiB page that an access may touch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) physical: u64,
    pub(super) located: Option<Located>,
    /// The TLB serves further accesses of this kind.
    pub(super) installed: bool,
}

/// An entry that a walk has read.
#[derive(Clone, Copy)]
struct Step {
    level: Level,
    address: u64,
    entry: u64,
}

/// The entries of a walk in order; at most one of each level.
struct Steps {
    steps: [Step; 4],
    count: usize,
}

impl Steps {
    #[inline(always)]
    fn new() -> Self {
        Self { steps: [Step { level: Level::Pml4, address: 0, entry: 0 }; 4], count: 0 }
    }

    #[inline(always)]
    fn push(&mut self, level: Level, address: u64, entry: u64) {
        self.steps[self.count % 4] = Step { level, address, entry };
        self.count += 1;
    }

    #[inline(always)]
    fn get(&self) -> &[Step] {
        &self.steps[..self.count.min(4)]
    }
}

impl Mmu {
    /// Translates for `kind` of access at the current privilege level and installs the page in the
    /// active TLB. `false` if the TLB cannot serve the access: devices, writes to read-only memory
    /// or to pages with translated code, and all user accesses while alignment is checked.
    ///
    /// # Errors
    /// As the access itself.
    pub(crate) fn fill(
        &mut self,
        state: &CpuState,
        linear: u64,
        kind: AccessKind,
    ) -> Result<bool, AccessError> {
        let view = View::of(state, Privilege::Current);
        let page = self.translate(state, linear, kind, view)?;
        Ok(page.installed && view != View::UserAligned)
    }

    /// The page to fetch the instruction bytes at `linear` from.
    ///
    /// # Errors
    /// As the fetch itself.
    pub(crate) fn fetch(
        &mut self,
        state: &CpuState,
        linear: u64,
    ) -> Result<FetchPage, AccessError> {
        let view = View::of(state, Privilege::Current);
        let page = self.translate(state, linear, AccessKind::Execute, view)?;
        let bytes = page
            .located
            .and_then(|located| NonNull::new(ptr::with_exposed_provenance_mut(located.host)));
        Ok(FetchPage { physical: page.physical, bytes })
    }

    /// Whether the access would fault, without setting any flag.
    pub(super) fn inspect(
        &mut self,
        state: &CpuState,
        linear: u64,
        kind: AccessKind,
        view: View,
    ) -> Result<(), AccessError> {
        let mode = Mode::of(state);
        let linear = mode.linear(linear).ok_or(AccessError::NonCanonical)?;
        if mode.paging != PagingMode::Off {
            self.walk_checked(&mode, state.control.cr3, linear, kind, view, &mut Steps::new())?;
        }
        Ok(())
    }

    /// Translates the page of `linear`, with the accessed and dirty flags of its entries set, and
    /// installs it in `view`'s TLB.
    #[inline]
    pub(super) fn translate(
        &mut self,
        state: &CpuState,
        linear: u64,
        kind: AccessKind,
        view: View,
    ) -> Result<Page, AccessError> {
        let mode = Mode::of(state);
        let view = view.translated();
        let linear = mode.linear(linear).ok_or(AccessError::NonCanonical)?;
        let leaf = match mode.paging {
            PagingMode::Off => Leaf::unpaged(linear),
            PagingMode::Bits32 => {
                self.walk_marking(&mode, state.control.cr3, linear, kind, view)?
            }
            PagingMode::Pae | PagingMode::Level4 => match self.short_walk(&mode, linear) {
                Some(leaf) if settled(&leaf, kind) && view.permits(&mode, leaf.flags, kind) => leaf,
                _ => self.walk_marking(&mode, state.control.cr3, linear, kind, view)?,
            },
        };
        Ok(self.install(&mode, linear, kind, view, &leaf))
    }

    /// The translation of a 4 KiB page from its page-table entry alone, where the paging-structure
    /// cache knows the table and the entry is a good one.
    #[inline(always)]
    fn short_walk(&self, mode: &Mode, linear: u64) -> Option<Leaf> {
        let table = self.structures.get(linear)?;
        let address = table.host + mode.offset(Level::PageTable, linear) as usize;
        // SAFETY: a page of RAM that the host named, and an offset within it.
        let entry = unsafe { u64::load(ptr::with_exposed_provenance(address)) };
        let good =
            entry & PageTableFlags::PRESENT.bits() != 0 && entry & mode.always_reserved() == 0;
        good.then(|| Leaf {
            physical: mode.physical_page(Level::PageTable, entry, linear),
            page_bits: 12,
            flags: table.above.with(entry).flags(entry),
        })
    }

    /// A whole walk with its checks.
    #[inline(always)]
    fn walk_checked(
        &mut self,
        mode: &Mode,
        cr3: u64,
        linear: u64,
        kind: AccessKind,
        view: View,
        steps: &mut Steps,
    ) -> Result<Leaf, AccessError> {
        let bytes = mode.entry_bytes();
        let found = walk(mode, cr3, linear, |level, address| {
            let entry = self.read_entry(address, bytes);
            steps.push(level, address, entry);
            entry
        });
        let cause = match found {
            Ok(leaf) if view.permits(mode, leaf.flags, kind) => return Ok(leaf),
            Ok(_) => PageFaultErrorCode::PROTECTION_VIOLATION,
            Err(Stop::NotPresent(_)) => PageFaultErrorCode::empty(),
            Err(Stop::Reserved(..)) => {
                PageFaultErrorCode::PROTECTION_VIOLATION | PageFaultErrorCode::MALFORMED_TABLE
            }
        };
        Err(view.page_fault(mode, linear, kind, cause).into())
    }

    /// A whole walk that sets the accessed and dirty flags of a permitted access.
    fn walk_marking(
        &mut self,
        mode: &Mode,
        cr3: u64,
        linear: u64,
        kind: AccessKind,
        view: View,
    ) -> Result<Leaf, AccessError> {
        loop {
            let mut steps = Steps::new();
            let leaf = self.walk_checked(mode, cr3, linear, kind, view, &mut steps)?;
            // When an entry has changed meanwhile, another processor has got on: the walk is stale.
            if settled(&leaf, kind) || self.mark(mode, steps.get(), kind) {
                if leaf.page_bits == 12 && mode.entry_bytes() == 8 {
                    self.remember_table(mode, linear, steps.get());
                }
                let dirty = kind == AccessKind::Write;
                let mut leaf = leaf;
                leaf.flags.set(
                    PageTableFlags::DIRTY,
                    dirty || leaf.flags.contains(PageTableFlags::DIRTY),
                );
                return Ok(leaf);
            }
        }
    }

    /// Sets the accessed flag in all entries of a walk, and the dirty flag in the last one for a
    /// write; `false` if an entry is not what it was.
    #[cold]
    fn mark(&mut self, mode: &Mode, steps: &[Step], kind: AccessKind) -> bool {
        for (index, step) in steps.iter().enumerate() {
            if !mode.has_rights(step.level) {
                continue;
            }
            let mut flags = PageTableFlags::ACCESSED.bits();
            if kind == AccessKind::Write && index + 1 == steps.len() {
                flags |= PageTableFlags::DIRTY.bits();
            }
            let marked = step.entry | flags;
            if marked == step.entry {
                continue;
            }
            let page = step.address & !0xfff;
            let Some(Located { host, writable: true }) = self.regions.locate(&*self.memory, page)
            else {
                continue; // Read-only memory keeps its flags.
            };
            let pointer = ptr::with_exposed_provenance_mut(host + (step.address & 0xfff) as usize);
            // SAFETY: within a writable page of RAM; entries are aligned to their size.
            let unchanged = unsafe {
                match mode.entry_bytes() {
                    4 => u32::compare_exchange(pointer, step.entry as u32, marked as u32).is_ok(),
                    _ => u64::compare_exchange(pointer, step.entry, marked).is_ok(),
                }
            };
            if !unchanged {
                return false;
            }
            self.note_code(step.address, mode.entry_bytes() as u32);
        }
        true
    }

    /// Puts the page table of a walk into the paging-structure cache.
    fn remember_table(&mut self, mode: &Mode, linear: u64, steps: &[Step]) {
        let Some((last, upper)) = steps.split_last() else { return };
        let Some(located) = self.regions.locate(&*self.memory, last.address & !0xfff) else {
            return;
        };
        let above = upper
            .iter()
            .filter(|step| mode.has_rights(step.level))
            .fold(Accumulated::NOTHING, |above, step| {
                above.with(step.entry | PageTableFlags::ACCESSED.bits())
            });
        self.structures.insert(linear, PageTable { host: located.host, above });
    }

    /// An entry of a paging structure; all ones where there is no RAM.
    #[inline(always)]
    fn read_entry(&mut self, address: u64, bytes: usize) -> u64 {
        let Some(located) = self.regions.locate(&*self.memory, address & !0xfff) else {
            return if bytes == 4 { u64::from(u32::MAX) } else { u64::MAX };
        };
        let pointer = ptr::with_exposed_provenance(located.host + (address & 0xfff) as usize);
        // SAFETY: within a page of RAM; entries are aligned to their size.
        unsafe { if bytes == 4 { u32::load(pointer).extend() } else { u64::load(pointer) } }
    }

    /// Finds the host page of a translation and installs what the TLB may serve of it.
    #[inline(always)]
    fn install(
        &mut self,
        mode: &Mode,
        linear: u64,
        kind: AccessKind,
        view: View,
        leaf: &Leaf,
    ) -> Page {
        let physical = leaf.physical;
        let located = self.regions.locate(&*self.memory, physical);
        let Some(Located { host, writable }) = located else {
            return Page { physical, located, installed: false };
        };
        let permits = |kind| view.permits(mode, leaf.flags, kind);
        let write = permits(AccessKind::Write)
            && writable
            && leaf.flags.contains(PageTableFlags::DIRTY)
            && self.code.mask(physical) == 0;
        let permitted = [permits(AccessKind::Read), write, permits(AccessKind::Execute)];
        let page = linear & !0xfff;
        let entry = TlbEntry::new(page, host, permitted);
        let global = mode.global && leaf.flags.contains(PageTableFlags::GLOBAL);
        let slot = view as usize;
        self.filled[slot].insert(&mut self.tlbs[slot], linear, entry, leaf.page_bits, global);
        Page { physical, located, installed: entry.tag(kind) == page }
    }
}

/// Whether an access needs no more flags set.
#[inline(always)]
fn settled(leaf: &Leaf, kind: AccessKind) -> bool {
    leaf.flags.contains(PageTableFlags::ACCESSED)
        && (kind != AccessKind::Write || leaf.flags.contains(PageTableFlags::DIRTY))
}
