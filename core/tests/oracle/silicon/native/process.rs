//! The processor under us, in a program: a child process executes the cases of a batch, and tells what
//! became of each.
//!
//! A child that dies or hangs over a case is replaced; that case is lost, which is a defect of its
//! generation and reported as such.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::{child, map_anonymous};
use crate::case::{Case, Outcome};
use crate::generate::Image;
use crate::layout::{ARENA, ARENA_SIZE, CODE, Mode, PAGE, WRITABLE};
use crate::silicon::{BATCH, Lost, Silicon};

pub(super) const MAPPED_CODE: usize = PAGE as usize;
/// The flags that a return from a signal loads: CF, PF, AF, ZF, SF, TF, DF, OF, RF and AC. It clears
/// what else POPF can set: NT and ID.
const LOADED_FLAGS: u64 = 0x5_0dd5;
/// Bit 1, which is always set, and IF.
const FIXED_FLAGS: u64 = 0x202;
/// How long a batch may take. It takes milliseconds.
const PATIENCE_MS: i32 = 5000;

/// What parent and child share.
#[repr(C)]
pub(super) struct Shared {
    /// What the arena holds before each case, but for its poke.
    pub image: Image,
    pub count: usize,
    /// The case at hand.
    pub next: usize,
    pub running: bool,
    /// Linux has granted the local descriptors.
    pub segments_granted: bool,
    pub cases: [Case; BATCH],
    pub outcomes: [Outcome; BATCH],
}

/// The mappings, which a fork inherits: the same memory for both processes.
pub(super) struct View {
    pub shared: *mut Shared,
    /// The arena and the code page, writable whatever the instruction may do to them.
    pub arena_alias: *mut u8,
    pub code_alias: *mut u8,
}

/// The host's processor, as programs meet it.
pub struct Process {
    view: View,
    child: Child,
}

struct Child {
    process: libc::pid_t,
    commands: OwnedFd,
    answers: OwnedFd,
}

impl Process {
    /// Maps the memory and starts the child, or says why it is of no use.
    pub fn new() -> Result<Self, String> {
        let view = View {
            shared: map_anonymous(size_of::<Shared>()).cast(),
            arena_alias: ptr::null_mut(),
            code_alias: ptr::null_mut(),
        };
        let (read, write) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE);
        let arena = memory_file(ARENA_SIZE);
        let code = memory_file(PAGE);
        let arena_alias = map_file(&arena, None, ARENA_SIZE, 0, write);
        let code_alias = map_file(&code, None, PAGE, 0, write);
        map_file(&arena, Some(ARENA), WRITABLE, 0, write);
        map_file(&arena, Some(ARENA + WRITABLE), ARENA_SIZE - WRITABLE, WRITABLE, read);
        map_file(&code, Some(CODE), PAGE, 0, read | libc::PROT_EXEC);
        let view = View { arena_alias, code_alias, ..view };
        let child = Child::start(&view);
        // SAFETY: the child waits, so nothing else touches what is shared.
        let granted = unsafe { (*view.shared).segments_granted };
        let process = Self { view, child };
        granted.then_some(process).ok_or("Linux forbids modify_ldt(2) here".to_owned())
    }
}

impl Silicon for Process {
    fn name(&self) -> &'static str {
        "the processor, as programs meet it"
    }

    fn modes(&self) -> &[Mode] {
        &Mode::ALL
    }

    fn adapt(&self, case: &mut Case) {
        let rflags = &mut case.state.rflags;
        *rflags = *rflags & LOADED_FLAGS | FIXED_FLAGS;
    }

    fn begin(&mut self, image: &Image, cases: &[Case]) {
        // SAFETY: the child waits; slices of a batch's length fit.
        unsafe {
            let shared = &mut *self.view.shared;
            shared.image = *image;
            shared.cases[..cases.len()].copy_from_slice(cases);
            (shared.next, shared.count) = (0, cases.len());
        }
        self.child.command();
    }

    fn finish(&mut self) -> Vec<Result<&Outcome, Lost>> {
        let mut lost = Vec::new();
        while !self.child.wait() {
            // SAFETY: the child is gone.
            let shared = unsafe { &mut *self.view.shared };
            lost.push(shared.next);
            let (next, count) = (shared.next + 1, shared.count);
            self.child = Child::start(&self.view);
            // SAFETY: the new child waits.
            unsafe { (*self.view.shared).next = next };
            if next >= count {
                break;
            }
            self.child.command();
        }
        // SAFETY: the child waits for the next batch, which takes `&mut self`.
        let shared = unsafe { &*self.view.shared };
        let answer = |(index, outcome)| match lost.contains(&index) {
            true => Err(Lost::Gone),
            false => Ok(outcome),
        };
        shared.outcomes[..shared.count].iter().enumerate().map(answer).collect()
    }
}

impl Child {
    fn start(view: &View) -> Self {
        let (commands_out, commands) = pipe();
        let (answers, answers_in) = pipe();
        // SAFETY: the memory is mapped, and no child runs. This one begins with nothing to do.
        unsafe {
            let shared = &mut *view.shared;
            (shared.running, shared.next) = (false, shared.count);
        }
        // SAFETY: this program has one thread, so the fork finds everything in order.
        let process = unsafe { libc::fork() };
        assert!(process >= 0, "fork: {}", std::io::Error::last_os_error());
        if process == 0 {
            // The parent's end of this pipe must not keep it open.
            drop(commands);
            // SAFETY: a fresh fork.
            unsafe { child::live(view, commands_out.as_raw_fd(), answers_in.as_raw_fd()) }
        }
        let mut child = Self { process, commands, answers };
        drop((commands_out, answers_in));
        assert!(child.wait(), "the child process does not start");
        child
    }

    fn command(&mut self) {
        // SAFETY: one byte of a constant.
        unsafe { libc::write(self.commands.as_raw_fd(), [0_u8].as_ptr().cast(), 1) };
    }

    /// Whether the child has answered; if not, it is gone.
    fn wait(&mut self) -> bool {
        let fd = self.answers.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut byte = [0_u8];
        // SAFETY: one descriptor, one byte.
        let answered = unsafe {
            libc::poll(&raw mut poll, 1, PATIENCE_MS) == 1
                && libc::read(fd, byte.as_mut_ptr().cast(), 1) == 1
        };
        if !answered {
            self.end();
        }
        answered
    }

    fn end(&mut self) {
        // SAFETY: the process is this value's own and not waited for yet.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            libc::waitpid(self.process, ptr::null_mut(), 0);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.end();
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: two descriptors fit, and are new.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe");
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

fn memory_file(size: u64) -> OwnedFd {
    // SAFETY: a constant name; the descriptor is new.
    unsafe {
        let file = libc::memfd_create(c"oracle".as_ptr(), libc::MFD_CLOEXEC);
        assert!(file >= 0, "memfd_create: {}", std::io::Error::last_os_error());
        assert_eq!(libc::ftruncate(file, size as i64), 0, "ftruncate");
        OwnedFd::from_raw_fd(file)
    }
}

fn map_file(file: &OwnedFd, at: Option<u64>, size: u64, offset: u64, rights: i32) -> *mut u8 {
    let fixed = if at.is_some() { libc::MAP_FIXED_NOREPLACE } else { 0 };
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE | fixed;
    let wish = ptr::without_provenance_mut(at.unwrap_or(0) as usize);
    // SAFETY: NOREPLACE touches no mapping that is there.
    let at =
        unsafe { libc::mmap(wish, size as usize, rights, flags, file.as_raw_fd(), offset as i64) };
    assert_ne!(at, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    at.cast()
}
