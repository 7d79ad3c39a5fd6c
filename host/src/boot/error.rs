//! Why an image can't be booted: one sentence each, which says what is wrong, where, and what to do.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::placement::Owner;
use crate::memory::MemoryError;
use crate::outcome;

/// A file that can't be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", printable(path))]
pub struct BootError {
    /// The image or module.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: Reason,
}

impl BootError {
    /// Blames the file at `path`, unless `reason` already names a module.
    pub(super) fn new(path: &Path, reason: Reason) -> Self {
        match reason {
            Reason::Module(error) => *error,
            reason => Self { path: path.into(), reason },
        }
    }

    /// The exit code of `monovisor run`.
    pub fn exit_code(&self) -> u8 {
        match self.reason {
            Reason::NotFound => outcome::NOT_FOUND,
            _ => outcome::UNUSABLE_IMAGE,
        }
    }
}

/// The path as it is read on a terminal: on one line, and commanding nothing.
fn printable(path: &Path) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    path.to_string_lossy().chars().map(escape).collect()
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum Reason {
    #[error("there is no such file; check the path, or build the image first")]
    NotFound,
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("this is {0}, and an image must be a regular file")]
    NotAFile(&'static str),
    #[error("the file is empty; build it again")]
    Empty,
    #[error(
        "the file is truncated: its {what} ends at byte {end} and the file at byte {length}; build or copy it again"
    )]
    Truncated { what: Owner, end: u64, length: u64 },
    #[error("the {what} cannot be read from the file: {source}")]
    Read { what: Owner, source: io::Error },
    #[error(
        "this is in no format that monovisor boots (ELF, Multiboot, PVH, Linux bzImage); for a flat binary say --flat ADDRESS:MODE"
    )]
    UnknownFormat,

    #[error(
        "the {what} is {bytes} bytes long, more than the {limit} that can be right; the file is damaged"
    )]
    StructureTooLarge { what: Owner, bytes: u64, limit: u64 },
    #[error(
        "the ELF file is built for {0}, and the guest's processor is an x86-64; build it for x86-64"
    )]
    WrongMachine(String),
    #[error("the ELF file is big-endian, and x86-64 is not; build it for x86-64")]
    BigEndian,
    #[error("the ELF header is damaged: its {field} is {value}; build the image again")]
    BadElfHeader { field: &'static str, value: u64 },
    #[error("this is {0}, not an executable; link it")]
    NotExecutable(&'static str),
    #[error(
        "this is a program for an operating system: it asks for the dynamic linker {0}; link it statically and freestanding"
    )]
    Dynamic(String),
    #[error("the ELF file has no segment to load; check the linker script")]
    NoSegments,
    #[error(
        "the {what} takes {memory} bytes in memory and more, {file}, in the file; check the linker script"
    )]
    FileExceedsMemory { what: Owner, file: u64, memory: u64 },
    #[error(
        "the {what} at {address:#x} of {length:#x} bytes reaches beyond the end of the address space; check the linker script"
    )]
    Wraps { what: Owner, address: u64, length: u64 },
    #[error("the {what} at {:#x}..{:#x} is not within the guest's RAM of {ram:#x} bytes; try a larger --memory, or link it lower", range.start, range.end)]
    OutsideRam { what: Owner, range: Range<u64>, ram: u64 },
    #[error("the {what} at {:#x}..{:#x} overlaps the {other} at {:#x}..{:#x}; move it elsewhere", range.start, range.end, other_range.start, other_range.end)]
    Overlap { what: Owner, range: Range<u64>, other: Owner, other_range: Range<u64> },
    #[error("the entry point {0:#x} is in no loaded segment; check the linker script's ENTRY")]
    EntryOutside(u64),
    #[error(
        "relocation {index} of the position-independent ELF file is of type {kind}, and only R_X86_64_RELATIVE (8) is known; link it statically, or with -no-pie"
    )]
    Relocation { index: u64, kind: u32 },
    #[error(
        "relocation {index} of the position-independent ELF file changes {address:#x}, which is in no loaded segment; the file is damaged"
    )]
    RelocationOutside { index: u64, address: u64 },
    #[error(
        "this position-independent ELF file has {0}, which monovisor does not apply; link it with -no-pie"
    )]
    RelocationFormat(&'static str),

    #[error("its {protocol} header asks for {what}, which monovisor does not provide")]
    Unsupported { protocol: &'static str, what: String },
    #[error("its {protocol} header is damaged: {what}")]
    BadHeader { protocol: &'static str, what: &'static str },
    #[error("this Linux kernel speaks boot protocol {}.{}, and 2.10 is needed; use a kernel from 2009 or later", version >> 8, version & 0xff)]
    LinuxTooOld { version: u16 },
    #[error(
        "Linux takes one module, its initial RAM disk, and there are {0}; join them into one archive"
    )]
    LinuxModules(usize),

    #[error("the guest's command line has {length} bytes, and only {limit} fit; shorten it")]
    CommandLineTooLong { length: usize, limit: usize },
    #[error(
        "there is no room for the {what} in the boot structures; use fewer or shorter --module and --append"
    )]
    NoRoom { what: &'static str },
    #[error(
        "a flat image is entered in real mode below 0x100000, and its entry point is {0:#x}; choose another address or mode"
    )]
    RealModeEntry(u64),
    #[error(
        "a flat image in real mode has no way to receive a command line or modules; leave out --append, --module and arguments, or choose another mode"
    )]
    NothingForRealMode,
    #[error(
        "the entry point {0:#x} cannot be reached in 32-bit protected mode; choose an address below 4 GiB"
    )]
    ProtectedModeEntry(u64),
    #[error(
        "the entry point {0:#x} is beyond the 4 GiB that are mapped at entry in long mode; choose a lower address"
    )]
    LongModeEntry(u64),
    #[error("{0}")]
    Module(Box<BootError>),
    #[error(transparent)]
    Memory(#[from] MemoryError),
}
