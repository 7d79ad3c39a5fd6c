//! The heap: all RAM behind the image that no module lies in. Blocks come in powers of two, a freed
//! block waits in its size's list for the next of that size, and nothing else is ever done: O(1).

use crate::boot::info::{MemoryKind, boot_info};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{addr_of, null_mut};
use spin::Mutex;

unsafe extern "C" {
    /// The first byte behind the image, defined by the linker script.
    static image_end: u8;
}

/// Blocks are aligned to their size up to this.
const PAGE: usize = 4096;
const SMALLEST: usize = 16;
/// Where RAM ends if the loader says nothing.
const UNKNOWN_RAM_END: u64 = 32 << 20;

struct Heap {
    next: usize,
    end: usize,
    /// Free blocks of `1 << index` bytes; a free block's first word leads to the next.
    free: [*mut *mut u8; 48],
}

// SAFETY: the pointers lead to memory that the heap alone owns.
unsafe impl Send for Heap {}

impl Heap {
    fn size_of(layout: Layout) -> usize {
        layout.size().max(layout.align()).max(SMALLEST).next_power_of_two()
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        let size = Self::size_of(layout);
        let list = &mut self.free[size.trailing_zeros() as usize];
        if !list.is_null() && layout.align() <= PAGE {
            let block = *list;
            // SAFETY: a block in the list is free, and its first word leads to the next one.
            *list = unsafe { *block }.cast();
            return block.cast();
        }
        let block = self.next.next_multiple_of(layout.align().max(size.min(PAGE)));
        match block.checked_add(size) {
            Some(next) if next <= self.end => {
                self.next = next;
                block as *mut u8
            }
            _ => null_mut(),
        }
    }

    fn free(&mut self, block: *mut u8, layout: Layout) {
        let list = &mut self.free[Self::size_of(layout).trailing_zeros() as usize];
        let block: *mut *mut u8 = block.cast();
        // SAFETY: the block was the caller's until now, and is large enough for a pointer.
        unsafe { *block = (*list).cast() };
        *list = block;
    }
}

struct Global(Mutex<Heap>);

#[global_allocator]
static HEAP: Global = Global(Mutex::new(Heap { next: 0, end: 0, free: [null_mut(); 48] }));

// SAFETY: blocks are cut from memory that nothing else uses, do not overlap, and fit their layouts.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().allocate(layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.0.lock().free(block, layout);
    }
}

/// Takes the largest piece of the image's RAM range that has no module in it.
pub(crate) fn init() {
    let info = boot_info();
    let image_end_address = addr_of!(image_end) as u64;
    let ram_end = info
        .memory()
        .iter()
        .filter(|range| range.kind == MemoryKind::Ram)
        .find(|range| range.start < image_end_address && image_end_address < range.end())
        .map_or(UNKNOWN_RAM_END, |range| range.end());
    let modules = info.modules();
    let after_modules = modules.iter().map(|module| module.start + module.size);
    let (start, end) = after_modules
        .chain([image_end_address])
        .filter(|start| (image_end_address..ram_end).contains(start))
        .map(|start| {
            let next = modules.iter().map(|module| module.start).filter(|&next| next >= start);
            (start, next.chain([ram_end]).min().unwrap_or(ram_end))
        })
        .max_by_key(|(start, end)| end - start)
        .unwrap_or((0, 0));
    let mut heap = HEAP.0.lock();
    heap.next = start as usize;
    // The identity map ends at 4 GiB.
    heap.end = end.min(1 << 32) as usize;
}
