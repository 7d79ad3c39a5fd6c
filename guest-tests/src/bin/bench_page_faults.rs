//! A storm of page faults: each page is mapped when it is first touched, as a kernel maps its heap,
//! and all are taken away again after a round.
//@ stdout: checksum 14d5834f0b4acd29
//@ bench: rounds=1200
//@ bench-target: 3.0

#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::bench::{Checksum, argument};
use guest_tests::interrupt::{Frame, set_handler, vector};
use guest_tests::paging::{self, KERNEL, Level, PAGE, TEST_AREA};

guest_tests::entry!(main);

/// Pages that are touched in a round.
const PAGES: u64 = 512;

/// The physical address of the frames that back them, the first for the first.
static FRAMES: AtomicU64 = AtomicU64::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);

fn main() {
    FRAMES.store(paging::frames(PAGES, PAGE), Relaxed);
    set_handler(vector::PF, map);
    let mut checksum = Checksum::default();
    for round in 0..argument("rounds", 4) {
        for page in 0..PAGES {
            // In an order with strides, so that neighbours do not follow one another.
            let place = TEST_AREA + page * 211 % PAGES * PAGE + page * 8 % PAGE;
            // SAFETY: the handler maps the page, which nothing else uses.
            unsafe { black_box(place as *mut u64).write_volatile(round + page) };
        }
        for page in (0..PAGES).step_by(31) {
            let place = TEST_AREA + page * 211 % PAGES * PAGE + page * 8 % PAGE;
            // SAFETY: mapped and written just now.
            checksum.add(unsafe { (place as *const u64).read_volatile() });
        }
        (0..PAGES).for_each(|page| paging::unmap(TEST_AREA + page * PAGE, Level::Page4K));
    }
    checksum.add(FAULTS.load(Relaxed));
    checksum.print();
}

fn map(frame: &mut Frame) {
    let offset = frame.cr2.wrapping_sub(TEST_AREA);
    assert!(offset < PAGES * PAGE, "a stray fault: {frame}");
    let page = offset & !(PAGE - 1);
    paging::map(TEST_AREA + page, FRAMES.load(Relaxed) + page, Level::Page4K, KERNEL);
    FAULTS.fetch_add(1, Relaxed);
}
