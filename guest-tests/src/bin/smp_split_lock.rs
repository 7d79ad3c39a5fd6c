//! A locked operation is atomic at any address (SDM, LOCK): within a window of 8 and of 16 bytes, across
//! cache lines and across pages, also where the pages do not follow each other in memory; and it undoes
//! no plain store beside its operand.
//@ cpus: 2
//@ stdout: every sum is exact

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA};
use guest_tests::smp::team;
use guest_tests::{bench, check_eq, println};

guest_tests::entry!(main);

/// Where the operands are in two pages that do not follow each other in physical memory.
const PLACES: [u64; 9] = [0, 1, 5, 7, 13, 61, PAGE - 8, PAGE - 3, PAGE - 1];

fn main() {
    let rounds = bench::argument("rounds", 500);
    let frames = paging::frames(3, PAGE);
    let area = TEST_AREA as *mut u8;
    paging::map(TEST_AREA, frames, paging::Level::Page4K, KERNEL);
    paging::map(TEST_AREA + PAGE, frames + 2 * PAGE, paging::Level::Page4K, KERNEL);
    for place in PLACES {
        // SAFETY: the operand is within the two pages.
        unsafe { area.add(place as usize).cast::<u64>().write_unaligned(0) };
        team::run(2, &|cpu| {
            let operand = TEST_AREA + place;
            for round in 0..rounds {
                add(operand, 1 + cpu as u64);
                if cpu == 1 {
                    // The byte behind the operand is this processor's alone.
                    keep(operand + 4, round as u8);
                }
            }
        });
        // SAFETY: as above.
        let sum = unsafe { area.add(place as usize).cast::<u32>().read_unaligned() };
        check_eq!(u64::from(sum), 3 * rounds, "the sum at {place:#x}");
    }
    println!("every sum is exact");
}

/// LOCK ADD of 4 bytes.
fn add(operand: u64, number: u64) {
    // SAFETY: the operand is mapped, and nothing else in Rust knows it.
    unsafe { asm!("lock add [{}], {1:e}", in(reg) operand, in(reg) number, options(nostack)) };
}

/// Stores a byte, and looks whether it stays.
fn keep(address: u64, byte: u8) {
    let pointer = address as *mut u8;
    // SAFETY: as above.
    unsafe {
        pointer.write_volatile(byte);
        (0..10).for_each(|_| check_eq!(pointer.read_volatile(), byte, "beside a locked operand"));
    }
}
