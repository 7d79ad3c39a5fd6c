//! What the disk says is flushed stays, whatever becomes of the machine afterwards: each round writes
//! its number to one of a ring of sectors, flushes, and says so. `rounds=` makes it go on until it is
//! killed, as the test of durability does.

//@ disk: 64K
//@ stdout-contains: flushed 8

#![no_std]
#![no_main]

use guest_tests::device::disk::{self, SECTOR_SIZE};
use guest_tests::{bench, check_eq, println};

guest_tests::entry!(main);

fn main() {
    let (mut disk, _) = disk::find().expect("there is a disk");
    for round in 1..=bench::argument("rounds", 8) {
        let sector = (round % disk.capacity()) as usize;
        let mut block = [0; SECTOR_SIZE];
        block[..8].copy_from_slice(&round.to_le_bytes());
        disk.write_blocks(sector, &block).expect("a write");
        disk.flush().expect("a flush");
        println!("flushed {round}");
        let mut found = [0; SECTOR_SIZE];
        disk.read_blocks(sector, &mut found).expect("a read");
        check_eq!(found[..8], block[..8], "what was written");
    }
}
