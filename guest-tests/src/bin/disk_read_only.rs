//! A read-only disk says so, is read, and refuses to be written (Virtio 1.2, VIRTIO_BLK_F_RO).

//@ disk: 64K,ro

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::device::disk::{self, Error, SECTOR_SIZE};

guest_tests::entry!(main);

fn main() {
    let (mut disk, _) = disk::find().expect("there is a disk");
    assert!(disk.readonly());
    let mut buffer = [0xff; SECTOR_SIZE];
    disk.read_blocks(127, &mut buffer).expect("a read");
    check_eq!(disk.write_blocks(127, &[1; SECTOR_SIZE]), Err(Error::IoError), "a write");
    disk.read_blocks(127, &mut buffer).expect("a read");
    assert!(buffer.iter().all(|&byte| byte == 0), "nothing was written");
}
