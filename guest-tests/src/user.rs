//! User mode: code and a stack at CPL 3, entered with IRETQ, left by whatever raises an exception.

use crate::interrupt::{Frame, fault_of};
use crate::paging::{self, PAGE, TEST_AREA, USER};
use crate::segment::{USER_CODE, USER_DATA};
use core::arch::asm;
use core::ptr;

/// Where [`map`] puts code.
pub const CODE: u64 = TEST_AREA + 0x4000_0000;
/// One beyond the stack that [`map`] makes.
pub const STACK_TOP: u64 = CODE + 0x10_0000;

/// What user mode starts with.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// First instruction.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Flags; bit 1 is always one.
    pub rflags: u64,
    /// Code segment.
    pub cs: u16,
    /// Stack segment.
    pub ss: u16,
    /// First argument.
    pub rdi: u64,
    /// Second argument.
    pub rsi: u64,
}

impl Default for Context {
    fn default() -> Self {
        Self { rip: CODE, rsp: STACK_TOP, rflags: 2, cs: USER_CODE, ss: USER_DATA, rdi: 0, rsi: 0 }
    }
}

/// Copies `code` into pages that user mode can use at [`CODE`], and makes a stack of one page.
pub fn map(code: &[u8]) {
    for page in 0..(code.len() as u64).div_ceil(PAGE) {
        paging::map_new(CODE + page * PAGE, USER);
    }
    paging::map_new(STACK_TOP - PAGE, USER);
    // SAFETY: the pages were mapped just now.
    unsafe { ptr::copy_nonoverlapping(code.as_ptr(), CODE as *mut u8, code.len()) };
}

/// Enters user mode, and returns the frame of what left it: a fault, or `int 0x80`.
pub fn run(context: Context) -> Frame {
    fault_of(|| {
        // SAFETY: `catch` brings us back here, with the callee's registers, whatever happens there.
        unsafe {
            asm!(
                "push {ss}",
                "push {rsp}",
                "push {rflags}",
                "push {cs}",
                "push {rip}",
                "iretq",
                ss = in(reg) u64::from(context.ss),
                rsp = in(reg) context.rsp,
                rflags = in(reg) context.rflags,
                cs = in(reg) u64::from(context.cs),
                rip = in(reg) context.rip,
                in("rdi") context.rdi,
                in("rsi") context.rsi,
                options(noreturn),
            )
        }
    })
}

/// Maps `code`, and runs it with `rdi` and `rsi` as its arguments.
pub fn run_code(code: &[u8], rdi: u64, rsi: u64) -> Frame {
    map(code);
    run(Context { rdi, rsi, ..Context::default() })
}
