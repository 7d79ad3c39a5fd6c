//! [`catch`]: runs code that may fault, and comes back with the frame of the fault.
//!
//! It works from any privilege level and stack, because coming back is a long jump: the frame of
//! the fault is kept, and the handler returns to where `catch` was called.

use super::Frame;
use crate::segment::{KERNEL_CODE, KERNEL_DATA};
use core::arch::naked_asm;
use core::ffi::c_void;
use core::ptr::{addr_of, addr_of_mut};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// RSP of the innermost `catch`, where `leave` finds the caller's registers; 0 if there is none.
static INNERMOST: AtomicU64 = AtomicU64::new(0);
static mut CAUGHT: Frame = Frame::ZERO;

/// Runs `body`. If it raises an exception or an interrupt that has no handler, the rest of `body` is
/// given up, and the frame is returned. RFLAGS are as before in either case.
///
/// What `body` owns is not dropped when it is given up.
pub fn catch<F: FnOnce()>(body: F) -> Option<Frame> {
    extern "C" fn call<F: FnOnce()>(body: *mut c_void) {
        // SAFETY: `catch` passes its own `Option<F>`, which outlives the call.
        let body = unsafe { &mut *body.cast::<Option<F>>() };
        if let Some(body) = body.take() {
            body();
        }
    }
    let mut body = Some(body);
    // SAFETY: `enter` calls `call::<F>` with `body`, which lives here, and returns once.
    let caught = unsafe { enter((&raw mut body).cast(), call::<F>) };
    // SAFETY: `recover` wrote it, and nothing writes it until the next exception.
    (caught != 0).then(|| unsafe { *addr_of!(CAUGHT) })
}

/// Runs `body`, which must fault, and returns the frame.
#[track_caller]
pub fn fault_of<F: FnOnce()>(body: F) -> Frame {
    match catch(body) {
        Some(frame) => frame,
        None => panic!("expected an exception, and there was none"),
    }
}

/// Sends the handler's return to the innermost `catch`; false if there is none.
pub(super) fn recover(frame: &mut Frame) -> bool {
    let rsp = INNERMOST.load(Relaxed);
    if rsp == 0 {
        return false;
    }
    // SAFETY: one processor; `catch` reads it after this handler has returned.
    unsafe { *addr_of_mut!(CAUGHT) = *frame };
    frame.rax = 1;
    frame.rip = leave as *const () as u64;
    frame.cs = KERNEL_CODE.into();
    frame.rflags = 2;
    frame.rsp = rsp;
    frame.ss = KERNEL_DATA.into();
    true
}

/// Calls `call(body)`; 0 if it returns, 1 if `recover` ended it.
#[unsafe(naked)]
unsafe extern "C" fn enter(body: *mut c_void, call: extern "C" fn(*mut c_void)) -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push qword ptr [rip + {innermost}]",
        "pushfq",
        "sub rsp, 8",
        "mov [rip + {innermost}], rsp",
        "call rsi",
        "xor eax, eax",
        "jmp {leave}",
        innermost = sym INNERMOST,
        leave = sym leave,
    )
}

/// The end of `enter`, with its result in RAX.
#[unsafe(naked)]
extern "C" fn leave() {
    naked_asm!(
        "add rsp, 8",
        "popfq",
        "pop qword ptr [rip + {innermost}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        innermost = sym INNERMOST,
    )
}
