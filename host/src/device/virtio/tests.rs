//! The disk as a driver meets it, with a driver of the tests' own: its ring, its requests, and what
//! a broken or hostile one can't do.

use std::fs::File;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::NamedTempFile;
use virtio_bindings::virtio_blk::*;
use virtio_bindings::virtio_mmio::*;

use super::disk::Disk;
use super::{Block, VirtioMmio};
use crate::device::test_bench::Bench;
use crate::device::{Device, Line};
use crate::memory::{GuestRam, layout};
use crate::remote::Remote;

const LINE: Line = Line(5);
const ENTRIES: u16 = 16;
const TABLE: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const HEADER: u64 = 0x4000;
const DATA: u64 = 0x5000;
const STATUS: u64 = 0x4100;
const SECTORS: u64 = 64;
/// A status byte that no device writes.
const UNTOUCHED: u8 = 0xee;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

const VERSION_1: u64 = 1 << 32;
const FLUSH: u64 = 1 << VIRTIO_BLK_F_FLUSH;

/// A driver and its disk.
struct Driver {
    bench: Bench<VirtioMmio>,
    ram: Arc<GuestRam>,
    image: NamedTempFile,
    available: u16,
}

/// A descriptor: address, length, flags, next.
type Entry = (u64, u32, u16, u16);

impl Driver {
    fn new() -> Self {
        Self::with(|image| Disk::open(image.path(), false).unwrap(), None)
    }

    fn with(open: impl Fn(&NamedTempFile) -> Disk, remote: Option<Remote>) -> Self {
        let image = NamedTempFile::new().unwrap();
        image.as_file().set_len(SECTORS * 512).unwrap();
        let ram = Arc::new(GuestRam::new(layout::MIN_RAM_BYTES).unwrap());
        let block = Block::new(Arc::new(open(&image)), "serial".into());
        let device = VirtioMmio::new(block, LINE, Arc::clone(&ram), remote);
        let mut driver = Self { bench: Bench::new(device), ram, image, available: 0 };
        driver.start(VERSION_1 | FLUSH);
        driver
    }

    fn get(&mut self, register: u32) -> u32 {
        self.bench.with(|device, context| device.read(register as u16, 4, context)) as u32
    }

    fn set(&mut self, register: u32, value: u32) {
        self.bench.with(|device, context| device.write(register as u16, 4, value.into(), context));
    }

    /// What a driver does first, up to DRIVER_OK.
    fn start(&mut self, features: u64) {
        self.available = 0;
        self.ram.write(AVAILABLE, &[0; 4]).unwrap();
        self.ram.write(USED, &[0; 4]).unwrap();
        self.set(VIRTIO_MMIO_STATUS, 0);
        self.set(VIRTIO_MMIO_STATUS, 1 | 2);
        for half in [0, 1] {
            self.set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
            self.set(VIRTIO_MMIO_DRIVER_FEATURES, (features >> (32 * half)) as u32);
        }
        self.set(VIRTIO_MMIO_STATUS, 1 | 2 | 8);
        self.set(VIRTIO_MMIO_QUEUE_SEL, 0);
        self.set(VIRTIO_MMIO_QUEUE_NUM, ENTRIES.into());
        self.set(VIRTIO_MMIO_QUEUE_DESC_LOW, TABLE as u32);
        self.set(VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAILABLE as u32);
        self.set(VIRTIO_MMIO_QUEUE_USED_LOW, USED as u32);
        self.set(VIRTIO_MMIO_QUEUE_READY, 1);
        self.set(VIRTIO_MMIO_STATUS, 1 | 2 | 8 | 4);
    }

    fn describe(&self, table: u64, entries: &[Entry]) {
        for (index, (address, length, flags, next)) in (0u64..).zip(entries) {
            let mut bytes = address.to_le_bytes().to_vec();
            bytes.extend(length.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(next.to_le_bytes());
            self.ram.write(table + 16 * index, &bytes).unwrap();
        }
    }

    fn put_header(&self, kind: u32, sector: u64) {
        self.ram.write(HEADER, &kind.to_le_bytes()).unwrap();
        self.ram.write(HEADER + 4, &[0; 4]).unwrap();
        self.ram.write(HEADER + 8, &sector.to_le_bytes()).unwrap();
        self.ram.write(STATUS, &[UNTOUCHED]).unwrap();
    }

    /// Makes descriptor 0 available and notifies.
    fn submit(&mut self) {
        let slot = AVAILABLE + 4 + 2 * u64::from(self.available % ENTRIES);
        self.ram.write(slot, &0u16.to_le_bytes()).unwrap();
        self.available += 1;
        self.ram.write(AVAILABLE + 2, &self.available.to_le_bytes()).unwrap();
        self.set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    }

    fn status(&self) -> u8 {
        let mut status = [0];
        self.ram.read(STATUS, &mut status).unwrap();
        status[0]
    }

    /// One request with `length` bytes of data at [`DATA`].
    fn request(&mut self, kind: u32, sector: u64, length: u32) -> u8 {
        let direction =
            if matches!(kind, VIRTIO_BLK_T_IN | VIRTIO_BLK_T_GET_ID) { WRITE } else { 0 };
        self.put_header(kind, sector);
        self.describe(
            TABLE,
            &[(HEADER, 16, NEXT, 1), (DATA, length, NEXT | direction, 2), (STATUS, 1, WRITE, 0)],
        );
        self.submit();
        self.status()
    }

    fn chain(&mut self, entries: &[Entry]) -> u8 {
        self.put_header(VIRTIO_BLK_T_IN, 0);
        self.describe(TABLE, entries);
        self.submit();
        self.status()
    }

    /// How many requests the device has returned, and how many bytes it has written for the last.
    fn used(&self) -> (u16, u32) {
        let mut index = [0; 2];
        self.ram.read(USED + 2, &mut index).unwrap();
        let index = u16::from_le_bytes(index);
        let mut length = [0; 4];
        let slot = u64::from(index.wrapping_sub(1) % ENTRIES);
        self.ram.read(USED + 4 + 8 * slot + 4, &mut length).unwrap();
        (index, u32::from_le_bytes(length))
    }

    fn data(&self, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        self.ram.read(DATA, &mut data).unwrap();
        data
    }
}

const OK: u8 = VIRTIO_BLK_S_OK as u8;
const IO_ERROR: u8 = VIRTIO_BLK_S_IOERR as u8;
const UNSUPPORTED: u8 = VIRTIO_BLK_S_UNSUPP as u8;

#[test]
fn the_registers_say_what_it_is() {
    let mut driver = Driver::new();
    assert_eq!(driver.get(VIRTIO_MMIO_MAGIC_VALUE), 0x7472_6976);
    assert_eq!(driver.get(VIRTIO_MMIO_VERSION), 2);
    assert_eq!(driver.get(VIRTIO_MMIO_DEVICE_ID), 2);
    assert_eq!(driver.get(VIRTIO_MMIO_CONFIG), SECTORS as u32);
    assert_eq!(driver.get(VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
    driver.set(VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_eq!(driver.get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
}

#[test]
fn features_that_are_not_offered_or_not_virtio_1_are_refused() {
    let mut driver = Driver::new();
    for (features, accepted) in [(VERSION_1, true), (FLUSH, false), (VERSION_1 | 1 << 12, false)] {
        driver.start(features);
        assert_eq!(driver.get(VIRTIO_MMIO_STATUS) & 8 != 0, accepted, "{features:#x}");
    }
}

#[test]
fn what_was_written_is_read_and_is_in_the_file() {
    let mut driver = Driver::new();
    let bytes: Vec<u8> = (0..1024u32).map(|n| ((n * 7) >> 3) as u8).collect();
    driver.ram.write(DATA, &bytes).unwrap();
    assert_eq!(driver.request(VIRTIO_BLK_T_OUT, 3, 1024), OK);
    assert_eq!(driver.used(), (1, 1));
    assert_eq!(driver.request(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
    driver.ram.write(DATA, &[0; 1024]).unwrap();
    assert_eq!(driver.request(VIRTIO_BLK_T_IN, 3, 1024), OK);
    assert_eq!(driver.used(), (3, 1025));
    assert_eq!(driver.data(1024), bytes);
    let file = std::fs::read(driver.image.path()).unwrap();
    assert_eq!(&file[3 * 512..5 * 512], bytes);
    assert!(driver.bench.take_interrupt(LINE));
}

#[test]
fn the_interrupt_line_falls_when_it_is_acknowledged() {
    let mut driver = Driver::new();
    assert_eq!(driver.request(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
    assert_eq!(driver.get(VIRTIO_MMIO_INTERRUPT_STATUS), 1);
    assert!(driver.bench.take_interrupt(LINE));
    driver.set(VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_eq!(driver.get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_eq!(driver.request(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
    assert!(driver.bench.take_interrupt(LINE));
}

#[test]
fn it_tells_its_identity() {
    let mut driver = Driver::new();
    assert_eq!(driver.request(VIRTIO_BLK_T_GET_ID, 0, 20), OK);
    assert_eq!(driver.data(20), b"serial\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn impossible_requests_fail() {
    let mut driver = Driver::new();
    for (kind, sector, length, status) in [
        (VIRTIO_BLK_T_IN, SECTORS, 512, IO_ERROR),
        (VIRTIO_BLK_T_IN, SECTORS - 1, 1024, IO_ERROR),
        (VIRTIO_BLK_T_OUT, u64::MAX, 512, IO_ERROR),
        (VIRTIO_BLK_T_IN, 0, 100, IO_ERROR),
        // Longer than a chain may be, so it ends before the status.
        (VIRTIO_BLK_T_IN, 0, u32::MAX, UNTOUCHED),
        (99, 0, 512, UNSUPPORTED),
        (VIRTIO_BLK_T_DISCARD, 0, 15, IO_ERROR),
        (VIRTIO_BLK_T_IN, SECTORS - 1, 512, OK),
    ] {
        assert_eq!(driver.request(kind, sector, length), status, "{kind} {sector} {length}");
    }
    assert_eq!(driver.used().0, 8);
}

#[test]
fn discarded_and_zeroed_sectors_read_zeros() {
    for (kind, flags) in [
        (VIRTIO_BLK_T_DISCARD, 0u32),
        (VIRTIO_BLK_T_WRITE_ZEROES, 0),
        (VIRTIO_BLK_T_WRITE_ZEROES, 1),
    ] {
        let mut driver = Driver::new();
        std::fs::write(driver.image.path(), [7; SECTORS as usize * 512]).unwrap();
        let mut range = 8u64.to_le_bytes().to_vec();
        range.extend(16u32.to_le_bytes());
        range.extend(flags.to_le_bytes());
        driver.ram.write(DATA, &range).unwrap();
        assert_eq!(driver.request(kind, 0, 16), OK);
        let file = std::fs::read(driver.image.path()).unwrap();
        assert_eq!(&file[8 * 512..24 * 512], [0; 16 * 512], "{kind}");
        assert!(file[..8 * 512].iter().chain(&file[24 * 512..]).all(|&byte| byte == 7));
    }
}

#[test]
fn a_read_only_disk_is_not_written() {
    let mut driver = Driver::with(|image| Disk::open(image.path(), true).unwrap(), None);
    driver.set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    assert_ne!(driver.get(VIRTIO_MMIO_DEVICE_FEATURES) & 1 << VIRTIO_BLK_F_RO, 0);
    assert_eq!(driver.request(VIRTIO_BLK_T_OUT, 0, 512), IO_ERROR);
    assert_eq!(driver.request(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16), IO_ERROR);
    assert_eq!(driver.request(VIRTIO_BLK_T_IN, 0, 512), OK);
}

#[test]
fn a_failing_file_is_an_error_of_the_request() {
    // Opened for reading alone, the file refuses writes as a full or broken disk does.
    let open = |image: &NamedTempFile| Disk::from_file(File::open(image.path()).unwrap(), SECTORS);
    let mut driver = Driver::with(open, None);
    assert_eq!(driver.request(VIRTIO_BLK_T_OUT, 0, 512), IO_ERROR);
    driver.image.as_file().set_len(512).unwrap();
    assert_eq!(driver.request(VIRTIO_BLK_T_IN, 1, 512), IO_ERROR);
    assert_eq!(driver.request(VIRTIO_BLK_T_IN, 0, 512), OK);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_of_the_request() {
    // Every write to this file finds no space left; reads give zeros.
    let full = || File::options().read(true).write(true).open("/dev/full").unwrap();
    let mut driver = Driver::with(|_| Disk::from_file(full(), SECTORS), None);
    assert_eq!(driver.request(VIRTIO_BLK_T_OUT, 0, 512), IO_ERROR);
    assert_eq!(driver.request(VIRTIO_BLK_T_IN, 0, 512), OK);
}

#[test]
fn broken_chains_end_with_an_error() {
    let mut driver = Driver::new();
    let end = layout::MIN_RAM_BYTES;
    let status = (STATUS, 1, WRITE, 0);
    for (what, entries, expected) in [
        ("loops", &[(HEADER, 16, NEXT, 1), (STATUS, 1, WRITE | NEXT, 0)][..], IO_ERROR),
        ("leaves the table", &[(HEADER, 16, NEXT, 1), (STATUS, 1, WRITE | NEXT, 99)], IO_ERROR),
        ("header outside RAM", &[(end, 16, NEXT, 1), status], IO_ERROR),
        (
            "data outside RAM",
            &[(HEADER, 16, NEXT, 1), (end - 16, 512, WRITE | NEXT, 2), status],
            IO_ERROR,
        ),
        ("header too short", &[(HEADER, 8, NEXT, 1), status], IO_ERROR),
        ("no status", &[(HEADER, 16, 0, 0)], UNTOUCHED),
        ("status outside RAM", &[(HEADER, 16, NEXT, 1), (end, 1, WRITE, 0)], UNTOUCHED),
        ("nested tables", &[(TABLE, 32, INDIRECT, 0)], UNTOUCHED),
        (
            "nothing, it is whole",
            &[(HEADER, 16, NEXT, 1), (DATA, 512, WRITE | NEXT, 2), status],
            OK,
        ),
    ] {
        let before = driver.used().0;
        assert_eq!(driver.chain(entries), expected, "{what}");
        assert_eq!(driver.used().0, before + 1, "{what}");
    }
}

#[test]
fn a_request_in_an_indirect_table_works() {
    let mut driver = Driver::new();
    driver.describe(
        0x6000,
        &[(HEADER, 16, NEXT, 1), (DATA, 512, WRITE | NEXT, 2), (STATUS, 1, WRITE, 0)],
    );
    assert_eq!(driver.chain(&[(0x6000, 48, INDIRECT, 0)]), OK);
}

#[test]
fn a_broken_ring_stops_the_device_until_its_reset() {
    let mut driver = Driver::new();
    driver.available = ENTRIES * 2;
    assert_eq!(driver.request(VIRTIO_BLK_T_FLUSH, 0, 0), UNTOUCHED);
    assert_ne!(driver.get(VIRTIO_MMIO_STATUS) & 0x40, 0);
    assert_eq!(driver.get(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    driver.start(VERSION_1);
    assert_eq!(driver.get(VIRTIO_MMIO_STATUS) & 0x40, 0);
    assert_eq!(driver.request(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
}

/// A driver whose disk has a thread.
fn threaded() -> Driver {
    let open = |image: &NamedTempFile| Disk::open(image.path(), false).unwrap();
    Driver::with(open, Some(Remote::default()))
}

/// Waits for the thread. The device says for how long a guest that waits may be woken.
fn finish(driver: &mut Driver) {
    while driver.bench.with(|device, context| device.idle(context)) {
        std::thread::yield_now();
    }
}

#[test]
fn a_thread_serves_while_the_guest_goes_on() {
    let mut driver = threaded();
    driver.request(VIRTIO_BLK_T_OUT, 0, 512);
    finish(&mut driver);
    assert_eq!((driver.status(), driver.used()), (OK, (1, 1)));
    assert!(driver.bench.take_interrupt(LINE));
}

#[test]
fn reads_are_the_same_with_the_thread_and_without() {
    let mut driver = threaded();
    let bytes: Vec<u8> = (0..2048u32).map(|n| ((n * 5) >> 2) as u8).collect();
    driver.ram.write(DATA, &bytes).unwrap();
    driver.request(VIRTIO_BLK_T_OUT, 1, 2048);
    finish(&mut driver);
    // What was just written is at the host's hand; beyond the end there is nothing to read.
    for (sector, length, status) in [(1, 2048, OK), (2, 512, OK), (SECTORS, 512, IO_ERROR)] {
        driver.ram.write(DATA, &[0; 2048]).unwrap();
        let (before, _) = driver.used();
        driver.request(VIRTIO_BLK_T_IN, sector, length);
        finish(&mut driver);
        assert_eq!((driver.status(), driver.used().0), (status, before + 1));
        if status == OK {
            let start = (sector as usize - 1) * 512;
            assert_eq!(driver.data(length as usize), bytes[start..start + length as usize]);
            assert_eq!(driver.used().1, length + 1);
        }
        assert!(driver.bench.take_interrupt(LINE));
        driver.set(VIRTIO_MMIO_INTERRUPT_ACK, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is in the registers and the rings, the device answers.
    #[test]
    fn no_guest_harms_it(
        ring in prop::collection::vec(any::<u16>(), 64),
        table in prop::collection::vec(
            (0u64..0x21_0000, any::<u32>(), any::<u16>(), 0u16..20), ENTRIES as usize),
        writes in prop::collection::vec((0u32..0x200, any::<u32>()), 0..40),
        kind in 0u32..16,
        has_thread in any::<bool>(),
    ) {
        let mut driver = if has_thread { threaded() } else { Driver::new() };
        driver.put_header(kind, 1);
        let table: Vec<Entry> =
            table.into_iter().map(|(a, length, flags, next)| (a, length & 0xffff, flags, next)).collect();
        driver.describe(TABLE, &table);
        let bytes: Vec<u8> = ring.into_iter().flat_map(u16::to_le_bytes).collect();
        driver.ram.write(AVAILABLE, &bytes).unwrap();
        driver.set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        for (register, value) in writes {
            driver.set(register & !3, value);
            driver.set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
            driver.get(register);
        }
    }
}
