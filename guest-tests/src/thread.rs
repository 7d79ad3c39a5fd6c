//! Threads: a small cooperative scheduler over all processors. A thread runs until it yields or ends;
//! those that wait are in one queue, from which every idle processor takes the next.
//!
//! Invariant: a thread is in the queue, or current on one processor, or over. A thread that yields is
//! put back by the code that it has switched to, when its registers are saved.

use crate::cpu::wrmsr;
use crate::register::msr::IA32_GS_BASE;
use crate::smp;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use core::arch::{asm, naked_asm};
use core::hint::spin_loop;
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use spin::Mutex;

const STACK_BYTES: usize = 64 << 10;

/// What threads execute, with their number.
type Body = dyn Fn(usize) + Sync;

/// A thread that waits, or the place for one that runs.
struct Thread {
    rsp: u64,
    over: bool,
    _stack: Box<[u128]>,
}

/// What a processor finds through GS.
#[repr(C)]
struct Processor {
    /// This block itself.
    this: *mut Processor,
    /// The thread that runs, null while the processor looks for one.
    current: *mut Thread,
    /// Where the processor's own stack stands while a thread runs.
    own_rsp: u64,
}

static QUEUE: Mutex<VecDeque<Box<Thread>>> = Mutex::new(VecDeque::new());
/// How many threads wait: idle processors look here, and leave the queue's lock to those who have work.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Threads that are not over.
static LEFT: AtomicUsize = AtomicUsize::new(0);
/// Whether every processor has its block.
static ATTENDED: AtomicBool = AtomicBool::new(false);

/// Runs `body` with the numbers below `threads` on a thread each, on all processors, and returns when
/// all have. For the bootstrap processor.
pub fn in_parallel(threads: usize, body: &(dyn Fn(usize) + Sync)) {
    if !ATTENDED.swap(true, Ordering::Relaxed) {
        Processor::init();
        smp::start_all(|_| {
            Processor::init();
            attend(|| false);
        });
    }
    // SAFETY: `body` is not used after this function has returned, because all threads are over.
    let body = unsafe { transmute::<&(dyn Fn(usize) + Sync), &'static Body>(body) };
    LEFT.store(threads, Ordering::Release);
    for number in 0..threads {
        put_back(Thread::new(number, body));
    }
    attend(|| LEFT.load(Ordering::Acquire) == 0);
}

/// Lets another thread run, if one waits. Outside of threads it does nothing.
pub fn yield_now() {
    if ATTENDED.load(Ordering::Relaxed) {
        // SAFETY: every processor has its block, which it alone uses.
        unsafe { Processor::leave(Processor::this()) };
    }
}

/// A processor's life: takes threads from the queue until `done`.
fn attend(done: impl Fn() -> bool) {
    let processor = Processor::this();
    while !done() {
        let Some(mut thread) = take_next() else {
            spin_loop();
            continue;
        };
        // SAFETY: the thread is this processor's alone until it is put back; its stack lives as long.
        unsafe {
            (*processor).current = &raw mut *thread;
            switch(&raw mut (*processor).own_rsp, thread.rsp);
            (*processor).current = ptr::null_mut();
        }
        if thread.over {
            LEFT.fetch_sub(1, Ordering::Release);
        } else {
            put_back(thread);
        }
    }
}

fn put_back(thread: Box<Thread>) {
    let mut queue = QUEUE.lock();
    queue.push_back(thread);
    WAITING.store(queue.len(), Ordering::Relaxed);
}

fn take_next() -> Option<Box<Thread>> {
    if WAITING.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let mut queue = QUEUE.lock();
    let thread = queue.pop_front();
    WAITING.store(queue.len(), Ordering::Relaxed);
    thread
}

impl Processor {
    /// Gives the processor that executes this its block, for good.
    fn init() {
        let block = Self { this: ptr::null_mut(), current: ptr::null_mut(), own_rsp: 0 };
        let block = Box::leak(Box::new(block));
        block.this = block;
        // SAFETY: nothing else uses GS.
        unsafe { wrmsr(IA32_GS_BASE, block.this as u64) };
    }

    /// The block of the processor that executes this. A thread must not keep it while it yields.
    fn this() -> *mut Self {
        let this;
        // SAFETY: GS leads to the block, which begins with its own address.
        unsafe { asm!("mov {}, gs:[0]", out(reg) this, options(nostack, preserves_flags)) };
        this
    }

    /// From the thread that runs, if there is one, to the processor's own stack.
    unsafe fn leave(this: *mut Self) {
        // SAFETY: the block is this processor's, and so is the thread.
        unsafe {
            let current = (*this).current;
            if !current.is_null() {
                switch(&raw mut (*current).rsp, (*this).own_rsp);
            }
        }
    }
}

impl Thread {
    fn new(number: usize, body: &'static Body) -> Box<Self> {
        let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()].into_boxed_slice();
        let top = stack.as_mut_ptr_range().end as u64;
        let start = Box::new(Start { body, number });
        // What `switch` pops: six registers, the return address, and `begin`'s argument above.
        let frame = [0, 0, 0, 0, 0, 0, begin as *const () as u64, Box::into_raw(start) as u64];
        let rsp = top - size_of_val(&frame) as u64;
        // SAFETY: the frame is at the end of the stack, which is longer.
        unsafe { (rsp as *mut [u64; 8]).write(frame) };
        Box::new(Self { rsp, over: false, _stack: stack })
    }
}

/// What a new thread is to do.
struct Start {
    body: &'static Body,
    number: usize,
}

/// A thread's first instructions: its argument is on top of the stack, which ends here.
#[unsafe(naked)]
extern "C" fn begin() -> ! {
    naked_asm!("pop rdi", "xor ebp, ebp", "call {run}", "ud2", run = sym run)
}

extern "C" fn run(start: *mut Start) -> ! {
    // SAFETY: `Thread::new` made it for this thread alone.
    let Start { body, number } = *unsafe { Box::from_raw(start) };
    body(number);
    let processor = Processor::this();
    // SAFETY: as in `yield_now`; the thread is not switched to again, because it is over.
    unsafe {
        (*(*processor).current).over = true;
        Processor::leave(processor);
    }
    unreachable!("a thread that is over runs")
}

/// Saves the callee's registers and the stack pointer, at `from`, and goes on where the stack `to`
/// was left.
#[unsafe(naked)]
unsafe extern "C" fn switch(from: *mut u64, to: u64) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}
