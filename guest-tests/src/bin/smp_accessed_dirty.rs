//! Accessed and dirty flags under real parallelism (SDM, "Accessed and Dirty Flags"): processors set
//! them in entries that another changes at the same time by locked instructions. No change is lost, and
//! no flag is missing.
//@ cpus: 3
//@ stdout: no change was lost, no flag was missing

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use guest_tests::paging::{self, Flags, KERNEL, Level, PAGE, TEST_AREA};
use guest_tests::smp::team;
use guest_tests::{bench, check_eq, println};

guest_tests::entry!(main);

const PAGES: u64 = 8;
/// The lowest bit of an entry that is ignored by the processor: bits 52 and above.
const COUNT_ONE: u64 = 1 << 52;
const COUNT_BITS: u64 = 0x7f << 52;
const ACCESSED: u64 = Flags::ACCESSED.bits();
const DIRTY: u64 = Flags::DIRTY.bits();

fn main() {
    let rounds = bench::argument("rounds", 2_000);
    for page in 0..PAGES {
        paging::map_new(TEST_AREA + page * PAGE, KERNEL);
    }
    let entry = |page: u64| {
        let entry = paging::entry(TEST_AREA + page * PAGE, Level::Page4K);
        // SAFETY: the entry is 8 aligned bytes that live as long as the guest.
        unsafe { AtomicU64::from_ptr(entry) }
    };
    let done = AtomicBool::new(false);
    team::run(3, &|cpu| match cpu {
        0 => {
            for round in 0..rounds {
                // Counts in the ignored bits, and clears the flags.
                let change = |old: u64| {
                    let count = old.wrapping_add(COUNT_ONE) & COUNT_BITS;
                    Some(old & !(COUNT_BITS | ACCESSED | DIRTY) | count)
                };
                let changed = entry(round % PAGES);
                let _ = changed.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
            }
            done.store(true, Ordering::Release);
        }
        _ => {
            while !done.load(Ordering::Acquire) {
                for page in 0..PAGES {
                    let linear = TEST_AREA + page * PAGE;
                    paging::flush(linear);
                    // SAFETY: the page is mapped, and this word is this processor's alone.
                    unsafe { (linear as *mut u64).add(cpu).write_volatile(page) };
                }
            }
            // Nobody clears flags any more: each access leaves its own.
            for page in 0..PAGES {
                let linear = TEST_AREA + page * PAGE;
                paging::flush(linear);
                // SAFETY: as above.
                unsafe { (linear as *mut u64).add(cpu).write_volatile(page) };
                let flags = entry(page).load(Ordering::Acquire) & (ACCESSED | DIRTY);
                check_eq!(flags, ACCESSED | DIRTY, "the flags of page {page}");
            }
        }
    });
    for page in 0..PAGES {
        let count = rounds / PAGES + u64::from(page < rounds % PAGES);
        let found = (entry(page).load(Ordering::Relaxed) & COUNT_BITS) / COUNT_ONE;
        check_eq!(found, count & 0x7f, "the changes of page {page}");
    }
    println!("no change was lost, no flag was missing");
}
