//! A page walk told to a person: each entry that a linear address selects, and what ends the walk.
//! Reads guest memory and changes nothing, neither accessed flags nor a TLB.

use core::fmt;

use heapless::Vec;
use x86_64::structures::idt::PageFaultErrorCode;
use x86_64::structures::paging::PageTableFlags;

use super::keys::key;
use super::mode::{Mode, PagingMode};
use super::walk::{Level, Stop, walk};
use crate::CpuState;
use crate::memory::{GuestMemory, Width};

/// One entry of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkEntry {
    /// Its level.
    pub level: Level,
    /// Its physical address.
    pub address: u64,
    /// Its value; all ones where there is no RAM.
    pub value: u64,
}

/// How a walk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address is not canonical; there is no walk.
    NonCanonical,
    /// The entry of this level is not present.
    NotPresent(Level),
    /// These reserved bits are set in the entry of this level.
    Reserved(Level, u64),
    /// The address is mapped.
    Mapped {
        /// The physical address.
        physical: u64,
        /// The size of the page, or 0 without paging.
        page_bytes: u64,
        /// Whether all levels permit writing.
        writable: bool,
        /// Whether all levels permit user mode.
        user: bool,
        /// Whether all levels permit execution.
        executable: bool,
    },
}

/// The walk for a linear address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The address that was asked for.
    pub linear: u64,
    /// The paging mode.
    pub mode: PagingMode,
    /// The entries from the top down to the one that ends the walk.
    pub entries: Vec<WalkEntry, 5>,
    /// How it ends.
    pub outcome: Outcome,
}

/// Why a walk does not permit an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The translation ends early.
    Ends(Outcome),
    /// The entry of this level forbids user-mode access.
    SupervisorOnly(Level),
    /// The entry of this level forbids writing.
    ReadOnly(Level),
    /// The entry of this level forbids execution.
    NoExecute(Level),
    /// Supervisor mode executes from a user page with CR4.SMEP.
    Smep,
    /// Supervisor mode accesses a user page with CR4.SMAP.
    Smap,
    /// PKRU or IA32_PKRS forbids the access to pages with this protection key.
    ProtectionKey(u8),
}

/// Walks the paging structures for `linear` as `state` has them.
pub fn explain(state: &CpuState, memory: &dyn GuestMemory, linear: u64) -> Walk {
    let mode = Mode::of(state);
    let mut entries = Vec::new();
    let outcome = match mode.linear(linear) {
        None => Outcome::NonCanonical,
        Some(physical) if mode.paging == PagingMode::Off => Outcome::Mapped {
            physical,
            page_bytes: 0,
            writable: true,
            user: true,
            executable: true,
        },
        Some(wrapped) => {
            let walked = walk(&mode, state.control.cr3, wrapped, |level, address| {
                let register = state.control.pdptes.filter(|_| !mode.has_rights(level));
                let value = match register {
                    Some(pdptes) => pdptes[(address >> 3 & 3) as usize],
                    None => read(memory, address, mode.entry_bytes()),
                };
                let _ = entries.push(WalkEntry { level, address, value }); // There are five levels.
                value
            });
            match walked {
                Err(Stop::NotPresent(level)) => Outcome::NotPresent(level),
                Err(Stop::Reserved(level, bits)) => Outcome::Reserved(level, bits),
                Ok(leaf) => Outcome::Mapped {
                    physical: leaf.physical | wrapped & 0xfff,
                    page_bytes: 1 << leaf.page_bits,
                    writable: leaf.flags.contains(PageTableFlags::WRITABLE),
                    user: leaf.flags.contains(PageTableFlags::USER_ACCESSIBLE),
                    executable: !leaf.flags.contains(PageTableFlags::NO_EXECUTE),
                },
            }
        }
    };
    Walk { linear, mode: mode.paging, entries, outcome }
}

fn read(memory: &dyn GuestMemory, address: u64, bytes: usize) -> u64 {
    let Some(page) = memory.page(address & !0xfff) else {
        return if bytes == 4 { u64::from(u32::MAX) } else { u64::MAX };
    };
    // SAFETY: an aligned entry within a page of RAM.
    unsafe {
        let pointer = page.pointer.as_ptr().add((address & 0xfff) as usize);
        if bytes == 4 { u32::load(pointer).extend() } else { u64::load(pointer) }
    }
}

impl Walk {
    /// Why an access that faulted with `code` is not permitted; `None` if this walk permits it (the
    /// tables have changed since, or a TLB entry was stale).
    pub fn denial(&self, code: PageFaultErrorCode) -> Option<Denial> {
        let Outcome::Mapped { writable, user, executable, .. } = self.outcome else {
            return Some(Denial::Ends(self.outcome));
        };
        if code.contains(PageFaultErrorCode::PROTECTION_KEY) {
            return self.entries.last().map(|last| Denial::ProtectionKey(key(last.flags())));
        }
        let by_user = code.contains(PageFaultErrorCode::USER_MODE);
        if by_user && !user {
            return self
                .culprit(PageTableFlags::USER_ACCESSIBLE, false)
                .map(Denial::SupervisorOnly);
        }
        if code.contains(PageFaultErrorCode::CAUSED_BY_WRITE) && !writable {
            return self.culprit(PageTableFlags::WRITABLE, false).map(Denial::ReadOnly);
        }
        let fetch = code.contains(PageFaultErrorCode::INSTRUCTION_FETCH);
        if fetch && !executable {
            return self.culprit(PageTableFlags::NO_EXECUTE, true).map(Denial::NoExecute);
        }
        let denied = code.contains(PageFaultErrorCode::PROTECTION_VIOLATION) && !by_user && user;
        denied.then_some(if fetch { Denial::Smep } else { Denial::Smap })
    }

    /// The topmost level with rights of its own whose entry has `flag` equal to `value`.
    fn culprit(&self, flag: PageTableFlags, value: bool) -> Option<Level> {
        self.entries
            .iter()
            .filter(|entry| entry.has_rights(self.mode))
            .find(|entry| entry.flags().contains(flag) == value)
            .map(|entry| entry.level)
    }
}

impl WalkEntry {
    /// The entry's flags.
    pub fn flags(&self) -> PageTableFlags {
        PageTableFlags::from_bits_retain(self.value)
    }

    fn has_rights(&self, mode: PagingMode) -> bool {
        !(mode == PagingMode::Pae && self.level == Level::PageDirectoryPointer)
    }
}

/// `PDE at 0x00002000 = 0x0000000000003027: P W U A`, with the flags that are set.
impl fmt::Display for WalkEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(PageTableFlags, &str); 8] = [
            (PageTableFlags::PRESENT, "P"),
            (PageTableFlags::WRITABLE, "W"),
            (PageTableFlags::USER_ACCESSIBLE, "U"),
            (PageTableFlags::ACCESSED, "A"),
            (PageTableFlags::DIRTY, "D"),
            (PageTableFlags::HUGE_PAGE, "PS"),
            (PageTableFlags::GLOBAL, "G"),
            (PageTableFlags::NO_EXECUTE, "NX"),
        ];
        let Self { level, address, value } = self;
        write!(formatter, "{level:<5} at {address:#012x} = {value:#018x}:")?;
        if !self.flags().contains(PageTableFlags::PRESENT) {
            return formatter.write_str(" not present");
        }
        NAMES
            .into_iter()
            .filter(|&(flag, _)| self.flags().contains(flag))
            .try_for_each(|(_, name)| write!(formatter, " {name}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NonCanonical => formatter.write_str("the address is not canonical"),
            Self::NotPresent(level) => write!(formatter, "the {level} is not present"),
            Self::Reserved(level, bits) => {
                write!(formatter, "reserved bits {bits:#x} are set in the {level}")
            }
            Self::Mapped { physical, page_bytes: 0, .. } => {
                write!(formatter, "paging is off: physical {physical:#x}")
            }
            Self::Mapped { physical, page_bytes, writable, user, executable } => {
                let (size, unit) = match page_bytes >> 10 {
                    kib if kib >> 20 != 0 => (kib >> 20, "GiB"),
                    kib if kib >> 10 != 0 => (kib >> 10, "MiB"),
                    kib => (kib, "KiB"),
                };
                let who = if user { "user" } else { "supervisor" };
                let write = if writable { "writable" } else { "read-only" };
                let execute = if executable { "executable" } else { "no-execute" };
                write!(
                    formatter,
                    "physical {physical:#x} in a {size} {unit} page: {who}, {write}, {execute}"
                )
            }
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends(outcome) => outcome.fmt(formatter),
            Self::SupervisorOnly(level) => write!(formatter, "the {level} forbids user mode"),
            Self::ReadOnly(level) => write!(formatter, "the {level} forbids writing"),
            Self::NoExecute(level) => write!(formatter, "the {level} forbids execution"),
            Self::Smep => formatter.write_str("CR4.SMEP forbids execution from a user page"),
            Self::Smap => formatter.write_str("CR4.SMAP forbids access to a user page"),
            Self::ProtectionKey(key) => {
                write!(formatter, "protection key {key} forbids the access")
            }
        }
    }
}

/// A line for each entry, and one for the outcome.
impl fmt::Display for Walk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            writeln!(formatter, "{entry}")?;
        }
        self.outcome.fmt(formatter)
    }
}
