//! Port writes, each of which leaves the processor for a device: the scratch register of the serial
//! port, which keeps what is written and does nothing else.
//@ stdout: checksum 00b8a5bd5cece8ce
//@ bench: rounds=20000000
//@ bench-target: 3.0

#![no_std]
#![no_main]

use guest_tests::bench::{Checksum, argument};
use guest_tests::device::port;

guest_tests::entry!(main);

/// COM1's scratch register.
const SCRATCH: u16 = 0x3ff;

fn main() {
    let mut checksum = Checksum::default();
    for round in 0..argument("rounds", 10_007) {
        port::write(SCRATCH, round as u8);
    }
    checksum.add(port::read::<u8>(SCRATCH).into());
    checksum.print();
}
