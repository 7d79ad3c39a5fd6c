//! An embedder without an operating system: it brings an allocator and a panic handler, nothing
//! else, and lends a processor to whoever calls [`run_a_guest`].

#![no_std]

extern crate alloc;

use alloc::sync::Arc;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::{hint, ptr, slice};

use monovisor_core::state::SegmentRegister;
use monovisor_core::{Exit, InstructionClock, Ram, Vcpu};

const HEAP_BYTES: usize = 32 << 20;

/// Hands out an array from its start to its end, and takes nothing back.
struct Bump {
    heap: UnsafeCell<[u8; HEAP_BYTES]>,
    used: AtomicUsize,
}

#[global_allocator]
static HEAP: Bump = Bump { heap: UnsafeCell::new([0; HEAP_BYTES]), used: AtomicUsize::new(0) };

// SAFETY: `used` only grows, by atomic steps, so that no two callers get the same bytes.
unsafe impl Sync for Bump {}

// SAFETY: each block is aligned, as large as asked for, inside of `heap`, and given to one caller only.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.heap.get().cast::<u8>();
        let block = |used: usize| {
            let begin = (start.addr() + used).checked_next_multiple_of(layout.align())?;
            let begin = begin - start.addr();
            let end = begin.checked_add(layout.size())?;
            (end <= HEAP_BYTES).then_some((begin, end))
        };
        let grow = |used| block(used).map(|(_, end)| end);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow) {
            Ok(used) => block(used).map_or(ptr::null_mut(), |(begin, _)| start.wrapping_add(begin)),
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// Runs code in real mode: the value that it writes to a port or to no memory, or -1.
///
/// # Safety
///
/// `code` points to `size_bytes` readable bytes, which nobody changes meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run_a_guest(code: *const u8, size_bytes: usize) -> i64 {
    // SAFETY: the caller vouches for it.
    let code = unsafe { slice::from_raw_parts(code, size_bytes) };
    let Some(ram) = Ram::new(1 << 20).map(Arc::new) else { return -1 };
    if !ram.write(0x7c00, code) {
        return -1;
    }
    let mut vcpu = Vcpu::new(ram, Arc::new(InstructionClock), 0);
    let mut state = vcpu.state().clone();
    state.segments[SegmentRegister::Cs].base = 0;
    state.rip = 0x7c00;
    vcpu.set_state(&state);
    match vcpu.run(1000) {
        Exit::Write(_, value) => value as i64,
        _ => -1,
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    stop()
}

/// The prebuilt `core` was built to unwind and names this in its tables; nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    stop()
}

/// As [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    stop()
}

fn stop() -> ! {
    loop {
        hint::spin_loop();
    }
}
