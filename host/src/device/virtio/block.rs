//! virtio-blk: what the requests of a disk's driver do (Virtio 1.2, "Block Device").
//!
//! Invariant: a request's status byte is written last, and says success only if all of it is done.

use std::io;
use std::mem::offset_of;
use std::sync::Arc;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO,
    VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR,
    VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH,
    VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
    VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, virtio_blk_config as Config,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryMmap};

use super::Backend;
use super::buffers::{Buffers, Unfit};
use super::disk::{Disk, SECTOR_BYTES};

/// The longest transfer of one request: what a reset of the device may have to wait for.
const MAX_REQUEST_BYTES: u64 = 64 << 20;
/// Ranges that one discard or write-zeroes request may hold, and how long each may be: together as
/// long as a transfer.
const MAX_RANGES: u32 = 16;
const MAX_RANGE_SECTORS: u32 = (MAX_REQUEST_BYTES / SECTOR_BYTES) as u32 / MAX_RANGES;
/// What is moved at once between the disk and RAM.
const BUFFER_BYTES: usize = 256 << 10;
/// Descriptors for data in a request: the queue's, less the header's and the status's.
const MAX_SEGMENTS: u32 = super::worker::QUEUE_SIZE as u32 - 2;

/// Bytes of the configuration space up to the last field of the features that are offered.
const CONFIG_BYTES: usize = offset_of!(Config, max_secure_erase_sectors);

/// A disk.
pub struct Block {
    disk: Arc<Disk>,
    serial: String,
    config: [u8; CONFIG_BYTES],
    buffer: Box<[u8]>,
    /// The driver does not flush, so every write has to reach the disk by itself.
    write_through: bool,
}

/// Why a request fails.
enum Failure {
    /// The disk refused, or the request makes no sense.
    Io,
    /// A kind of request that does not exist.
    Unsupported,
}

impl From<Unfit> for Failure {
    fn from(_: Unfit) -> Self {
        Self::Io
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

/// One range of a discard or write-zeroes request.
struct Range {
    offset: u64,
    bytes: u64,
    unmap: bool,
}

impl Block {
    /// A disk whose identity is `serial`, of which the guest sees the first 20 bytes.
    pub fn new(disk: Arc<Disk>, serial: String) -> Self {
        let mut config = [0; CONFIG_BYTES];
        let mut field = |offset: usize, bytes: &[u8]| {
            config[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        field(offset_of!(Config, capacity), &disk.sectors().to_le_bytes());
        field(offset_of!(Config, seg_max), &MAX_SEGMENTS.to_le_bytes());
        field(offset_of!(Config, blk_size), &(SECTOR_BYTES as u32).to_le_bytes());
        field(offset_of!(Config, max_discard_sectors), &MAX_RANGE_SECTORS.to_le_bytes());
        field(offset_of!(Config, max_discard_seg), &MAX_RANGES.to_le_bytes());
        field(offset_of!(Config, discard_sector_alignment), &8u32.to_le_bytes());
        field(offset_of!(Config, max_write_zeroes_sectors), &MAX_RANGE_SECTORS.to_le_bytes());
        field(offset_of!(Config, max_write_zeroes_seg), &MAX_RANGES.to_le_bytes());
        field(offset_of!(Config, write_zeroes_may_unmap), &[1]);
        let buffer = vec![0; BUFFER_BYTES].into();
        Self { disk, serial, config, buffer, write_through: true }
    }

    /// Carries out the request of a well-formed chain. `written` is how many bytes it has given to
    /// the guest, whether it succeeds or not.
    fn request(
        &mut self,
        memory: &GuestMemoryMmap,
        descriptors: &[Descriptor],
        written: &mut u64,
    ) -> Result<(), Failure> {
        let Request { kind, sector, mut input, mut data } = Request::new(memory, descriptors)?;
        let room = data.left();
        let result = match kind {
            VIRTIO_BLK_T_IN => self.read(sector, &mut data),
            VIRTIO_BLK_T_OUT => self.write(sector, &mut input),
            VIRTIO_BLK_T_FLUSH => Ok(self.disk.flush()?),
            VIRTIO_BLK_T_GET_ID => self.identify(&mut data),
            VIRTIO_BLK_T_DISCARD | VIRTIO_BLK_T_WRITE_ZEROES => self.erase(kind, &mut input),
            _ => Err(Failure::Unsupported),
        };
        *written = room - data.left();
        result
    }

    fn read(&mut self, sector: u64, data: &mut Buffers<'_>) -> Result<(), Failure> {
        let mut offset = self.start(sector, data.left())?;
        while data.left() > 0 {
            let length = data.left().min(self.buffer.len() as u64);
            let buffer = &mut self.buffer[..length as usize];
            self.disk.read(buffer, offset)?;
            data.write(buffer)?;
            offset += length;
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, input: &mut Buffers<'_>) -> Result<(), Failure> {
        self.check_writable()?;
        let mut offset = self.start(sector, input.left())?;
        while input.left() > 0 {
            let length = input.left().min(self.buffer.len() as u64);
            let buffer = &mut self.buffer[..length as usize];
            input.read(buffer)?;
            self.disk.write(buffer, offset)?;
            offset += length;
        }
        self.written()
    }

    fn identify(&self, data: &mut Buffers<'_>) -> Result<(), Failure> {
        let mut id = [0; VIRTIO_BLK_ID_BYTES as usize];
        let length = self.serial.len().min(id.len());
        id[..length].copy_from_slice(&self.serial.as_bytes()[..length]);
        let wanted = data.left().min(id.len() as u64);
        Ok(data.write(&id[..wanted as usize])?)
    }

    /// Discards or zeroes ranges; all are checked before the first is touched.
    fn erase(&mut self, kind: u32, input: &mut Buffers<'_>) -> Result<(), Failure> {
        self.check_writable()?;
        let mut ranges = Vec::new();
        while input.left() > 0 && ranges.len() < MAX_RANGES as usize {
            ranges.push(self.range(kind, input)?);
        }
        if ranges.is_empty() || input.left() > 0 {
            return Err(Failure::Io);
        }
        for range in ranges {
            if kind == VIRTIO_BLK_T_DISCARD {
                // It is a hint: where the file system can't, the data stay.
                match self.disk.punch(range.offset, range.bytes) {
                    Err(error) if error.raw_os_error() != Some(libc::EOPNOTSUPP) => {
                        return Err(error.into());
                    }
                    _ => {}
                }
            } else {
                self.zero(&range)?;
            }
        }
        self.written()
    }

    fn range(&self, kind: u32, input: &mut Buffers<'_>) -> Result<Range, Failure> {
        let sector = u64::from_le_bytes(input.read_array()?);
        let sectors = u32::from_le_bytes(input.read_array()?);
        let flags = u32::from_le_bytes(input.read_array()?);
        let unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0;
        if flags & !VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0 || unmap && kind == VIRTIO_BLK_T_DISCARD
        {
            return Err(Failure::Unsupported);
        }
        let bytes = u64::from(sectors) * SECTOR_BYTES;
        if sectors == 0 || sectors > MAX_RANGE_SECTORS || !self.disk.contains(sector, bytes) {
            return Err(Failure::Io);
        }
        Ok(Range { offset: sector * SECTOR_BYTES, bytes, unmap })
    }

    fn zero(&mut self, range: &Range) -> Result<(), Failure> {
        let Range { offset, bytes, unmap } = *range;
        if unmap && self.disk.punch(offset, bytes).is_ok() || self.disk.zero(offset, bytes).is_ok()
        {
            return Ok(());
        }
        let end = offset + bytes;
        let mut offset = offset;
        self.buffer.fill(0);
        while offset < end {
            let length = (end - offset).min(self.buffer.len() as u64);
            self.disk.write(&self.buffer[..length as usize], offset)?;
            offset += length;
        }
        Ok(())
    }

    /// The offset of `sector`, if the transfer that begins there is possible.
    fn start(&self, sector: u64, bytes: u64) -> Result<u64, Failure> {
        let possible = bytes <= MAX_REQUEST_BYTES && self.disk.contains(sector, bytes);
        possible.then(|| sector * SECTOR_BYTES).ok_or(Failure::Io)
    }

    fn check_writable(&self) -> Result<(), Failure> {
        if self.disk.is_read_only() { Err(Failure::Io) } else { Ok(()) }
    }

    fn written(&self) -> Result<(), Failure> {
        if self.write_through { Ok(self.disk.flush()?) } else { Ok(()) }
    }
}

impl Backend for Block {
    fn device_id(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn features(&self) -> u64 {
        let always =
            1 << VIRTIO_BLK_F_SEG_MAX | 1 << VIRTIO_BLK_F_BLK_SIZE | 1 << VIRTIO_BLK_F_FLUSH;
        let writing = 1 << VIRTIO_BLK_F_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES;
        always | if self.disk.is_read_only() { 1 << VIRTIO_BLK_F_RO } else { writing }
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn accept(&mut self, features: u64) {
        self.write_through = features & 1 << VIRTIO_BLK_F_FLUSH == 0;
    }

    fn handle(&mut self, memory: &GuestMemoryMmap, descriptors: &[Descriptor]) -> u32 {
        // Nowhere to say anything.
        let Some(status_address) = status_address(descriptors) else { return 0 };
        let mut written = 0;
        let result = if is_broken(descriptors) {
            Err(Failure::Io)
        } else {
            self.request(memory, descriptors, &mut written)
        };
        let status = match result {
            Ok(()) => VIRTIO_BLK_S_OK,
            Err(Failure::Io) => VIRTIO_BLK_S_IOERR,
            Err(Failure::Unsupported) => VIRTIO_BLK_S_UNSUPP,
        };
        memory.write_obj(status as u8, status_address).map_or(0, |()| written as u32 + 1)
    }

    /// A read that fits the buffer, of what is in the host's page cache. Writes are not asked about:
    /// common file systems can't tell whether they would wait.
    fn handle_at_once(
        &mut self,
        memory: &GuestMemoryMmap,
        descriptors: &[Descriptor],
    ) -> Option<u32> {
        let status_address = status_address(descriptors).filter(|_| !is_broken(descriptors))?;
        let Request { kind, sector, mut data, .. } = Request::new(memory, descriptors).ok()?;
        if kind != VIRTIO_BLK_T_IN {
            return None;
        }
        let (bytes, offset) = (data.left(), self.start(sector, data.left()).ok()?);
        let buffer = self.buffer.get_mut(..usize::try_from(bytes).ok()?)?;
        if !self.disk.read_at_once(buffer, offset) {
            return None;
        }
        data.write(buffer).ok()?;
        memory.write_obj(VIRTIO_BLK_S_OK as u8, status_address).ok()?;
        Some(bytes as u32 + 1)
    }
}

/// A request of a well-formed chain.
struct Request<'a> {
    kind: u32,
    sector: u64,
    /// What follows its header.
    input: Buffers<'a>,
    /// Where its data go.
    data: Buffers<'a>,
}

impl<'a> Request<'a> {
    fn new(memory: &'a GuestMemoryMmap, descriptors: &'a [Descriptor]) -> Result<Self, Failure> {
        let mut input = Buffers::readable(memory, descriptors)?;
        let mut data = Buffers::writable(memory, descriptors)?;
        // The status.
        data.shorten(1)?;
        let kind = u32::from_le_bytes(input.read_array()?);
        let _reserved: [u8; 4] = input.read_array()?;
        let sector = u64::from_le_bytes(input.read_array()?);
        Ok(Self { kind, sector, input, data })
    }
}

/// Whether the chain loops, or leads out of its table or RAM.
fn is_broken(descriptors: &[Descriptor]) -> bool {
    descriptors.last().is_some_and(Descriptor::has_next)
}

/// The request's status byte: the last that the device may write.
fn status_address(descriptors: &[Descriptor]) -> Option<GuestAddress> {
    let last = descriptors.iter().rfind(|one| one.is_write_only() && one.len() > 0)?;
    last.addr().checked_add(u64::from(last.len()) - 1)
}
