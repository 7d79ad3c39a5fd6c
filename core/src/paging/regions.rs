//! From guest-physical to host addresses: the last few regions of RAM that the host has named.
//! Regions never go away, so nothing here is ever invalidated.

use crate::memory::{GuestMemory, PAGE_SIZE};

const REGIONS: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Region {
    start: u64,
    size_bytes: u64,
    host: usize,
    writable: bool,
}

/// Where a physical page is in the host's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// Host address; never 0.
    pub(super) host: usize,
    pub(super) writable: bool,
}

#[derive(Debug)]
pub(super) struct Regions {
    cached: [Region; REGIONS],
    next: usize,
}

impl Regions {
    pub(super) const fn new() -> Self {
        let nothing = Region { start: 0, size_bytes: 0, host: 0, writable: false };
        Self { cached: [nothing; REGIONS], next: 0 }
    }

    /// The page at `physical`, a multiple of 4096; `None` where there is no RAM.
    #[inline(always)]
    pub(super) fn locate(&mut self, memory: &dyn GuestMemory, physical: u64) -> Option<Located> {
        for region in &self.cached {
            let offset = physical.wrapping_sub(region.start);
            if offset < region.size_bytes {
                let host = region.host + offset as usize;
                return Some(Located { host, writable: region.writable });
            }
        }
        self.ask(memory, physical)
    }

    #[cold]
    fn ask(&mut self, memory: &dyn GuestMemory, physical: u64) -> Option<Located> {
        let region = memory.region(physical)?;
        let offset = physical.wrapping_sub(region.start);
        let host = region.pointer.as_ptr().expose_provenance();
        if offset < region.size_bytes {
            let size_bytes = region.size_bytes & !(PAGE_SIZE - 1);
            self.cached[self.next % REGIONS] =
                Region { start: region.start, size_bytes, host, writable: region.writable };
            self.next += 1;
        }
        Some(Located { host: host + offset as usize, writable: region.writable })
    }
}
