//! The terminal on standard input: raw while a guest has it, and as it was before whatever ends the
//! program that can still run a line of code.
//!
//! Invariant: the saved mode is there exactly as long as the terminal is raw.

use std::io::{self, IsTerminal};
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

/// The mode to return to, while the terminal is raw.
static SAVED: Mutex<Option<libc::termios>> = Mutex::new(None);
static RESTORE_ON_PANIC: Once = Once::new();

/// A terminal in raw mode; dropping it restores the terminal.
#[derive(Debug)]
pub struct RawMode(());

impl RawMode {
    /// Makes the terminal on standard input raw: keys reach the guest one by one, Ctrl-C among
    /// them. Output is still translated, so that a bare line feed starts a line. `None` if standard
    /// input is no terminal, or another job has it.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn enter() -> io::Result<Option<Self>> {
        if !in_foreground() {
            return Ok(None);
        }
        RESTORE_ON_PANIC.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                restore();
                report(panic);
            }));
        });
        // SAFETY: the structure is plain data that tcgetattr overwrites.
        let mut mode: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: a valid structure; the descriptor is checked by the call.
        check(unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut mode) })?;
        let before = mode;
        // SAFETY: a valid structure, which only this function sees.
        unsafe { libc::cfmakeraw(&raw mut mode) };
        mode.c_oflag |= libc::OPOST;
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let raw = Self(());
        set(&mode)?;
        Ok(Some(raw))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether standard input is a terminal that this process may read and change without being
/// stopped for it.
pub fn in_foreground() -> bool {
    // SAFETY: both calls only ask.
    io::stdin().is_terminal() && unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() }
}

/// Restores the terminal if it is raw. Any thread may, at any time.
pub fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mode) = saved {
        // There is nobody left to tell of a failure.
        let _ = set(&mode);
    }
}

fn set(mode: &libc::termios) -> io::Result<()> {
    // SAFETY: a valid structure; the descriptor is checked by the call.
    check(unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, mode) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
