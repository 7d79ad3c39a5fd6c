//! A person or script around a running machine: keys and standard input go to the guest, Ctrl-A X
//! and signals end the run, SIGQUIT and Ctrl-A I look at it while it goes on. For programs that run one
//! machine in the foreground; an embedder needs none of it.
//!
//! Two threads wait, for input and for signals, and reach the machine through its [`Remote`] alone.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::{mem, ptr, thread};

use crate::device::InputReader;
use crate::remote::Remote;
use crate::terminal::{self, RawMode};
use crate::vm::Vm;

/// Signals that ask for the end.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The signal that asks where the guest is.
const LOOK: libc::c_int = libc::SIGQUIT;

/// Ctrl-A, after which a key is for monovisor, as in QEMU.
const ESCAPE: u8 = 0x01;

/// A session; dropping it restores the terminal.
#[derive(Debug)]
pub struct Session {
    _raw: Option<RawMode>,
}

impl Session {
    /// Ties standard input and the `signals` to `vm`. `look` is called, on a thread of its own, when
    /// somebody asks where the guest is.
    ///
    /// # Errors
    /// A thread can't be started, or the terminal refuses raw mode.
    pub fn start(
        signals: Signals,
        vm: &mut Vm,
        look: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let remote = vm.remote();
        signals.watch(remote.clone(), look)?;
        let Some(reader) = vm.take_input() else { return Ok(Self { _raw: None }) };
        let raw = RawMode::enter()?;
        let has_keys = raw.is_some();
        // A background job that reads its terminal would be stopped.
        if has_keys || !io::IsTerminal::is_terminal(&io::stdin()) {
            thread::Builder::new()
                .name("input".into())
                .spawn(move || feed(&reader, &remote, has_keys))?;
        }
        Ok(Self { _raw: raw })
    }
}

/// The signals that ask for the end or for a look, held back until a session watches them.
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Holds them back from this thread, and from all that it starts: so before the machine is made,
    /// whose disks have threads that would end the process.
    pub fn hold() -> Self {
        let signals = signal_set();
        // SAFETY: a valid set; the old one is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, ptr::null_mut()) };
        Self(signals)
    }

    /// The first signal that asks for the end ends the run; a second one ends the process, should the
    /// first not get through.
    fn watch(self, remote: Remote, look: impl FnMut() + Send + 'static) -> io::Result<()> {
        let Self(signals) = self;
        let run = move || watch(&signals, &remote, look);
        thread::Builder::new().name("signals".into()).spawn(run)?;
        Ok(())
    }
}

fn watch(signals: &libc::sigset_t, remote: &Remote, mut look: impl FnMut()) {
    let mut signal = LOOK;
    while signal == LOOK {
        // SAFETY: a valid set whose signals are blocked in every thread, and a place for the answer.
        if unsafe { libc::sigwait(signals, &raw mut signal) } != 0 {
            return;
        }
        if signal == LOOK {
            look();
        }
    }
    terminal::restore();
    remote.stop(u8::try_from(signal).unwrap_or(u8::MAX));
    // SAFETY: a valid set; the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, signals, ptr::null_mut()) };
    thread::park();
}

fn signal_set() -> libc::sigset_t {
    // SAFETY: the set is plain data that sigemptyset overwrites.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: a valid set.
    unsafe { libc::sigemptyset(&raw mut set) };
    // A signal that was ignored when the program started (nohup) stays so.
    for signal in SIGNALS.into_iter().chain([LOOK]).filter(|&signal| !is_ignored(signal)) {
        // SAFETY: a valid set and a signal that exists.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: the structure is plain data that sigaction overwrites.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: a signal that exists and a valid structure for the answer; nothing is changed.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Carries standard input to the guest until it ends or the guest is gone.
fn feed(reader: &InputReader, remote: &Remote, has_keys: bool) {
    let mut keys = Keys::default();
    let mut buffer = [0; 1024];
    loop {
        let count = match io::stdin().lock().read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_readable();
                continue;
            }
            Err(_) => break,
        };
        let mut bytes = buffer[..count].to_vec();
        if has_keys {
            let Asked { quit, look } = keys.filter(&mut bytes);
            if quit {
                remote.stop(libc::SIGINT as u8);
                return;
            }
            if look {
                // SAFETY: to this process itself, where a thread waits for it.
                unsafe { libc::kill(libc::getpid(), LOOK) };
            }
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let queued = reader.push(rest);
            if queued == 0 {
                return;
            }
            rest = &rest[queued..];
            remote.wake();
        }
    }
    // A guest that waits for input only must learn that none will come.
    reader.end();
    remote.wake();
}

fn wait_readable() {
    let fd = io::stdin().as_raw_fd();
    let mut request = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid structure, as counted; the result only says when to try again.
    unsafe { libc::poll(&raw mut request, 1, -1) };
}

/// Finds the keys that are for monovisor.
#[derive(Debug, Default)]
struct Keys {
    escaped: bool,
}

/// What a person wants of monovisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    quit: bool,
    look: bool,
}

impl Keys {
    /// Leaves what is for the guest. What the person wants.
    fn filter(&mut self, bytes: &mut Vec<u8>) -> Asked {
        let mut asked = Asked::default();
        bytes.retain(|&byte| match (mem::take(&mut self.escaped), byte) {
            (false, ESCAPE) => {
                self.escaped = true;
                false
            }
            (true, b'x' | b'X') => {
                asked.quit = true;
                false
            }
            (true, b'i' | b'I') => {
                asked.look = true;
                false
            }
            // Ctrl-A twice sends one; any other key after it is the guest's.
            _ => true,
        });
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_a_x_quits_ctrl_a_i_looks_and_ctrl_a_twice_sends_one() {
        let nothing = Asked::default();
        let (quit, look) = (Asked { quit: true, ..nothing }, Asked { look: true, ..nothing });
        for (typed, passed, asked) in [
            (&b"abc\x03"[..], &b"abc\x03"[..], nothing),
            (b"a\x01x", b"a", quit),
            (b"\x01X", b"", quit),
            (b"a\x01ib", b"ab", look),
            (b"\x01\x01x", b"\x01x", nothing),
            (b"\x01bx", b"bx", nothing),
        ] {
            let mut bytes = typed.to_vec();
            assert_eq!(Keys::default().filter(&mut bytes), asked, "{typed:?}");
            assert_eq!(bytes, passed);
        }
    }

    #[test]
    fn an_escape_may_be_split() {
        let mut keys = Keys::default();
        let mut bytes = vec![ESCAPE];
        assert!(!keys.filter(&mut bytes).quit && bytes.is_empty());
        assert!(keys.filter(&mut b"x".to_vec()).quit);
    }
}
