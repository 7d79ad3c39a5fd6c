//! Who accesses, what for, and whether the combined flags of a translation permit it (SDM,
//! "Determination of Access Rights"), and the page fault that says it does not. What protection keys
//! take away of that is in `keys`.

use x86_64::structures::idt::PageFaultErrorCode;
use x86_64::structures::paging::PageTableFlags;

use super::mode::Mode;
use crate::CpuState;
use crate::state::{Cr0Flags, Cr4Flags, Exception, RFlags};

/// With whose rights an access is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The current privilege level's.
    Current,
    /// An implicit supervisor-mode access: descriptor tables and task-state segments, at any CPL.
    System,
    /// Those of a privilege level that is about to become current: pushes onto an inner stack.
    At(u8),
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// A data read.
    Read,
    /// A data write, or a read that a write follows.
    Write,
    /// An instruction fetch.
    Execute,
}

/// A set of access kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);

    #[inline(always)]
    pub(super) fn with(self, kind: AccessKind, wanted: bool) -> Self {
        Self(self.0 | u8::from(wanted) << kind as u8)
    }

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline(always)]
    pub(super) fn contains(self, kind: AccessKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    #[inline(always)]
    pub(super) fn without(self, kind: AccessKind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }
}

/// What each view permits for each combination of the flags that matter, in one mode: worked out
/// once, looked up at each TLB miss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permissions([[Kinds; 8]; View::COUNT]);

impl Permissions {
    pub(super) fn of(mode: &Mode) -> Self {
        const VIEWS: [View; View::COUNT] =
            [View::User, View::Supervisor, View::SupervisorAc, View::UserAligned];
        const KINDS: [AccessKind; 3] = [AccessKind::Read, AccessKind::Write, AccessKind::Execute];
        Self(VIEWS.map(|view| {
            core::array::from_fn(|index| {
                let index = index as u64;
                let flags = PageTableFlags::from_bits_retain((index & 3) << 1 | (index >> 2) << 63);
                let permitted = |&kind: &AccessKind| view.permits(mode, flags, kind);
                let bit = |kind| 1 << kind as u8;
                Kinds(KINDS.into_iter().filter(permitted).fold(0, |kinds, kind| kinds | bit(kind)))
            })
        }))
    }

    /// How a page with these combined flags may be accessed.
    #[inline(always)]
    pub(super) fn get(&self, view: View, flags: PageTableFlags) -> Kinds {
        const { assert!(PageTableFlags::WRITABLE.bits() == 2) };
        const { assert!(PageTableFlags::USER_ACCESSIBLE.bits() == 4) };
        let flags = flags.bits();
        self.0[view as usize][(flags >> 1 & 3 | flags >> 63 << 2) as usize]
    }
}

/// A class of accesses that have the same rights everywhere; each has a TLB of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// User mode.
    User,
    /// Supervisor mode; with CR4.SMAP, without access to user pages.
    Supervisor,
    /// Supervisor mode with CR4.SMAP and EFLAGS.AC: explicit accesses to user pages are allowed.
    SupervisorAc,
    /// User mode with alignment checking. Its TLB stays empty, so that each access comes to the
    /// slow path, which checks and goes on as [`View::User`].
    UserAligned,
}

impl View {
    /// How many there are.
    pub(super) const COUNT: usize = 4;

    #[inline(always)]
    pub(super) fn of(state: &CpuState, privilege: Privilege) -> Self {
        let cpl = match privilege {
            Privilege::System => return Self::Supervisor,
            Privilege::Current => state.cpl(),
            Privilege::At(cpl) => cpl,
        };
        let ac = state.rflags.contains(RFlags::ALIGNMENT_CHECK);
        if cpl == 3 {
            let checked = ac && state.control.cr0.contains(Cr0Flags::ALIGNMENT_MASK);
            if checked { Self::UserAligned } else { Self::User }
        } else if ac && state.control.cr4.contains(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION) {
            Self::SupervisorAc
        } else {
            Self::Supervisor
        }
    }

    /// The view whose TLB serves this one.
    #[inline(always)]
    pub(super) fn translated(self) -> Self {
        if self == Self::UserAligned { Self::User } else { self }
    }

    #[inline(always)]
    pub(super) fn is_user(self) -> bool {
        matches!(self, Self::User | Self::UserAligned)
    }

    /// Whether a page with these combined flags may be accessed.
    fn permits(self, mode: &Mode, flags: PageTableFlags, kind: AccessKind) -> bool {
        let user_page = flags.contains(PageTableFlags::USER_ACCESSIBLE);
        let writable = flags.contains(PageTableFlags::WRITABLE);
        let executable = !flags.contains(PageTableFlags::NO_EXECUTE);
        if self.is_user() {
            return user_page
                && match kind {
                    AccessKind::Read => true,
                    AccessKind::Write => writable,
                    AccessKind::Execute => executable,
                };
        }
        let data = !(user_page && mode.smap && self == Self::Supervisor);
        match kind {
            AccessKind::Read => data,
            AccessKind::Write => data && (writable || !mode.write_protect),
            AccessKind::Execute => executable && !(user_page && mode.smep),
        }
    }

    /// The page fault of an access at `linear`. `cause` holds what the walk contributes: nothing
    /// (not present), a protection violation, or that with a malformed table.
    #[cold]
    pub(super) fn page_fault(
        self,
        mode: &Mode,
        linear: u64,
        kind: AccessKind,
        cause: PageFaultErrorCode,
    ) -> Exception {
        let mut code = cause;
        code.set(PageFaultErrorCode::CAUSED_BY_WRITE, kind == AccessKind::Write);
        code.set(PageFaultErrorCode::USER_MODE, self.is_user());
        code.set(
            PageFaultErrorCode::INSTRUCTION_FETCH,
            kind == AccessKind::Execute && (mode.smep || mode.no_execute),
        );
        Exception::page_fault(linear, code.bits() as u32)
    }
}
