//! Guest RAM, as a host lends it. RAM is shared by running vCPUs and the host, so it is never a
//! slice: it is read and written through the accesses of [`access`], each of which is as atomic as
//! the processor's own.

pub mod access;
pub(crate) mod lock;
mod ram;
pub(crate) mod run;

use core::ptr::NonNull;

pub use access::Width;
pub use ram::Ram;

/// Bytes in the smallest page.
pub const PAGE_SIZE: u64 = 4096;

/// One 4 KiB page of guest RAM in the host's address space.
#[derive(Clone, Copy, Debug)]
pub struct HostPage {
    /// Where its first byte is. Aligned to 4 KiB.
    pub pointer: NonNull<u8>,
    /// Whether the guest may write it; writes to a read-only page (ROM) vanish.
    pub writable: bool,
}

/// A run of guest RAM that is contiguous in guest-physical and in host addresses.
#[derive(Clone, Copy, Debug)]
pub struct HostRegion {
    /// Guest-physical address of its first byte. A multiple of 4096.
    pub start: u64,
    /// Its length. A multiple of 4096.
    pub size_bytes: u64,
    /// Where its first byte is. Aligned to 4 KiB.
    pub pointer: NonNull<u8>,
    /// Whether the guest may write it.
    pub writable: bool,
}

/// Guest RAM. It is asked while a guest's floating-point modes are loaded, so it must compute in
/// integers.
///
/// # Safety
/// For a page that [`page`](Self::page) or [`region`](Self::region) has returned, all of its 4096
/// bytes must stay readable (and writable, if it says so) as long as the value lives, and the host
/// must access them only through atomic or volatile accesses while a vCPU runs.
pub unsafe trait GuestMemory: Send + Sync {
    /// The page of RAM at guest-physical `address`, which is a multiple of 4096; `None` where there
    /// is no RAM.
    fn page(&self, address: u64) -> Option<HostPage>;

    /// The region of RAM around guest-physical `address`, which is a multiple of 4096; `None` where
    /// there is no RAM. A vCPU keeps the last few regions, so a memory of few large regions should
    /// say so: pages that it then touches cost no further call.
    fn region(&self, address: u64) -> Option<HostRegion> {
        let HostPage { pointer, writable } = self.page(address)?;
        Some(HostRegion { start: address, size_bytes: PAGE_SIZE, pointer, writable })
    }
}
