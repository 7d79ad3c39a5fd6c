//! The comparison's workloads as an ordinary program: what guests are compared with. The sources of
//! the workloads are the guests' own.
//!
//! `native WORKLOAD,… MILLISECONDS THREADS [DISK]` prints one line of JSON for each variant.

extern crate alloc;

#[path = "../../../guest-tests/src/workload/mod.rs"]
mod workload;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use workload::{Disk, Effort, Machine, Operation};

/// The argument with which this program answers bytes on its standard input.
const ECHO: &str = "echo";
/// How far ahead timers are set.
const TIMER: Duration = Duration::from_micros(50);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [ECHO] => finish(echo()),
        [names, ms, threads, ref rest @ ..] => match (ms.parse(), threads.parse()) {
            (Ok(ms), Ok(threads)) => finish(run(names, ms, threads, rest.first().copied())),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: native WORKLOAD,… MILLISECONDS THREADS [DISK]");
    ExitCode::from(2)
}

fn finish(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("native: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(names: &str, ms: u64, threads: usize, disk: Option<&str>) -> io::Result<()> {
    let disk = disk.map(|path| OpenOptions::new().read(true).write(true).open(path)).transpose()?;
    let machine = Process { start: Instant::now(), disk: disk.map(Image), child: Mutex::new(None) };
    let effort = Effort { duration_ns: ms * 1_000_000, threads };
    // What is printed must not disturb what is measured.
    let mut output = String::new();
    for name in workload::names().filter(|name| names.split(',').any(|one| one == *name)) {
        let reports = workload::run(name, &machine, effort).unwrap_or_default();
        reports.iter().for_each(|report| output += &format!("{report}\n"));
    }
    io::stdout().write_all(output.as_bytes())
}

/// The other side of [`Process::round_trips`].
fn echo() -> io::Result<()> {
    let mut byte = [0];
    while io::stdin().read(&mut byte)? > 0 {
        io::stdout().write_all(&byte)?;
        io::stdout().flush()?;
    }
    Ok(())
}

/// This process.
struct Process {
    start: Instant,
    disk: Option<Image>,
    /// Another process, once one is needed.
    child: Mutex<Option<Child>>,
}

impl Process {
    /// To another process and back, through two pipes.
    fn round_trips(&self, count: u64) -> io::Result<u64> {
        let mut child = self.child.lock().unwrap_or_else(|error| error.into_inner());
        if child.is_none() {
            let mut command = Command::new(std::env::current_exe()?);
            *child = Some(command.arg(ECHO).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        }
        let pipes =
            child.as_mut().and_then(|child| child.stdin.as_mut().zip(child.stdout.as_mut()));
        let (to, from) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        let start = Instant::now();
        for _ in 0..count {
            to.write_all(&[0])?;
            from.read_exact(&mut [0])?;
        }
        Ok(nanoseconds(start.elapsed()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(|error| error.into_inner());
        if let Some(mut child) = child.take() {
            drop(child.stdin.take());
            // It ends with its input.
            let _ = child.wait();
        }
    }
}

impl Machine for Process {
    fn now_ns(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    fn in_user_mode(&self, body: &mut dyn FnMut()) {
        body();
    }

    fn in_parallel(&self, threads: usize, body: &(dyn Fn(usize) + Sync)) {
        thread::scope(|scope| {
            for number in 0..threads {
                scope.spawn(move || body(number));
            }
        });
    }

    fn yield_now(&self) {
        thread::yield_now();
    }

    fn disk(&self) -> Option<&dyn Disk> {
        self.disk.as_ref().map(|disk| disk as &dyn Disk)
    }

    fn perform(&self, operation: Operation, count: u64) -> Option<u64> {
        match operation {
            Operation::SystemCall => Some(timed(count, || {
                std::hint::black_box(std::os::unix::process::parent_id());
            })),
            Operation::AddressSpace => self.round_trips(count).ok(),
            Operation::Timer => Some(late(count)),
            Operation::Signal => Some(signals(count)),
            Operation::PortWrite | Operation::MemoryMappedRead => None,
        }
    }
}

fn timed(count: u64, mut operation: impl FnMut()) -> u64 {
    let start = Instant::now();
    (0..count).for_each(|_| operation());
    nanoseconds(start.elapsed())
}

/// How late sleeps end, in sum; the kernel's slack for timers of ordinary processes is in it.
fn late(count: u64) -> u64 {
    let late = || {
        let start = Instant::now();
        thread::sleep(TIMER);
        nanoseconds(start.elapsed().saturating_sub(TIMER))
    };
    (0..count).map(|_| late()).sum()
}

/// Wakes a thread that sleeps, and waits for its answer.
fn signals(count: u64) -> u64 {
    let (answers, over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                thread::park();
                answers.fetch_add(1, Ordering::Release);
            }
        });
        let taken_ns = timed(count, || {
            let before = answers.load(Ordering::Acquire);
            other.thread().unpark();
            while answers.load(Ordering::Acquire) == before {
                std::hint::spin_loop();
            }
        });
        over.store(true, Ordering::Release);
        other.thread().unpark();
        taken_ns
    })
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A disk image, as an ordinary file.
struct Image(File);

impl Disk for Image {
    fn bytes(&self) -> u64 {
        self.0.metadata().expect("an open file has a length").len()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) {
        self.0.read_exact_at(buffer, offset).expect("the image can be read");
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, offset).expect("the image can be written");
    }

    fn flush(&self) {
        self.0.sync_data().expect("the image can be flushed");
    }
}
