//! The TLB-miss path: walk, check, set accessed and dirty flags, find the host page, install.

use core::ptr::{self, NonNull};

use x86_64::structures::idt::PageFaultErrorCode;
use x86_64::structures::paging::PageTableFlags;

use super::device_page::DevicePage;
use super::keys::key;
use super::mode::{Mode, ModeKey, PAGE_ADDRESS, PagingMode};
use super::regions::{Located, Regions};
use super::rights::{Kinds, View};
use super::structures::PageTable;
use super::tlb::{Extent, TlbEntry};
use super::walk::{Accumulated, Leaf, Level, Stop, walk};
use super::{AccessError, AccessKind, Mmu, Privilege};
use crate::CpuState;
use crate::memory::{GuestMemory, PAGE_SIZE, Width};
use crate::state::Control;

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
    steps: [Step; 5],
    count: usize,
}

impl Steps {
    #[inline(always)]
    fn new() -> Self {
        Self { steps: [Step { level: Level::Pml5, address: 0, entry: 0 }; 5], count: 0 }
    }

    #[inline(always)]
    fn push(&mut self, level: Level, address: u64, entry: u64) {
        self.steps[self.count % 5] = Step { level, address, entry };
        self.count += 1;
    }

    #[inline(always)]
    fn get(&self) -> &[Step] {
        &self.steps[..self.count.min(5)]
    }
}

impl Mmu {
    /// Translates for `kind` of access at the current privilege level and installs the page in the
    /// active TLB. `false` if the TLB cannot serve the access: devices, writes to read-only memory
    /// or to pages with translated code, pages with data breakpoints, and all user accesses while
    /// alignment is checked.
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
        let view = View::of(state, Privilege::Current).translated();
        if let Some(host) = self.tlbs[view as usize].lookup(linear, 1, AccessKind::Execute) {
            let bytes = ptr::with_exposed_provenance_mut(host - (linear % PAGE_SIZE) as usize);
            let physical = self.filled[view as usize].physical(linear);
            return Ok(FetchPage { physical, bytes: NonNull::new(bytes) });
        }
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
        let linear = self.mode.linear(linear).ok_or(AccessError::NonCanonical)?;
        if self.mode.paging != PagingMode::Off {
            self.walk_checked(&state.control, linear, kind, view, &mut Steps::new())?;
        }
        Ok(())
    }

    /// Whether `linear` is an address at all.
    ///
    /// # Errors
    /// [`AccessError::NonCanonical`].
    pub(super) fn check_canonical(&self, linear: u64) -> Result<(), AccessError> {
        self.mode.linear(linear).map(|_| ()).ok_or(AccessError::NonCanonical)
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
        debug_assert_eq!(self.mode.key, ModeKey::of(state), "update_mode was not called");
        let view = view.translated();
        let linear = self.mode.linear(linear).ok_or(AccessError::NonCanonical)?;
        if let Some(physical) = self.device_page.find(linear, kind, view) {
            return Ok(Page { physical, located: None, installed: false });
        }
        let leaf = match self.short_walk(linear) {
            Some(leaf) if settled(&leaf, kind) && self.permits(view, &leaf, kind) => leaf,
            _ if self.mode.paging == PagingMode::Off => Leaf::unpaged(linear),
            _ => self.walk_marking(&state.control, linear, kind, view)?,
        };
        Ok(self.install(linear, kind, view, &leaf))
    }

    #[inline(always)]
    fn permits(&self, view: View, leaf: &Leaf, kind: AccessKind) -> bool {
        self.permitted(view, leaf).contains(kind)
    }

    /// How a page may be accessed.
    #[inline(always)]
    fn permitted(&self, view: View, leaf: &Leaf) -> Kinds {
        self.permissions.get(view, leaf.flags).minus(self.keys.denied(view, leaf.flags))
    }

    /// The translation of a 4 KiB page from its page-table entry alone, where the paging-structure
    /// cache knows the table and the entry is a good one.
    #[inline(always)]
    fn short_walk(&self, linear: u64) -> Option<Leaf> {
        let table = self.structures.get(linear)?;
        let address = table.host + (linear >> 12 & 0x1ff) as usize * 8;
        // SAFETY: a page of RAM that the host named, and an offset within it.
        let entry = unsafe { u64::load(ptr::with_exposed_provenance(address)) };
        let good = entry & (PageTableFlags::PRESENT.bits() | self.mode.always_reserved)
            == PageTableFlags::PRESENT.bits();
        good.then(|| Leaf {
            physical: entry & PAGE_ADDRESS,
            page_bits: 12,
            flags: table.above.with(entry).flags(entry),
        })
    }

    /// A whole walk with its checks.
    #[inline(always)]
    fn walk_checked(
        &mut self,
        control: &Control,
        linear: u64,
        kind: AccessKind,
        view: View,
        steps: &mut Steps,
    ) -> Result<Leaf, AccessError> {
        let Self { mode, regions, memory, .. } = self;
        let (cr3, pointers) = (control.cr3, control.pdptes.unwrap_or_default());
        let mut read = |level, address| {
            let entry = read_entry(regions, &**memory, address, mode.entry_bytes());
            steps.push(level, address, entry);
            entry
        };
        let found = match mode.paging {
            // Names the mode once, so that the walk need not ask for it at each level.
            PagingMode::Level4 => {
                walk(&Mode { paging: PagingMode::Level4, ..*mode }, cr3, linear, &mut read)
            }
            PagingMode::Pae => walk(mode, cr3, linear, |level, address| match level {
                Level::PageDirectoryPointer => pointers[(address >> 3 & 3) as usize],
                _ => read(level, address),
            }),
            _ => walk(mode, cr3, linear, &mut read),
        };
        let cause = match found {
            Ok(leaf) if self.permits(view, &leaf, kind) => return Ok(leaf),
            Ok(leaf) if self.keys.denied(view, leaf.flags).contains(kind) => {
                PageFaultErrorCode::PROTECTION_VIOLATION | PageFaultErrorCode::PROTECTION_KEY
            }
            Ok(_) => PageFaultErrorCode::PROTECTION_VIOLATION,
            Err(Stop::NotPresent(_)) => PageFaultErrorCode::empty(),
            Err(Stop::Reserved(..)) => {
                PageFaultErrorCode::PROTECTION_VIOLATION | PageFaultErrorCode::MALFORMED_TABLE
            }
        };
        Err(view.page_fault(&self.mode, linear, kind, cause).into())
    }

    /// A whole walk that sets the accessed and dirty flags of a permitted access.
    #[inline(never)]
    fn walk_marking(
        &mut self,
        control: &Control,
        linear: u64,
        kind: AccessKind,
        view: View,
    ) -> Result<Leaf, AccessError> {
        loop {
            let mut steps = Steps::new();
            let mut leaf = self.walk_checked(control, linear, kind, view, &mut steps)?;
            if !settled(&leaf, kind) && !self.mark(steps.get(), kind) {
                continue; // Another processor has changed an entry: the walk is stale.
            }
            if kind == AccessKind::Write {
                leaf.flags.insert(PageTableFlags::DIRTY);
            }
            if leaf.page_bits == 12 && self.mode.entry_bytes() == 8 {
                self.remember_table(linear, steps.get());
            }
            return Ok(leaf);
        }
    }

    /// Sets the accessed flag in all entries of a walk, and the dirty flag in the last one for a
    /// write; `false` if an entry is not what it was.
    #[cold]
    fn mark(&mut self, steps: &[Step], kind: AccessKind) -> bool {
        let mode = self.mode;
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
    fn remember_table(&mut self, linear: u64, steps: &[Step]) {
        let Some((last, upper)) = steps.split_last() else { return };
        let Some(located) = self.regions.locate(&*self.memory, last.address & !0xfff) else {
            return;
        };
        let above = upper
            .iter()
            .filter(|step| self.mode.has_rights(step.level))
            .fold(Accumulated::NOTHING, |above, step| {
                above.with(step.entry | PageTableFlags::ACCESSED.bits())
            });
        self.structures.insert(linear, PageTable { host: located.host, above });
    }

    /// Finds the host page of a translation and installs what the TLB may serve of it.
    #[inline(always)]
    fn install(&mut self, linear: u64, kind: AccessKind, view: View, leaf: &Leaf) -> Page {
        let physical = leaf.physical;
        let located = match physical == self.local_apic {
            true => None,
            false => self.regions.locate(&*self.memory, physical),
        };
        let Some(Located { host, writable }) = located else {
            if !self.watchpoints.in_page(linear) {
                self.device_page = DevicePage::new(linear, kind, view, physical);
            }
            return Page { physical, located, installed: false };
        };
        let mut served = self.permitted(view, leaf);
        let write = writable && leaf.flags.contains(PageTableFlags::DIRTY);
        if !write
            || served.contains(AccessKind::Write)
                && (self.code.mask(physical) != 0 || !self.may_write(physical))
        {
            served = served.without(AccessKind::Write);
        }
        if self.watchpoints.in_page(linear) {
            served = served.without(AccessKind::Read).without(AccessKind::Write);
        }
        let entry = TlbEntry::new(linear & !0xfff, host, served);
        let bits = leaf.page_bits as u8;
        let global = leaf.flags.intersects(self.mode.global);
        let page = Extent { physical, bits, global, key: key(leaf.flags) };
        let slot = view as usize;
        self.filled[slot].insert(&mut self.tlbs[slot], linear, entry, page);
        Page { physical, located, installed: served.contains(kind) }
    }
}

/// An entry of a paging structure; all ones where there is no RAM.
#[inline(always)]
pub(super) fn read_entry(
    regions: &mut Regions,
    memory: &dyn GuestMemory,
    address: u64,
    bytes: usize,
) -> u64 {
    let Some(located) = regions.locate(memory, address & !0xfff) else {
        return if bytes == 4 { u64::from(u32::MAX) } else { u64::MAX };
    };
    let pointer = ptr::with_exposed_provenance(located.host + (address & 0xfff) as usize);
    // SAFETY: within a page of RAM; entries are aligned to their size.
    unsafe { if bytes == 4 { u32::load(pointer).extend() } else { u64::load(pointer) } }
}

/// Whether an access needs no more flags set.
#[inline(always)]
fn settled(leaf: &Leaf, kind: AccessKind) -> bool {
    leaf.flags.contains(PageTableFlags::ACCESSED)
        && (kind != AccessKind::Write || leaf.flags.contains(PageTableFlags::DIRTY))
}
