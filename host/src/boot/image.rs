//! The bytes of an image or a module, read piece by piece where they are needed: small structures
//! into the host's memory, contents straight into guest RAM. A file of any size costs no more than
//! what is loaded of it.
//!
//! Invariant: a read never goes beyond the length that the file had when it was opened, and no
//! structure is larger than [`MAX_STRUCTURE`].

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use super::error::{BootError, Reason};
use super::placement::Owner;
use crate::memory::{GuestRam, MemoryError};

/// How much of an image is searched for headers: what Multiboot 2 asks for, the most of all.
pub const HEAD_BYTES: usize = 32 << 10;

/// The longest structure (a table of headers, say) that is read at once: more than the longest that
/// ELF can describe, 65,535 section headers.
pub const MAX_STRUCTURE: u64 = 8 << 20;

/// An image or module.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    source: Source,
    length: u64,
    head: Vec<u8>,
}

#[derive(Debug)]
enum Source {
    File(File),
    Bytes(Vec<u8>),
}

impl Image {
    /// Opens the image at `path` and reads its beginning.
    ///
    /// # Errors
    /// If it is not a regular file with something in it, or can't be read.
    pub fn open(path: &Path) -> Result<Self, BootError> {
        let image = Self::open_module(path)?;
        match image.length {
            0 => Err(BootError::new(path, Reason::Empty)),
            _ => Ok(image),
        }
    }

    /// Opens a module, which may be empty.
    pub(super) fn open_module(path: &Path) -> Result<Self, BootError> {
        Self::try_open(path).map_err(|reason| BootError::new(path, reason))
    }

    /// An image that is in memory already; `path` is what errors call it.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Self {
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        let length = bytes.len() as u64;
        Self { path: path.into(), source: Source::Bytes(bytes), length, head }
    }

    fn try_open(path: &Path) -> Result<Self, Reason> {
        let reason = |error: io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Reason::NotFound,
            _ => Reason::Unreadable(error),
        };
        // Ask before opening: to open a pipe would wait for its other end.
        let kind = path.metadata().map_err(reason)?.file_type();
        if !kind.is_file() {
            return Err(Reason::NotAFile(match () {
                () if kind.is_dir() => "a directory",
                () if kind.is_fifo() => "a pipe",
                () if kind.is_socket() => "a socket",
                () => "a device",
            }));
        }
        let file = File::open(path).map_err(reason)?;
        let length = file.metadata().map_err(reason)?.len();
        let mut head = vec![0; length.min(HEAD_BYTES as u64) as usize];
        file.read_exact_at(&mut head, 0).map_err(Reason::Unreadable)?;
        Ok(Self { path: path.into(), source: Source::File(file), length, head })
    }

    /// What errors call it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its first [`HEAD_BYTES`], or all of it.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The `length` bytes at `offset`, which are `what`.
    pub(super) fn read(&self, what: Owner, offset: u64, length: u64) -> Result<Vec<u8>, Reason> {
        self.check(what, offset, length)?;
        if length > MAX_STRUCTURE {
            return Err(Reason::StructureTooLarge { what, bytes: length, limit: MAX_STRUCTURE });
        }
        let (start, end) = (offset as usize, (offset + length) as usize);
        if let Some(bytes) = self.head.get(start..end) {
            return Ok(bytes.to_vec());
        }
        match &self.source {
            Source::Bytes(bytes) => Ok(bytes[start..end].to_vec()),
            Source::File(file) => {
                let mut bytes = vec![0; length as usize];
                file.read_exact_at(&mut bytes, offset)
                    .map_err(|source| Reason::Read { what, source })?;
                Ok(bytes)
            }
        }
    }

    /// Copies the `length` bytes at `offset`, which are `what`, to guest-physical `address`.
    pub(super) fn copy_to(
        &self,
        ram: &GuestRam,
        what: Owner,
        address: u64,
        offset: u64,
        length: u64,
    ) -> Result<(), Reason> {
        self.check(what, offset, length)?;
        let read = |source| Reason::Read { what, source };
        match &self.source {
            Source::Bytes(bytes) => {
                Ok(ram.write(address, &bytes[offset as usize..(offset + length) as usize])?)
            }
            Source::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(offset)).map_err(read)?;
                ram.copy_from(address, &mut file, length).map_err(|error| match error {
                    MemoryError::Source { .. } => read(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "it changed while being read",
                    )),
                    error => error.into(),
                })
            }
        }
    }

    /// Whether the `length` bytes at `offset`, which are `what`, are in the file.
    pub(super) fn check(&self, what: Owner, offset: u64, length: u64) -> Result<(), Reason> {
        let end = offset.saturating_add(length);
        if end > self.length {
            return Err(Reason::Truncated { what, end, length: self.length });
        }
        Ok(())
    }
}

/// A little-endian number of `bytes` at `offset`, if it is there.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// See [`u32_at`].
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

/// See [`u32_at`].
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
