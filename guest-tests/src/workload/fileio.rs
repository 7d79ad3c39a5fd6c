//! `fileio`: blocks of a disk are read and written, one after another or in no order, with and without
//! a flush after each write, as in sysbench's test of the same name. One event is a block.

use super::measure::{self, checksum, mix};
use super::{Disk, Effort, Machine, Report};
use alloc::vec;
use alloc::vec::Vec;

const BLOCK: usize = 16 << 10;
const CYCLE: usize = 64;
/// How much of the disk is used at most.
const LIMIT: u64 = 64 << 20;

/// A variant: name, whether blocks follow each other, whether they are written, and then flushed.
type Variant = (&'static str, bool, bool, bool);

const VARIANTS: &[Variant] = &[
    ("fileio.write.sequential", true, true, false),
    ("fileio.write.random", false, true, false),
    ("fileio.write.random.flush", false, true, true),
    ("fileio.read.sequential", true, false, false),
    ("fileio.read.random", false, false, false),
];

pub(super) fn run(machine: &dyn Machine, effort: Effort) -> Vec<Report> {
    let Some(disk) = machine.disk() else { return Vec::new() };
    let blocks = disk.bytes().min(LIMIT) / BLOCK as u64;
    assert!(blocks >= CYCLE as u64, "the disk is too small: it needs a mebibyte");
    let effort = Effort { duration_ns: effort.duration_ns / VARIANTS.len() as u64, ..effort };
    let mut buffer = vec![0; BLOCK];
    let variant = |&(name, sequential, write, flush): &Variant| {
        measure::alone(machine, effort, name, CYCLE, |number| {
            let block = number as u64;
            let spread = block * 37 % CYCLE as u64 * (blocks / CYCLE as u64);
            let place = if sequential { block } else { spread };
            if write {
                write_block(disk, place, number, &mut buffer);
            } else {
                disk.read(place * BLOCK as u64, &mut buffer);
            }
            if flush {
                disk.flush();
            }
            fingerprint(&buffer)
        })
    };
    VARIANTS.iter().map(variant).collect()
}

fn write_block(disk: &dyn Disk, place: u64, number: usize, buffer: &mut [u8]) {
    for (index, word) in buffer.chunks_exact_mut(512).enumerate() {
        word[..8].copy_from_slice(&mix((number << 16 | index) as u64).to_le_bytes());
    }
    disk.write(place * BLOCK as u64, buffer);
}

/// Of the words in which blocks differ.
fn fingerprint(block: &[u8]) -> u64 {
    let mut words = [0; BLOCK / 512];
    for (word, sector) in words.iter_mut().zip(block.chunks_exact(512)) {
        *word = u64::from_le_bytes(sector[..8].try_into().unwrap_or_default());
    }
    checksum(&words)
}
