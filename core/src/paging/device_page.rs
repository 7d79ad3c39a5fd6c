//! The page of a device that was translated last. The TLB serves RAM alone; but a driver accesses the
//! same few registers over and over, and would walk the page tables two or three times for each.
//!
//! Invariant: as for a TLB entry; whatever empties the TLBs, or takes a page from them, forgets it. No
//! breakpoint is in it.

use super::AccessKind;
use super::rights::View;
use crate::memory::PAGE_SIZE;

/// A translation to a page that is not RAM, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct DevicePage {
    /// The page's linear address; no page has an odd one.
    linear: u64,
    physical: u64,
    kind: AccessKind,
    view: View,
}

impl DevicePage {
    /// No page.
    pub(super) const NONE: Self =
        Self { linear: 1, physical: 0, kind: AccessKind::Read, view: View::Supervisor };

    /// What a walk for this kind of access by `view` has found: the page of `linear` at `physical`.
    pub(super) fn new(linear: u64, kind: AccessKind, view: View, physical: u64) -> Self {
        Self { linear: linear & !(PAGE_SIZE - 1), physical, kind, view }
    }

    /// The physical address of the page of `linear`, if it is this one and may be accessed so: as it
    /// was before, or read where it was written.
    #[inline(always)]
    pub(super) fn find(&self, linear: u64, kind: AccessKind, view: View) -> Option<u64> {
        let same = linear & !(PAGE_SIZE - 1) == self.linear && view == self.view;
        let covered =
            kind == self.kind || kind == AccessKind::Read && self.kind == AccessKind::Write;
        (same && covered).then_some(self.physical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_serves_what_was_walked_for_and_reads_of_what_was_written() {
        let found = |page: DevicePage, linear, kind, view| page.find(linear, kind, view).is_some();
        let (read, write) = (AccessKind::Read, AccessKind::Write);
        let page = DevicePage::new(0x5678, read, View::Supervisor, 0xfec0_0000);
        assert_eq!(page.find(0x5000, read, View::Supervisor), Some(0xfec0_0000));
        assert!(!found(page, 0x6000, read, View::Supervisor));
        assert!(!found(page, 0x5000, write, View::Supervisor));
        assert!(!found(page, 0x5000, read, View::User));
        let page = DevicePage::new(0x5678, write, View::User, 0xfec0_0000);
        assert!(found(page, 0x5fff, read, View::User) && found(page, 0x5fff, write, View::User));
        assert!(!found(page, 0x5fff, AccessKind::Execute, View::User));
        assert!(!found(DevicePage::NONE, 0, read, View::Supervisor));
    }
}
