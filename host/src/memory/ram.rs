//! Guest RAM: vm-memory's mappings behind the core's `GuestMemory`, and bounds-checked copies for
//! loaders. Mapped without reserving, so a guest costs the host what it touches: small
//! pages where all guests live, and large ones beyond.
//!
//! Invariant: the mappings never change while the value lives, and nothing outside the core's
//! accesses and vm-memory's volatile ones touches them.

use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use monovisor_core::memory::PAGE_SIZE;
use monovisor_core::{GuestMemory, HostPage, HostRegion, SharedCode};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, ReadVolatile,
};

use super::layout;

/// Why an access to guest RAM, or its creation, failed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The host has not that much address space.
    #[error("the host cannot map {size_bytes} bytes of guest RAM; try a smaller --memory")]
    Map {
        /// How much was asked for.
        size_bytes: u64,
        /// What the host said.
        source: vm_memory::mmap::FromRangesError,
    },
    /// The range is not, or not wholly, RAM.
    #[error("{length} bytes at {address:#x} are not within the guest's RAM")]
    OutsideRam {
        /// Guest-physical address of the first byte.
        address: u64,
        /// Length of the range in bytes.
        length: u64,
    },
    /// Reading the source of a copy failed.
    #[error("the file ended, or could not be read, while it was copied to {address:#x}")]
    Source {
        /// Guest-physical address of the first byte.
        address: u64,
    },
}

/// The RAM of one machine.
#[derive(Debug)]
pub struct GuestRam {
    memory: GuestMemoryMmap,
    /// RAM below the device gap, and above it: the same regions as in `memory`, for fast look-ups.
    spans: [Span; 2],
    size_bytes: u64,
    /// Who has translated code of it, if others than one processor write to it.
    code: OnceLock<Arc<SharedCode>>,
}

/// A range of RAM and where the host has it.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    length: u64,
    host: NonNull<u8>,
}

impl Span {
    const EMPTY: Self = Self { start: 0, length: 0, host: NonNull::dangling() };

    /// Has the host back what lies beyond [`SMALL_PAGES`] by large pages, if it can: a guest that walks
    /// through much memory then misses the host's TLB less often.
    #[cfg(target_os = "linux")]
    fn use_large_pages(&self) {
        let small = SMALL_PAGES.saturating_sub(self.start).min(self.length);
        // SAFETY: the range lies in one mapping, which keeps its contents. A host that cannot do it
        // goes on with small pages.
        unsafe {
            let start = self.host.as_ptr().add(small as usize);
            libc::madvise(start.cast(), (self.length - small) as usize, libc::MADV_HUGEPAGE);
        }
    }
}

/// Where RAM begins that is backed by large pages. Most guests are done with what lies below, and each
/// 4 KiB of it that they touch costs the host no more than that, and no time to clear 2 MiB.
#[cfg(target_os = "linux")]
const SMALL_PAGES: u64 = 16 << 20;

// SAFETY: the spans' pointers are those of `memory`'s mappings, which are `Send` themselves.
unsafe impl Send for GuestRam {}
// SAFETY: as above; all accesses are volatile or atomic.
unsafe impl Sync for GuestRam {}

impl GuestRam {
    /// Maps `size_bytes` of RAM, as [`layout::ram_ranges`] places it.
    ///
    /// # Errors
    /// [`MemoryError::Map`] if the host has not that much address space.
    pub fn new(size_bytes: u64) -> Result<Self, MemoryError> {
        let ranges: Vec<_> = layout::ram_ranges(size_bytes)
            .map(|range| (GuestAddress(range.start), (range.end - range.start) as usize))
            .collect();
        let memory = GuestMemoryMmap::from_ranges(&ranges)
            .map_err(|source| MemoryError::Map { size_bytes, source })?;
        let mut spans = [Span::EMPTY; 2];
        for (span, region) in spans.iter_mut().zip(memory.iter()) {
            let host = NonNull::new(region.as_ptr()).unwrap_or(NonNull::dangling());
            *span = Span { start: region.start_addr().0, length: region.len(), host };
            #[cfg(target_os = "linux")]
            span.use_large_pages();
        }
        Ok(Self { memory, spans, size_bytes, code: OnceLock::new() })
    }

    /// Makes ready for as many as `processors` that translate code, and for devices that write beside
    /// them. Once, before any of them is made.
    pub fn share_code(&self, processors: u32) {
        let end = self.spans.iter().map(|span| span.start + span.length).max().unwrap_or(0);
        self.code.get_or_init(|| SharedCode::new(processors as usize, end));
    }

    /// What processors that translate code have to join.
    pub fn shared_code(&self) -> Option<&Arc<SharedCode>> {
        self.code.get()
    }

    /// A device has written `length` bytes at `address`: code that was translated from them is
    /// forgotten.
    pub fn written(&self, address: u64, length: u64) {
        if let Some(code) = self.code.get() {
            code.memory_written(address, length);
        }
    }

    /// How much RAM there is.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Where the RAM below the device gap ends.
    pub fn low_end(&self) -> u64 {
        self.size_bytes.min(layout::GAP_START)
    }

    /// The mappings, for those who hand them on (KVM) or copy volatilely.
    pub fn as_vm_memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    /// Whether all of `address..address + length` is RAM.
    pub fn contains(&self, address: u64, length: u64) -> bool {
        self.spans.iter().any(|span| {
            address
                .checked_sub(span.start)
                .is_some_and(|offset| offset <= span.length && length <= span.length - offset)
        })
    }

    /// Copies `bytes` to `address`.
    ///
    /// # Errors
    /// [`MemoryError::OutsideRam`]; nothing is written then.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.check(address, bytes.len() as u64)?;
        let outside = MemoryError::OutsideRam { address, length: bytes.len() as u64 };
        self.memory.write_slice(bytes, GuestAddress(address)).map_err(|_| outside)
    }

    /// Copies `address..` into `bytes`.
    ///
    /// # Errors
    /// [`MemoryError::OutsideRam`]; `bytes` is unspecified then.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let outside = MemoryError::OutsideRam { address, length: bytes.len() as u64 };
        self.check(address, bytes.len() as u64)?;
        self.memory.read_slice(bytes, GuestAddress(address)).map_err(|_| outside)
    }

    /// Copies exactly `length` bytes of `source` to `address`, without a buffer in between.
    ///
    /// # Errors
    /// [`MemoryError::OutsideRam`], and [`MemoryError::Source`] if `source` ends early or fails.
    pub fn copy_from(
        &self,
        address: u64,
        source: &mut impl ReadVolatile,
        length: u64,
    ) -> Result<(), MemoryError> {
        self.check(address, length)?;
        self.memory
            .read_exact_volatile_from(GuestAddress(address), source, length as usize)
            .map_err(|_| MemoryError::Source { address })
    }

    fn check(&self, address: u64, length: u64) -> Result<(), MemoryError> {
        let inside = self.contains(address, length);
        inside.then_some(()).ok_or(MemoryError::OutsideRam { address, length })
    }
}

// SAFETY: the mappings live as long as `self`, are readable and writable throughout, and the host
// touches them through vm-memory's volatile copies only.
unsafe impl GuestMemory for GuestRam {
    #[inline]
    fn page(&self, address: u64) -> Option<HostPage> {
        let region = self.region(address)?;
        // SAFETY: the offset is less than the length of the region's mapping.
        let pointer = unsafe { region.pointer.add((address - region.start) as usize) };
        Some(HostPage { pointer, writable: true })
    }

    fn region(&self, address: u64) -> Option<HostRegion> {
        let whole_pages = |length: u64| length & !(PAGE_SIZE - 1);
        let span = self
            .spans
            .iter()
            .find(|span| address.wrapping_sub(span.start) < whole_pages(span.length))?;
        Some(HostRegion {
            start: span.start,
            size_bytes: whole_pages(span.length),
            pointer: span.host,
            writable: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_lies_around_the_gap() {
        let ram = GuestRam::new(layout::GAP_START + 8192).unwrap();
        assert!(ram.page(layout::GAP_START - 4096).is_some());
        assert!(ram.page(layout::GAP_START).is_none());
        assert!(ram.page(layout::GAP_END + 4096).is_some());
        assert!(ram.page(layout::GAP_END + 8192).is_none());
        assert!(ram.page(u64::MAX - 4095).is_none());
        assert!(ram.contains(0, layout::GAP_START));
        assert!(!ram.contains(0, layout::GAP_START + 1));
        assert!(!ram.contains(u64::MAX, 2));
    }

    #[test]
    fn pages_and_copies_see_the_same_bytes() {
        let ram = GuestRam::new(layout::MIN_RAM_BYTES).unwrap();
        ram.write(0x1234, b"monovisor").unwrap();
        let mut bytes = [0; 9];
        ram.read(0x1234, &mut bytes).unwrap();
        assert_eq!(&bytes, b"monovisor");
        let page = ram.page(0x1000).unwrap();
        // SAFETY: within the page, which is RAM.
        assert_eq!(unsafe { page.pointer.add(0x234).read_volatile() }, b'm');
    }

    #[test]
    fn copies_outside_ram_change_nothing() {
        let ram = GuestRam::new(layout::MIN_RAM_BYTES).unwrap();
        let end = layout::MIN_RAM_BYTES;
        assert!(matches!(ram.write(end - 4, &[1; 8]), Err(MemoryError::OutsideRam { .. })));
        let mut tail = [9; 4];
        ram.read(end - 4, &mut tail).unwrap();
        assert_eq!(tail, [0; 4]);
        assert!(matches!(
            ram.copy_from(0, &mut &[0u8; 8][..], 9),
            Err(MemoryError::Source { address: 0 })
        ));
    }
}
