//! Getting a vCPU out of KVM_RUN: a flag in the pages shared with KVM that makes it return at once,
//! and a signal that interrupts it where it has begun. A timer sends the same signal at a deadline.
//!
//! The order that loses no kick: whoever kicks sets the flag, then signals; whoever runs clears the
//! flag, then looks for kicks, then enters. What they agree on beside is in `flag`.
//!
//! Invariant: the flag is only touched while the vCPU exists ([`Bell::silence`]), and the handler
//! only while the thread is about to enter or in KVM_RUN.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::{io, mem};

use kvm_ioctls::VcpuFd;
use monovisor_core::{EngineError, Kick};

use super::flag;

thread_local! {
    /// The flag of the vCPU that this thread runs.
    static RUNNING: Cell<*const AtomicU8> = const { Cell::new(ptr::null()) };
}

/// The flag `immediate_exit` of one vCPU.
#[derive(Clone, Copy, Debug)]
struct Flag(NonNull<AtomicU8>);

// SAFETY: it is atomic, and in pages that are mapped while the vCPU exists.
unsafe impl Send for Flag {}

impl Flag {
    fn get(&self) -> &AtomicU8 {
        // SAFETY: the vCPU exists: `Bell` forgets the flag before.
        unsafe { self.0.as_ref() }
    }
}

/// Whom a kick is for, while there is somebody.
#[derive(Clone, Copy, Debug)]
struct Target {
    flag: Flag,
    thread: Option<libc::pid_t>,
}

/// What makes one vCPU return.
#[derive(Debug)]
pub(super) struct Bell {
    flag: Flag,
    kick: Kick,
    target: Arc<Mutex<Option<Target>>>,
    thread: Option<libc::pid_t>,
    timer: Option<Timer>,
}

impl Bell {
    /// For the vCPU behind `fd`.
    pub fn new(fd: &mut VcpuFd) -> Self {
        install_handler();
        let flag = NonNull::from(&mut fd.get_kvm_run().immediate_exit);
        let flag = Flag(flag.cast::<AtomicU8>());
        let target = Arc::new(Mutex::new(Some(Target { flag, thread: None })));
        let heard = Arc::clone(&target);
        let kick = Kick::with_wake(move || {
            // Held while the signal is sent, so that the vCPU exists until then.
            let target = heard.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Target { flag, thread }) = &*target {
                flag::ring(flag.get(), || thread.iter().copied().for_each(signal));
            }
        });
        Self { flag, kick, target, thread: None, timer: None }
    }

    /// The handle for others.
    pub fn kick(&self) -> &Kick {
        &self.kick
    }

    /// Sets the flag, so that KVM_RUN completes what was begun and returns.
    pub fn return_at_once(&self) {
        flag::set(self.flag.get());
    }

    /// Before KVM_RUN, on the thread that runs it: from now on a kick or `due_ns` ends it. `now_ns`
    /// is asked when nothing more can be missed. Whether there is time to enter.
    ///
    /// # Errors
    /// The timer can't be set.
    pub fn enter(&mut self, due_ns: u64, now_ns: impl Fn() -> u64) -> Result<bool, EngineError> {
        // SAFETY: always succeeds.
        let thread = unsafe { libc::gettid() };
        if self.thread != Some(thread) {
            self.thread = Some(thread);
            self.timer = None;
            let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
            *target = Some(Target { flag: self.flag, thread: Some(thread) });
        }
        RUNNING.set(self.flag.0.as_ptr());
        flag::clear(self.flag.get());
        if self.kick.is_pending() {
            return Ok(false);
        }
        if due_ns == u64::MAX {
            return Ok(true);
        }
        let now_ns = now_ns();
        if now_ns >= due_ns {
            return Ok(false);
        }
        if self.timer.is_none() {
            self.timer = Some(Timer::new(thread)?);
        }
        self.timer.as_mut().map_or(Ok(()), |timer| timer.arm(due_ns, now_ns))?;
        Ok(true)
    }

    /// After [`enter`](Self::enter), whether KVM has run or not.
    pub fn leave(&self) {
        RUNNING.set(ptr::null());
    }

    /// The vCPU is about to vanish: kicks reach nobody from now on.
    pub fn silence(&mut self) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.timer = None;
    }
}

/// A timer that signals one thread.
#[derive(Debug)]
struct Timer {
    id: libc::timer_t,
    armed_ns: u64,
}

// SAFETY: a timer belongs to the process.
unsafe impl Send for Timer {}

impl Timer {
    fn new(thread: libc::pid_t) -> Result<Self, EngineError> {
        // SAFETY: plain data, all zero is valid.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGRTMIN();
        event.sigev_notify_thread_id = thread;
        let mut id = ptr::null_mut();
        // SAFETY: valid structures for what is asked and for the answer.
        match unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut id) } {
            0 => Ok(Self { id, armed_ns: u64::MAX }),
            _ => Err(failure("timer_create")),
        }
    }

    /// Signals at `due_ns`, if it does not do so already. It is never disarmed: a signal too many
    /// costs a look at the clock.
    fn arm(&mut self, due_ns: u64, now_ns: u64) -> Result<(), EngineError> {
        if self.armed_ns == due_ns {
            return Ok(());
        }
        self.armed_ns = due_ns;
        let left_ns = due_ns - now_ns;
        // SAFETY: plain data, all zero is valid.
        let mut when: libc::itimerspec = unsafe { mem::zeroed() };
        when.it_value.tv_sec = (left_ns / 1_000_000_000) as libc::time_t;
        when.it_value.tv_nsec = (left_ns % 1_000_000_000) as libc::c_long;
        // SAFETY: a timer that exists and a valid structure.
        match unsafe { libc::timer_settime(self.id, 0, &raw const when, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(failure("timer_settime")),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: made by timer_create, and deleted once.
        unsafe { libc::timer_delete(self.id) };
    }
}

fn failure(operation: &'static str) -> EngineError {
    EngineError { operation, errno: io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}

/// Interrupts what a thread of this process is doing. One that has ended feels nothing.
fn signal(thread: libc::pid_t) {
    // SAFETY: a signal that has a handler, to a thread of this process.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGRTMIN()) };
}

fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: plain data, all zero is valid: no flags, so that system calls are interrupted.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = on_signal as *const () as usize;
        // SAFETY: a handler that only stores to an atomic, for a signal that nobody else uses.
        unsafe { libc::sigaction(libc::SIGRTMIN(), &raw const action, ptr::null_mut()) };
    });
}

extern "C" fn on_signal(_signal: libc::c_int) {
    // SAFETY: the thread has put it there for as long as the vCPU is used.
    if let Some(flag) = unsafe { RUNNING.get().as_ref() } {
        flag::set(flag);
    }
}
