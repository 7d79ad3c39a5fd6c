//! Names and source lines for guest addresses, from the image's own symbol table and DWARF.
//!
//! Invariants: an image may be stripped, hostile, huge or gone, and the answer is then simply
//! "unknown". It is read by a thread of its own, which is not waited for beyond a deadline and reads
//! no more than a [`Meter`] allows, and no file but the image itself is opened, whatever the debug
//! information names.

mod elf;
mod meter;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use self::meter::Meter;
use super::text::printable;

/// Images beyond this size are not searched.
const MAX_IMAGE_BYTES: u64 = 256 << 20;
/// Stack of the thread that reads the image. Half of it is for what an image makes deep.
const STACK_BYTES: usize = 4 << 20;
/// Names longer than this are cut.
const MAX_NAME_CHARS: usize = 100;
/// Paths longer than this are cut.
const MAX_PATH_CHARS: usize = 120;

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// The symbol that covers it, and the address's offset into it.
    pub name: Option<(String, u64)>,
    /// Where in the source it is: the innermost function first, then those it was inlined into.
    pub frames: Vec<Frame>,
}

/// A function in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub function: Option<String>,
    /// File and line: of the address itself in the first frame, of the inlined call in the others.
    pub location: Option<(String, u32)>,
}

/// `name+0x1c (src/main.rs:42)`, as much of it as is known; empty if nothing is.
impl fmt::Display for Symbol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.frames.first().and_then(|frame| frame.location.as_ref());
        match &self.name {
            Some((name, 0)) => formatter.write_str(name)?,
            Some((name, offset)) => write!(formatter, "{name}+{offset:#x}")?,
            None => {}
        }
        match (location, &self.name) {
            (Some((file, line)), Some(_)) => write!(formatter, " ({file}:{line})"),
            (Some((file, line)), None) => write!(formatter, "{file}:{line}"),
            (None, _) => Ok(()),
        }
    }
}

/// A reader of one image's symbols.
#[derive(Debug)]
pub struct Symbolizer {
    requests: mpsc::Sender<Vec<u64>>,
    answers: mpsc::Receiver<Vec<Symbol>>,
    deadline: Instant,
}

impl Symbolizer {
    /// Starts to read `image`, which was loaded `bias` above where it is linked; all look-ups
    /// together wait no longer than `patience`.
    pub fn new(image: &Path, bias: u64, patience: Duration) -> Self {
        let (requests, incoming) = mpsc::channel();
        let (outgoing, answers) = mpsc::channel();
        let image = image.to_owned();
        // Where no thread can be had, the channels are closed and every address is unknown.
        let _ = thread::Builder::new()
            .name("symbolizer".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(image, bias, &incoming, &outgoing));
        Self { requests, answers, deadline: Instant::now() + patience }
    }

    /// What is known of each address, in their order.
    pub fn look_up(&self, addresses: &[u64]) -> Vec<Symbol> {
        let unknown = || vec![Symbol::default(); addresses.len()];
        if self.requests.send(addresses.to_vec()).is_err() {
            return unknown();
        }
        // The thread answers twice: quickly from the symbol table, then with source lines.
        let mut answer = None;
        for _ in 0..2 {
            let patience = self.deadline.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(patience) {
                Ok(symbols) => answer = Some(symbols),
                Err(_) => break,
            }
        }
        answer.filter(|symbols| symbols.len() == addresses.len()).unwrap_or_else(unknown)
    }
}

/// The thread: reads the image once, then answers until nobody asks any more.
fn serve(
    image: PathBuf,
    bias: u64,
    requests: &mpsc::Receiver<Vec<u64>>,
    answers: &mpsc::Sender<Vec<Symbol>>,
) {
    let Some(bytes) = read(&image) else { return };
    let Some(image) = elf::Image::parse(&bytes) else { return };
    let meter = Meter::new(STACK_BYTES / 2);
    let mut lines = None;
    for mut addresses in requests {
        for address in &mut addresses {
            *address = image.without_bias(*address, bias);
        }
        let mut symbols = image.names(&addresses);
        if answers.send(symbols.clone()).is_err() {
            return;
        }
        let lines = lines.get_or_insert_with(|| image.lines(&meter));
        if let Some(lines) = lines {
            for (symbol, &address) in symbols.iter_mut().zip(&addresses) {
                let code_address = image.code_address(address);
                symbol.frames = code_address.map_or_else(Vec::new, |address| lines.frames(address));
            }
        }
        if answers.send(symbols).is_err() {
            return;
        }
    }
}

/// The image's bytes, if it is a regular file of a reasonable size.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_IMAGE_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_IMAGE_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A symbol's name as a person writes it: demangled, printable, not endless.
fn name(raw: &str) -> String {
    printable(&addr2line::demangle_auto(raw.into(), None), MAX_NAME_CHARS)
}

/// A source path, without the prefix that rustc gives the standard library's files.
fn path(raw: &str) -> String {
    let short = raw
        .strip_prefix("/rustc/")
        .and_then(|rest| rest.split_once('/'))
        .map_or(raw, |(_, library)| library);
    printable(short, MAX_PATH_CHARS)
}

#[cfg(test)]
mod tests;
