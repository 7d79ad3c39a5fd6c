//! Debug registers.

pub use x86_64::registers::debug::{Dr6Flags, Dr7Flags};

/// BTF of IA32_DEBUGCTL: single steps go from branch to branch.
pub const BRANCH_TRAP: u64 = 1 << 1;

/// DR0 to DR3, DR6 and DR7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debug {
    /// DR0 to DR3: linear addresses of breakpoints.
    pub address: [u64; 4],
    /// DR6, with the bits that always read as one.
    pub dr6: u64,
    /// DR7, with bit 10 set.
    pub dr7: u64,
}
