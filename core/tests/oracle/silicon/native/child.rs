//! The process in which instructions run. It lives in a signal handler: each return from it is the
//! start of an instruction, each entry into it the end of one.
//!
//! Invariant: once [`live`] has begun, nothing of the C library is called and no thread-local
//! variable is touched, because FS belongs to the instructions.

use std::arch::{asm, naked_asm};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::frame::Frame;
use super::process::{MAPPED_CODE, Shared, View};
use crate::layout::{ARENA, ARENA_SIZE, CODE, LOCAL_DESCRIPTORS, Mode, PAGE, WRITABLE};
use monovisor_core::state::SegmentRegister;

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());
static ARENA_ALIAS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static CODE_ALIAS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static YMM_OFFSET: AtomicUsize = AtomicUsize::new(0);
/// Where the parent is heard and answered.
static COMMANDS: AtomicUsize = AtomicUsize::new(0);
static ANSWERS: AtomicUsize = AtomicUsize::new(0);

const SIGNAL_STACK: usize = 256 << 10;
/// The bytes around an instruction.
const INT3: u8 = 0xcc;

/// Answers questions until the parent is gone.
///
/// # Safety
/// The process is a fresh fork of one thread, and `view` its own.
pub unsafe fn live(view: &View, commands: i32, answers: i32) -> ! {
    SHARED.store(view.shared, Ordering::Relaxed);
    ARENA_ALIAS.store(view.arena_alias, Ordering::Relaxed);
    CODE_ALIAS.store(view.code_alias, Ordering::Relaxed);
    COMMANDS.store(commands as usize, Ordering::Relaxed);
    ANSWERS.store(answers as usize, Ordering::Relaxed);
    let leaf = std::arch::x86_64::__cpuid_count(0xd, 2);
    YMM_OFFSET.store(leaf.ebx as usize, Ordering::Relaxed);
    // SAFETY: as the caller promises; the handler is made for these signals.
    unsafe {
        // A parent that dies takes its child along.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let stack = libc::stack_t {
            ss_sp: libc::mmap(
                ptr::null_mut(),
                SIGNAL_STACK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            ),
            ss_flags: 0,
            ss_size: SIGNAL_STACK,
        };
        libc::sigaltstack(&raw const stack, ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = entry as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        for signal in [libc::SIGTRAP, libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE] {
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
        let granted = LOCAL_DESCRIPTORS.iter().enumerate().all(|(number, descriptor)| {
            let local = LocalDescriptor::new(number, descriptor);
            let size = size_of::<LocalDescriptor>();
            libc::syscall(libc::SYS_modify_ldt, 1, &raw const local, size) == 0
        });
        (*view.shared).segments_granted = granted;
        if granted {
            asm!("mov fs, {:x}", in(reg) Mode::Long.segment(SegmentRegister::Fs).selector);
            asm!("mov gs, {:x}", in(reg) Mode::Long.segment(SegmentRegister::Gs).selector);
        }
        // Where branches may lead.
        ptr::write_bytes(view.code_alias, INT3, MAPPED_CODE);
        touch_pages();
        // Into the handler, never to come back.
        asm!("ud2", options(noreturn));
    }
}

/// Has every page in the page tables, with the rights that it has: a fork does not copy those of
/// shared memory, and a first access would fault for Linux's sake.
fn touch_pages() {
    for page in (CODE..CODE + PAGE).chain(ARENA..ARENA + ARENA_SIZE).step_by(PAGE as usize) {
        let page = ptr::with_exposed_provenance_mut::<u8>(page as usize);
        // SAFETY: the page is mapped, and belongs to instructions that do not run yet.
        unsafe {
            let byte = page.read_volatile();
            if (ARENA..ARENA + WRITABLE).contains(&(page as u64)) {
                page.write_volatile(byte);
            }
        }
    }
}

/// `struct user_desc` of modify_ldt(2).
#[repr(C)]
struct LocalDescriptor {
    entry_number: u32,
    base: u32,
    limit: u32,
    flags: u32,
}

impl LocalDescriptor {
    fn new(number: usize, descriptor: &crate::layout::Descriptor) -> Self {
        let access = descriptor.access;
        let (big, code, granular) = (access >> 14 & 1, access >> 3 & 1, access >> 15 & 1);
        let limit = if granular == 1 { descriptor.limit >> 12 } else { descriptor.limit };
        const USEABLE: u32 = 1 << 6;
        let flags = big | code << 2 | granular << 4 | USEABLE;
        Self { entry_number: number as u32, base: descriptor.base, limit, flags }
    }
}

/// Where Linux enters the handler: with the flags of the instruction, AC among them.
#[unsafe(naked)]
unsafe extern "C" fn entry() {
    naked_asm!("push 0x202", "popfq", "jmp {}", sym handle)
}

/// Notes how the instruction ended, and prepares the next one.
unsafe extern "C" fn handle(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: `live` has set everything up; the parent touches what is shared only while this
    // process waits for it.
    unsafe {
        let shared = SHARED.load(Ordering::Relaxed);
        let mut frame = Frame::new(context, YMM_OFFSET.load(Ordering::Relaxed));
        let arena = ARENA_ALIAS.load(Ordering::Relaxed);
        if (*shared).running {
            let Shared { cases, outcomes, next, .. } = &mut *shared;
            let outcome = &mut outcomes[*next];
            frame.read(&cases[*next], outcome);
            ptr::copy_nonoverlapping(arena, outcome.memory.as_mut_ptr(), WRITABLE as usize);
            *next += 1;
        }
        if (*shared).next >= (*shared).count {
            (*shared).running = false;
            answer_and_wait();
        }
        let Shared { cases, image, next, running, .. } = &mut *shared;
        *running = true;
        let case = &cases[*next];
        ptr::copy_nonoverlapping(image.as_ptr(), arena, ARENA_SIZE as usize);
        let poke = arena.add(case.poke_at as usize);
        ptr::copy_nonoverlapping(case.poke.as_ptr(), poke, case.poke.len());
        let end = CODE_ALIAS.load(Ordering::Relaxed).add(MAPPED_CODE);
        // As much as there can be of what was there before.
        ptr::write_bytes(end.sub(case.code.len()), INT3, case.code.len());
        let length = case.length as usize;
        ptr::copy_nonoverlapping(case.code.as_ptr(), end.sub(length), length);
        frame.write(case.mode, &case.state);
        let data = case.mode.segment(SegmentRegister::Ds).selector;
        asm!("mov ds, {0:x}", "mov es, {0:x}", in(reg) data);
    }
}

/// Tells the parent that the batch is done, and waits for the next one.
unsafe fn answer_and_wait() {
    let mut byte = 0_u8;
    let (commands, answers) = (COMMANDS.load(Ordering::Relaxed), ANSWERS.load(Ordering::Relaxed));
    // SAFETY: both calls touch one byte of this function.
    unsafe {
        system_call(libc::SYS_write, answers, &raw mut byte as usize, 1);
        if system_call(libc::SYS_read, commands, &raw mut byte as usize, 1) != 1 {
            system_call(libc::SYS_exit_group, 0, 0, 0);
        }
    }
}

/// A system call without the C library.
unsafe fn system_call(number: i64, first: usize, second: usize, third: usize) -> isize {
    let result;
    // SAFETY: the caller answers for the call; the instruction overwrites RCX and R11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

const _: () = assert!(CODE.is_multiple_of(PAGE) && MAPPED_CODE as u64 == PAGE);
