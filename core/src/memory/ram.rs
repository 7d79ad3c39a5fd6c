//! RAM out of the allocator, from guest-physical address 0: for embedders and tests. The host's
//! program maps its own, lazily.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ptr::NonNull;

use super::{GuestMemory, HostPage, HostRegion, PAGE_SIZE, access};

/// Zeroed RAM at guest-physical addresses `0..size_bytes`.
#[derive(Debug)]
pub struct Ram {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to this value alone and is only touched through atomic accesses.
unsafe impl Send for Ram {}
// SAFETY: as above.
unsafe impl Sync for Ram {}

impl Ram {
    /// `size_bytes` of RAM, rounded up to whole pages; `None` if the host has not that much.
    pub fn new(size_bytes: usize) -> Option<Self> {
        let size = size_bytes.checked_next_multiple_of(PAGE_SIZE as usize)?.max(PAGE_SIZE as usize);
        let layout = Layout::from_size_align(size, PAGE_SIZE as usize).ok()?;
        // SAFETY: the layout's size is at least one page.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, layout })
    }

    /// Copies `bytes` to guest-physical `address`; `false` if they do not fit.
    pub fn write(&self, address: u64, bytes: &[u8]) -> bool {
        let Some(pointer) = self.range(address, bytes.len()) else { return false };
        // SAFETY: `range` has checked that the bytes lie within the allocation.
        unsafe { access::copy_in(pointer, bytes) };
        true
    }

    /// Copies guest-physical `address..` into `bytes`; `false` if the range is not all RAM.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(pointer) = self.range(address, bytes.len()) else { return false };
        // SAFETY: `range` has checked that the bytes lie within the allocation.
        unsafe { access::copy_out(pointer, bytes) };
        true
    }

    fn range(&self, address: u64, length: usize) -> Option<NonNull<u8>> {
        let start = usize::try_from(address).ok()?;
        let end = start.checked_add(length)?;
        // SAFETY: within the allocation, as just compared.
        (end <= self.layout.size()).then(|| unsafe { self.start.add(start) })
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

// SAFETY: the allocation lives as long as `self`, and `read`/`write` access it bytewise atomically.
unsafe impl GuestMemory for Ram {
    fn page(&self, address: u64) -> Option<HostPage> {
        let pointer = self.range(address, PAGE_SIZE as usize)?;
        Some(HostPage { pointer, writable: true })
    }

    fn region(&self, address: u64) -> Option<HostRegion> {
        self.page(address)?;
        let size_bytes = self.layout.size() as u64;
        Some(HostRegion { start: 0, size_bytes, pointer: self.start, writable: true })
    }
}
