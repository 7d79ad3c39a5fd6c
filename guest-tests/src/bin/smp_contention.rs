//! More processors than the host has cores contend for a few words: locked counters of every width,
//! CMPXCHG16B, a spin lock, a ticket lock. Nothing is lost, and nobody stands still for long.
//@ cpus: 6
//@ stdout: counters: exact
//@ stdout: cmpxchg16b: exact
//@ stdout: spin lock: exact
//@ stdout: ticket lock: exact

#![no_std]
#![no_main]

use core::arch::asm;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use guest_tests::smp::{self, team};
use guest_tests::{bench, check_eq, println};

guest_tests::entry!(main);

/// A number without atomic accesses.
struct Plain(UnsafeCell<u64>);

// SAFETY: who accesses it holds a lock.
unsafe impl Sync for Plain {}

impl Plain {
    const fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.get().read_volatile() }
    }

    fn increment(&self) {
        // SAFETY: as above.
        unsafe { self.0.get().write_volatile(self.get() + 1) };
    }
}

fn main() {
    let rounds = bench::argument("rounds", 2_000);
    let cpus = smp::count();
    let total = rounds * cpus as u64;

    let counters = (AtomicU16::new(0), AtomicU32::new(0), AtomicU64::new(0));
    team::run(cpus, &|_| {
        for _ in 0..rounds {
            counters.0.fetch_add(1, Ordering::Relaxed);
            counters.1.fetch_add(3, Ordering::Relaxed);
            let old = counters.2.fetch_sub(1, Ordering::Relaxed);
            assert!(old.wrapping_neg() < total, "counted twice");
        }
    });
    check_eq!(u64::from(counters.0.into_inner()), total & 0xffff);
    check_eq!(u64::from(counters.1.into_inner()), 3 * total);
    check_eq!(counters.2.into_inner(), total.wrapping_neg());
    println!("counters: exact");

    let mut pair = Pair([0; 2]);
    let address = (&raw mut pair) as u64;
    team::run(cpus, &|_| (0..rounds).for_each(|_| increment_pair(address as *mut Pair)));
    check_eq!(pair.0, [total, 3 * total]);
    println!("cmpxchg16b: exact");

    let (lock, count) = (AtomicBool::new(false), Plain::new());
    team::run(cpus, &|_| {
        for _ in 0..rounds {
            while lock.swap(true, Ordering::Acquire) {
                while lock.load(Ordering::Relaxed) {
                    spin_loop();
                }
            }
            count.increment();
            lock.store(false, Ordering::Release);
        }
    });
    check_eq!(count.get(), total);
    println!("spin lock: exact");

    // Strictly in turn: a holder whose thread does not run holds up all others, so fewer rounds.
    let rounds = rounds / 20;
    let (next, serving, count) = (AtomicU32::new(0), AtomicU32::new(0), Plain::new());
    team::run(cpus, &|_| {
        for _ in 0..rounds {
            let ticket = next.fetch_add(1, Ordering::Relaxed);
            while serving.load(Ordering::Acquire) != ticket {
                spin_loop();
            }
            count.increment();
            serving.store(ticket.wrapping_add(1), Ordering::Release);
        }
    });
    check_eq!(count.get(), rounds * cpus as u64);
    println!("ticket lock: exact");
}

#[repr(align(16))]
struct Pair([u64; 2]);

/// Adds 1 and 3 by CMPXCHG16B.
fn increment_pair(pair: *mut Pair) {
    // SAFETY: the pair is aligned, and RBX is put back.
    unsafe {
        asm!(
            "mov {rbx}, rbx",
            "mov rax, [rdi]",
            "mov rdx, [rdi + 8]",
            "2: lea rbx, [rax + 1]",
            "lea rcx, [rdx + 3]",
            "lock cmpxchg16b [rdi]",
            "jne 2b",
            "mov rbx, {rbx}",
            rbx = out(reg) _,
            in("rdi") pair,
            out("rax") _,
            out("rcx") _,
            out("rdx") _,
            options(nostack),
        )
    };
}
