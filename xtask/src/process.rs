//! Runs a program to its end under a hard time limit, and says what became of it.
//!
//! Nothing that xtask starts here can hang it: standard input is empty, both outputs are drained
//! while the program runs, and at the limit it is killed. The user's settings for monovisor don't
//! reach it: a test or a measurement is what its command line says.

use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wait4::Wait4;

/// How the environment variables begin that monovisor takes settings from.
const SETTINGS_PREFIX: &[u8] = b"MONOVISOR_";

/// A program with its arguments; prints as a line for a POSIX shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program and its arguments.
    pub words: Vec<String>,
}

/// What became of a program.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit status, or `None` for a program ended by a signal.
    pub status: Option<i32>,
    /// Whether the time limit ended it.
    pub killed: bool,
    /// Standard output, as text.
    pub stdout: String,
    /// When each line of it was complete, from before the start.
    pub line_times: Vec<Duration>,
    /// Standard error, as text.
    pub stderr: String,
    /// From before the start to the end of the whole process.
    pub wall: Duration,
    /// The largest resident set.
    ///
    /// Linux counts what the parent had resident at the start too, so this is never below xtask's
    /// own size.
    pub resident_bytes: u64,
}

impl Invocation {
    /// A program without arguments yet.
    pub fn new(program: impl Into<String>) -> Self {
        Self { words: vec![program.into()] }
    }

    /// With more arguments.
    pub fn with<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Runs it until it ends or `limit` is over.
    pub fn run(&self, limit: Duration) -> Result<Finished> {
        let started = Instant::now();
        let mut child = self.start()?;
        let (ended, end) = mpsc::channel();
        let stdout = drain(child.stdout.take(), started, ended.clone());
        let stderr = drain(child.stderr.take(), started, ended);
        // Both pipes close when the process ends, and the channel with them.
        let remaining = limit.saturating_sub(started.elapsed());
        let killed = end.recv_timeout(remaining) == Err(mpsc::RecvTimeoutError::Timeout);
        if killed {
            child.kill().with_context(|| format!("stopping `{self}`"))?;
        }
        let end = child.wait4().with_context(|| format!("waiting for `{self}`"))?;
        let wall = started.elapsed();
        let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().unwrap_or_default());
        let text = |drained: &Drained| String::from_utf8_lossy(&drained.bytes).into_owned();
        Ok(Finished {
            status: end.status.code(),
            killed,
            stdout: text(&stdout),
            line_times: stdout.line_times,
            stderr: text(&stderr),
            wall,
            resident_bytes: end.rusage.maxrss,
        })
    }

    /// Runs it, and takes it for an error if it does not end with `status`.
    pub fn run_expecting(&self, status: i32, limit: Duration) -> Result<Finished> {
        let finished = self.run(limit)?;
        let end = match finished.status {
            Some(actual) if actual == status => return Ok(finished),
            _ if finished.killed => format!("did not end within {} s", limit.as_secs()),
            Some(actual) => format!("ended with status {actual}, not {status}"),
            None => "was ended by a signal".to_owned(),
        };
        let said = finished.stderr.lines().find(|line| !line.is_empty()).unwrap_or("nothing");
        bail!("`{self}` {end}, saying: {said}");
    }

    /// Starts it, with empty input and both outputs in pipes, and leaves it to the caller.
    pub fn start(&self) -> Result<Child> {
        self.command(std::env::vars_os().map(|(variable, _)| variable))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting `{self}`"))
    }

    /// The command without those of the environment's variables that would change what it does.
    fn command(&self, environment: impl Iterator<Item = OsString>) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        for variable in environment {
            if variable.as_encoded_bytes().starts_with(SETTINGS_PREFIX) {
                command.env_remove(variable);
            }
        }
        command
    }
}

/// What came out of a pipe, and when each line of it was complete.
#[derive(Default)]
struct Drained {
    bytes: Vec<u8>,
    line_times: Vec<Duration>,
}

/// Reads a pipe to its end on a thread; `ended` is dropped there.
fn drain(
    pipe: Option<impl Read + Send + 'static>,
    started: Instant,
    ended: mpsc::Sender<()>,
) -> thread::JoinHandle<Drained> {
    thread::spawn(move || {
        let mut drained = Drained::default();
        if let Some(pipe) = pipe {
            let mut reader = BufReader::new(pipe);
            // What came before a read error is still worth showing.
            while reader.read_until(b'\n', &mut drained.bytes).is_ok_and(|count| count > 0) {
                drained.line_times.push(started.elapsed());
            }
        }
        drop(ended);
        drained
    })
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                write!(f, "{gap}{word}")?;
            } else {
                write!(f, "{gap}'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Invocation {
        Invocation::new("sh").with(["-c", script])
    }

    #[test]
    fn status_and_both_outputs_come_back() {
        let end = shell("echo out; echo err >&2; exit 7").run(Duration::from_secs(10)).expect("sh");
        assert_eq!((end.status, end.killed), (Some(7), false));
        assert_eq!((end.stdout.as_str(), end.stderr.as_str()), ("out\n", "err\n"));
        assert!(end.resident_bytes > 0);
    }

    #[test]
    fn each_line_has_the_time_when_it_was_complete() {
        let end = shell("printf 'a\\nb'; sleep 0.2; echo; echo c").run(Duration::from_secs(10));
        let [first, second, third] = end.expect("sh").line_times[..] else { panic!("three lines") };
        assert!(second - first >= Duration::from_millis(100) && third >= second);
    }

    #[test]
    fn a_program_that_hangs_is_killed_and_its_output_kept() {
        let end = shell("echo before; exec sleep 60").run(Duration::from_millis(300)).expect("sh");
        assert_eq!((end.status, end.killed), (None, true));
        assert_eq!(end.stdout, "before\n");
        assert!(end.wall < Duration::from_secs(30));
    }

    #[test]
    fn an_end_that_is_not_expected_is_an_error() {
        let limit = Duration::from_secs(10);
        assert!(shell("exit 7").run_expecting(7, limit).is_ok());
        let error = |script| shell(script).run_expecting(7, limit).expect_err(script).to_string();
        assert!(error("echo why >&2").ends_with("ended with status 0, not 7, saying: why"));
        assert!(error("kill -9 $$").ends_with("was ended by a signal, saying: nothing"));
    }

    #[test]
    fn the_users_settings_stay_outside() {
        let environment = ["PATH", "MONOVISOR_TIMEOUT"].map(OsString::from).into_iter();
        let command = shell("").command(environment);
        let removed: Vec<_> = command.get_envs().collect();
        assert_eq!(removed, [("MONOVISOR_TIMEOUT".as_ref(), None)]);
    }

    #[test]
    fn it_prints_as_a_shell_would_read_it() {
        let words = Invocation::new("qemu").with(["-append", "it's 1", "a=b"]);
        assert_eq!(words.to_string(), r"qemu -append 'it'\''s 1' a=b");
    }
}
