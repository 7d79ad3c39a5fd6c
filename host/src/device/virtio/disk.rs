//! A raw disk image: a file or block device of whole sectors, read and written at offsets.
//!
//! Invariant: as long as the value lives no other process that asks for the same lock writes the
//! file, and the capacity does not change.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

/// Bytes in a sector, the unit of virtio-blk whatever the disk's own is.
pub const SECTOR_BYTES: u64 = 512;

/// Why a disk can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file can't be opened.
    #[error("the disk {} cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// Neither a file nor a block device.
    #[error("the disk {} is neither a regular file nor a block device", .0.display())]
    Kind(PathBuf),
    /// Another process has the file.
    #[error("the disk {} is in use by another process; `,ro` on both sides shares it", .0.display())]
    InUse(PathBuf),
    /// The file holds no sector.
    #[error("the disk {} has {bytes} bytes, and a sector has 512; make it larger, for example with `truncate -s 64M`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
}

/// An open disk image.
#[derive(Debug)]
pub struct Disk {
    file: File,
    sectors: u64,
    read_only: bool,
}

impl Disk {
    /// Opens the image at `path`.
    ///
    /// # Errors
    /// It can't be opened, is in use, or holds no sector.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Open { path: path.into(), source };
        // Before it is opened, which a pipe would make wait for its other end.
        let kind = path.metadata().map_err(failed)?.file_type();
        if !(kind.is_file() || kind.is_block_device()) {
            return Err(DiskError::Kind(path.into()));
        }
        let mut file =
            OpenOptions::new().read(true).write(!read_only).open(path).map_err(failed)?;
        let locked = if read_only { file.try_lock_shared() } else { file.try_lock() };
        match locked {
            Err(TryLockError::WouldBlock) => return Err(DiskError::InUse(path.into())),
            // Some file systems have no locks; that is no reason not to use what lies on them.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        // The metadata of a block device say that it is empty.
        let bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if bytes < SECTOR_BYTES {
            return Err(DiskError::Empty { path: path.into(), bytes });
        }
        Ok(Self { file, sectors: bytes / SECTOR_BYTES, read_only })
    }

    #[cfg(test)]
    pub(super) fn from_file(file: File, sectors: u64) -> Self {
        Self { file, sectors, read_only: false }
    }

    /// How many sectors there are; a last part of one does not count.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Whether writes are refused.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether `bytes` from `sector` on are whole sectors of the disk.
    pub fn contains(&self, sector: u64, bytes: u64) -> bool {
        bytes.is_multiple_of(SECTOR_BYTES)
            && sector <= self.sectors
            && bytes / SECTOR_BYTES <= self.sectors - sector
    }

    /// Reads all of `buffer`.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// Reads all of `buffer` if the host has it in memory. Otherwise, or if anything goes wrong, what is
    /// in the buffer says nothing.
    pub(super) fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> bool {
        let Ok(offset) = libc::off_t::try_from(offset) else { return false };
        let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let file = self.file.as_raw_fd();
        // SAFETY: an open descriptor, and one buffer that is borrowed for the call.
        let read = unsafe { libc::preadv2(file, &part, 1, offset, libc::RWF_NOWAIT) };
        usize::try_from(read) == Ok(buffer.len())
    }

    /// Writes all of `bytes`.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Returns when everything written is on the host's disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Makes a range read zeros and gives its space back, where the file system can.
    pub(super) fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.allocate(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, bytes)
    }

    /// Makes a range read zeros and keeps its space, where the file system can.
    pub(super) fn zero(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.allocate(libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE, offset, bytes)
    }

    fn allocate(&self, mode: libc::c_int, offset: u64, bytes: u64) -> io::Result<()> {
        let too_far = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let offset = libc::off_t::try_from(offset).map_err(too_far)?;
        let bytes = libc::off_t::try_from(bytes).map_err(too_far)?;
        // SAFETY: an open descriptor and plain numbers, which the kernel checks.
        let result = unsafe { libc::fallocate(self.file.as_raw_fd(), mode, offset, bytes) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(bytes: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        file
    }

    #[test]
    fn only_whole_sectors_count() {
        let image = image(3 * 512 + 100);
        let disk = Disk::open(image.path(), false).unwrap();
        assert_eq!(disk.sectors(), 3);
        for (sector, bytes, inside) in [
            (0, 1536, true),
            (3, 0, true),
            (2, 512, true),
            (2, 1024, false),
            (4, 0, false),
            (0, 511, false),
            (u64::MAX, 512, false),
            (0, u64::MAX - 511, false),
        ] {
            assert_eq!(disk.contains(sector, bytes), inside, "{sector} {bytes}");
        }
    }

    #[test]
    fn what_can_t_be_a_disk_is_refused() {
        let small = image(511);
        assert!(matches!(
            Disk::open(small.path(), false),
            Err(DiskError::Empty { bytes: 511, .. })
        ));
        let missing = small.path().with_extension("missing");
        assert!(matches!(Disk::open(&missing, true), Err(DiskError::Open { .. })));
        let folder = small.path().parent().unwrap();
        assert!(matches!(Disk::open(folder, true), Err(DiskError::Kind(_))));
    }

    #[test]
    fn one_writer_or_any_number_of_readers() {
        let image = image(4096);
        let reader = Disk::open(image.path(), true).unwrap();
        let _another = Disk::open(image.path(), true).unwrap();
        assert!(matches!(Disk::open(image.path(), false), Err(DiskError::InUse(_))));
        assert!(reader.is_read_only());
    }
}
