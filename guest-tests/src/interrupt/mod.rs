//! Exceptions and interrupts: the IDT, handlers in Rust, and [`catch`], with which a test provokes
//! a fault and looks at it.
//!
//! Every gate uses an IST stack, because the prebuilt `core` uses the red zone of the code that is
//! interrupted, and the entry saves the SSE state, because the prebuilt `core` uses SSE2.

mod catch;
mod entry;
mod frame;
mod idt;

pub use catch::{catch, fault_of};
pub use frame::{Frame, vector};
pub use idt::{Gate, gate, load_idt, set_gate};

use crate::{console, exit, segment};
use core::mem::transmute;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// A handler of one vector. What it changes in the frame is what the interrupted code goes on with.
pub type Handler = fn(&mut Frame);

static HANDLERS: [AtomicPtr<()>; 256] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 256];

/// Calls `handler` for `vector` from now on.
pub fn set_handler(vector: u8, handler: Handler) {
    HANDLERS[usize::from(vector)].store(handler as *mut (), Relaxed);
}

/// Lets `vector` be caught, or end the guest, again.
pub fn remove_handler(vector: u8) {
    HANDLERS[usize::from(vector)].store(core::ptr::null_mut(), Relaxed);
}

pub(crate) fn init() {
    idt::init();
}

/// Whether this is the bootstrap processor, which alone can catch.
fn is_bootstrap() -> bool {
    segment::task() == segment::TASK
}

/// Called by the entry, with interrupts off: the handler, else the innermost `catch`, else the end.
extern "C" fn dispatch(frame: &mut Frame) {
    let handler = HANDLERS[usize::from(frame.vector as u8)].load(Relaxed);
    if !handler.is_null() {
        // SAFETY: only `set_handler` stores, and it stores handlers.
        unsafe { transmute::<*mut (), Handler>(handler)(frame) };
    } else if !(is_bootstrap() && catch::recover(frame)) {
        console::print(format_args!("unhandled exception: {frame}\n"));
        exit::fail();
    }
}
