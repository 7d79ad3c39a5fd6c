//! Protection keys (SDM, "Protection Keys"): what the registers PKRU and IA32_PKRS deny of the data
//! accesses that the paging structures permit.
//!
//! Invariant: the registers are those that the TLBs' entries were made by; an entry whose key means
//! something else now is gone.

use x86_64::structures::paging::PageTableFlags;

use super::device_page::DevicePage;
use super::rights::{Kinds, View};
use super::{AccessKind, Mmu};
use crate::CpuState;
use crate::state::{Cr0Flags, Cr4Flags};

/// The lowest bit of the key in an entry that maps a page.
const KEY_SHIFT: u32 = 59;
/// The bits of the key.
pub(super) const KEY: u64 = 0xf << KEY_SHIFT;
/// In a key's two bits of a register: no access.
const ACCESS_DISABLE: u32 = 1;
/// No writes, but for supervisor mode without CR0.WP.
const WRITE_DISABLE: u32 = 2;

/// The key of a page with these combined flags.
#[inline(always)]
pub(super) fn key(flags: PageTableFlags) -> u8 {
    (flags.bits() >> KEY_SHIFT & 0xf) as u8
}

/// The registers as far as they are in force: one that is switched off permits everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// For pages of user mode: PKRU.
    user: u32,
    /// For the others: IA32_PKRS.
    supervisor: u32,
    write_protect: bool,
}

impl Keys {
    #[inline(always)]
    pub(super) fn of(state: &CpuState) -> Self {
        let control = &state.control;
        // Only 4-level and 5-level paging have keys.
        let long = state.long_mode();
        let on = |flag| long && control.cr4.contains(flag);
        let write_protect = control.cr0.contains(Cr0Flags::WRITE_PROTECT);
        Self {
            user: if on(Cr4Flags::PROTECTION_KEY_USER) { control.pkru } else { 0 },
            supervisor: if on(Cr4Flags::PROTECTION_KEY_SUPERVISOR) { control.pkrs } else { 0 },
            write_protect,
        }
    }

    /// The kinds of access to a page with these combined flags that its key denies.
    #[inline(always)]
    pub(super) fn denied(self, view: View, flags: PageTableFlags) -> Kinds {
        if self.user | self.supervisor == 0 {
            return Kinds::NONE;
        }
        let user_page = flags.contains(PageTableFlags::USER_ACCESSIBLE);
        let register = match (user_page, view.is_user()) {
            (true, _) => self.user,
            (false, false) => self.supervisor,
            // It has no access in any case, and not because of its key.
            (false, true) => 0,
        };
        let rights = register >> (2 * key(flags));
        let no_access = rights & ACCESS_DISABLE != 0;
        let no_write = rights & WRITE_DISABLE != 0 && (view.is_user() || self.write_protect);
        Kinds::NONE.with(AccessKind::Read, no_access).with(AccessKind::Write, no_access || no_write)
    }

    /// A bit for each key that means something else in `other`.
    fn changed(self, other: Self) -> u16 {
        let differ = (self.user ^ other.user) | (self.supervisor ^ other.supervisor);
        (0..16).filter(|key| differ >> (2 * key) & 3 != 0).fold(0, |keys, key| keys | 1 << key)
    }
}

impl Mmu {
    /// Follows a change of PKRU or IA32_PKRS: forgets the pages whose key means something else now.
    #[cold]
    pub(super) fn change_keys(&mut self, state: &CpuState) {
        let keys = Keys::of(state);
        let changed = self.keys.changed(keys);
        self.keys = keys;
        self.device_page = DevicePage::NONE;
        for (filled, tlb) in self.filled.iter_mut().zip(&mut self.tlbs) {
            filled.flush_keys(tlb, changed);
        }
    }
}
