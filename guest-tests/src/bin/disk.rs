//! A disk keeps what is written to it, request by request and with several in flight, tells of
//! each through its interrupt line, and refuses what lies behind its end (Virtio 1.2, "Block Device").

//@ disk: 1M

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::disk::{self, BlkReq, BlkResp, Disk, Error, RespStatus, SECTOR_SIZE};
use guest_tests::device::{apic, halt_until, io_apic, pic};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const SECTORS: usize = 2048;
const VECTOR: u8 = 0x50;
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

fn done(_: &mut Frame) {
    INTERRUPTS.fetch_add(1, Relaxed);
    apic::end_of_interrupt();
}

/// Bytes that differ from sector to sector.
fn pattern(sector: usize, count: usize) -> Vec<u8> {
    (sector * SECTOR_SIZE..(sector + count) * SECTOR_SIZE)
        .map(|n| (n ^ n >> 7 ^ n >> 13) as u8)
        .collect()
}

fn main() {
    let (mut disk, pin) = disk::find().expect("there is a disk");
    check_eq!(disk.capacity(), SECTORS as u64, "sectors");
    assert!(!disk.readonly());

    let mut buffer = vec![0xff; 8 * SECTOR_SIZE];
    disk.read_blocks(5, &mut buffer).expect("a new disk can be read");
    assert!(buffer.iter().all(|&byte| byte == 0), "a new disk is empty");
    for (sector, count) in [(0, 1), (1, 8), (100, 64), (SECTORS - 1, 1)] {
        disk.write_blocks(sector, &pattern(sector, count)).expect("a write");
    }
    disk.flush().expect("a flush");
    for (sector, count) in [(0, 9), (100, 64), (SECTORS - 1, 1)] {
        let mut buffer = vec![0; count * SECTOR_SIZE];
        disk.read_blocks(sector, &mut buffer).expect("a read");
        assert!(buffer == pattern(sector, count), "sectors from {sector}");
    }
    let mut buffer = vec![0; 2 * SECTOR_SIZE];
    for sector in [SECTORS - 1, SECTORS, usize::MAX / SECTOR_SIZE] {
        check_eq!(disk.read_blocks(sector, &mut buffer), Err(Error::IoError), "behind the end");
        check_eq!(disk.write_blocks(sector, &buffer), Err(Error::IoError), "behind the end");
    }

    pic::init();
    apic::init();
    set_handler(VECTOR, done);
    io_apic::redirect(pin, VECTOR.into());
    let _ = disk.ack_interrupt();
    disk.enable_interrupts();
    several_in_flight(&mut disk);
}

/// Four reads at once; the guest sleeps until the disk says that one is there.
fn several_in_flight(disk: &mut Disk) {
    let mut requests: Vec<BlkReq> = (0..4).map(|_| BlkReq::default()).collect();
    let mut responses: Vec<BlkResp> = (0..4).map(|_| BlkResp::default()).collect();
    let mut buffers = vec![[0; 2 * SECTOR_SIZE]; 4];
    let sectors = [100, 6, 0, 140];
    let mut tokens = [0; 4];
    for (index, token) in tokens.iter_mut().enumerate() {
        let (request, response) = (&mut requests[index], &mut responses[index]);
        // SAFETY: what the request names stays where it is until the request is complete.
        let begun =
            unsafe { disk.read_blocks_nb(sectors[index], request, &mut buffers[index], response) };
        *token = begun.expect("there is room in the queue");
    }
    let mut left = tokens.len();
    while left > 0 {
        halt_until(|| INTERRUPTS.swap(0, Relaxed) > 0);
        let _ = disk.ack_interrupt();
        while let Some(used) = disk.peek_used() {
            let index = tokens.iter().position(|&token| token == used).expect("a token of ours");
            let (request, response) = (&requests[index], &mut responses[index]);
            // SAFETY: the same request, response and buffer as it was begun with.
            let completed =
                unsafe { disk.complete_read_blocks(used, request, &mut buffers[index], response) };
            completed.expect("a read");
            check_eq!(response.status(), RespStatus::OK, "status");
            assert!(buffers[index][..] == pattern(sectors[index], 2), "request {index}");
            left -= 1;
        }
    }
}
