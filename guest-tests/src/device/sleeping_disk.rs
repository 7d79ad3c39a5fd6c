//! A disk whose requests are waited for asleep, as operating systems wait: `virtio-drivers`' own driver
//! spins, which measures how a machine likes that and not its disk.
//!
//! For the bootstrap processor, whose interrupts are on only while it waits.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bitflags::bitflags;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::mmio::MmioTransport;

use super::disk::{self, Identity, SECTOR_SIZE};
use super::{apic, halt_until, io_apic};
use crate::interrupt::{Frame, set_handler};

const VECTOR: u8 = 0x62;
/// The device's only queue, and how many requests there can be in it.
const QUEUE: u16 = 0;
const ENTRIES: usize = 4;

const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;

static DONE: AtomicBool = AtomicBool::new(false);

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        /// VIRTIO_BLK_F_FLUSH: what is not flushed may be lost.
        const FLUSH = 1 << 9;
        const VERSION_1 = 1 << 32;
    }
}

/// A disk's driver.
pub struct SleepingDisk {
    transport: MmioTransport<'static>,
    queue: VirtQueue<Identity, ENTRIES>,
    sectors: u64,
}

fn done(_: &mut Frame) {
    DONE.store(true, Relaxed);
    apic::end_of_interrupt();
}

impl SleepingDisk {
    /// The first disk, with its interrupts brought to this processor.
    pub fn find() -> Option<Self> {
        let (mut transport, pin) = disk::find_transport()?;
        transport.begin_init(Features::FLUSH | Features::VERSION_1);
        let queue = VirtQueue::new(&mut transport, QUEUE, false, false).ok()?;
        transport.finish_init();
        let half = |offset| transport.read_config_space::<u32>(offset).map(u64::from).ok();
        let sectors = half(0)? | half(4)? << 32;
        set_handler(VECTOR, done);
        io_apic::redirect(pin, VECTOR.into());
        Some(Self { transport, queue, sectors })
    }

    /// Its size.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Reads all of `buffer`, whole sectors.
    ///
    /// Panics if it can't be read.
    pub fn read(&mut self, sector: u64, buffer: &mut [u8]) {
        self.request(READ, sector, &[], buffer);
    }

    /// Writes all of `bytes`, whole sectors.
    ///
    /// Panics if they can't be written.
    pub fn write(&mut self, sector: u64, bytes: &[u8]) {
        self.request(WRITE, sector, bytes, &mut []);
    }

    /// Returns when what was written would survive a loss of power.
    ///
    /// Panics if it would not.
    pub fn flush(&mut self) {
        self.request(FLUSH, 0, &[], &mut []);
    }

    fn request(&mut self, kind: u32, sector: u64, input: &[u8], output: &mut [u8]) {
        debug_assert!((input.len() | output.len()).is_multiple_of(SECTOR_SIZE));
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        let mut status = [u8::MAX];
        match (input.is_empty(), output.is_empty()) {
            (true, true) => self.exchange(&[&header], &mut [&mut status]),
            (false, _) => self.exchange(&[&header, input], &mut [&mut status]),
            (true, false) => self.exchange(&[&header], &mut [output, &mut status]),
        }
        assert!(status == [0], "request {kind} at sector {sector} ended with status {status:?}");
    }

    /// One request, from its place in the queue to its return.
    fn exchange<'a>(&mut self, inputs: &'a [&'a [u8]], outputs: &'a mut [&'a mut [u8]]) {
        // SAFETY: the buffers are borrowed until the request has returned.
        let token = unsafe { self.queue.add(inputs, outputs) }.expect("there is room");
        self.transport.notify(QUEUE);
        while !self.queue.can_pop() {
            halt_until(|| DONE.swap(false, Relaxed));
            let _ = self.transport.ack_interrupt();
        }
        // SAFETY: the same buffers.
        unsafe { self.queue.pop_used(token, inputs, outputs) }.expect("it is the only one");
    }
}
