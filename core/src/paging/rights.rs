//! Who accesses, what for, and whether the combined flags of a translation permit it (SDM,
//! "Determination of Access Rights"), and the page fault that says it does not.

use x86_64::structures::idt::PageFaultErrorCode;
use x86_64::structures::paging::PageTableFlags;

use super::mode::Mode;
use crate::CpuState;
use crate::state::{Cr0Flags, Exception, RFlags};

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
        } else if ac && Mode::of(state).smap {
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
    fn user(self) -> bool {
        matches!(self, Self::User | Self::UserAligned)
    }

    /// Whether a page with these combined flags may be accessed.
    #[inline(always)]
    pub(super) fn permits(self, mode: &Mode, flags: PageTableFlags, kind: AccessKind) -> bool {
        let user_page = flags.contains(PageTableFlags::USER_ACCESSIBLE);
        let writable = flags.contains(PageTableFlags::WRITABLE);
        let executable = !flags.contains(PageTableFlags::NO_EXECUTE);
        if self.user() {
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
        code.set(PageFaultErrorCode::USER_MODE, self.user());
        code.set(
            PageFaultErrorCode::INSTRUCTION_FETCH,
            kind == AccessKind::Execute && (mode.smep || mode.no_execute),
        );
        Exception::page_fault(linear, code.bits() as u32)
    }
}
