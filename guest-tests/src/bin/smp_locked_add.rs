//! Locked additions by two processors, or by one beside one that counts: none is lost. In as many
//! milliseconds as the command line says, what each gets done, for `cargo xtask bench exclusive`:
//! the counter alone; both adding to one aligned word; one adding misaligned within a cache line, and
//! across two lines, beside the counter.
//@ cpus: 2
//@ append: ms=5
//@ qemu: differs: what it prints are counts of what a length of time was enough for

#![no_std]
#![no_main]

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use guest_tests::bench::argument;
use guest_tests::cpu::rdtsc;
use guest_tests::device::pit;
use guest_tests::{check_eq, println, smp};

guest_tests::entry!(main);

/// What the second processor does.
const IDLE: u64 = 0;
const COUNT: u64 = 1;
const ADD: u64 = 2;

#[repr(align(4096))]
struct Page([AtomicU8; 4096]);

static PAGE: Page = Page([const { AtomicU8::new(0) }; 4096]);
static TASK: AtomicU64 = AtomicU64::new(IDLE);
/// The task that the second processor is at.
static TAKEN: AtomicU64 = AtomicU64::new(IDLE);
static DONE: AtomicU64 = AtomicU64::new(0);

fn operand(offset: usize) -> *mut u8 {
    PAGE.0[offset].as_ptr()
}

fn add_eight(at: *mut u8) {
    // SAFETY: eight bytes of the page, which nothing but such additions touches.
    unsafe {
        asm!(
            ".rept 8", "lock add qword ptr [{at}], 1", ".endr",
            at = in(reg) at,
        );
    }
}

/// A thousand steps of the loop whose speed is to be kept.
fn count_thousand() {
    // SAFETY: registers alone.
    unsafe {
        asm!("2:", "dec {0:e}", "jnz 2b", inout(reg) 1000 => _);
    }
}

/// The second processor: its task, until it is changed; then how much of it is done.
fn second(_: usize) {
    loop {
        let task = TASK.load(Ordering::Acquire);
        TAKEN.store(task, Ordering::Release);
        let mut done = 0;
        while TASK.load(Ordering::Relaxed) == task {
            match task {
                COUNT => count_thousand(),
                ADD => add_eight(operand(0)),
                _ => spin_loop(),
            }
            done += 1;
        }
        if task != IDLE {
            DONE.store(done, Ordering::Release);
        }
    }
}

/// Ticks of the time-stamp counter in a millisecond.
fn ticks_per_ms() -> u64 {
    const MS: u64 = 20;
    let start = rdtsc();
    pit::wait((MS * u64::from(pit::FREQUENCY_HZ) / 1000) as u16);
    (rdtsc() - start) / MS
}

/// How often the first processor adds, if it does, and what the second gets done meanwhile.
fn measure(task: u64, duration: u64, at: Option<*mut u8>) -> (u64, u64) {
    DONE.store(u64::MAX, Ordering::Relaxed);
    TASK.store(task, Ordering::Release);
    // The time begins when both are there, however late the second one's turn comes.
    smp::wait_until(|| TAKEN.load(Ordering::Acquire) == task);
    let (start, mut adds) = (rdtsc(), 0);
    while rdtsc().wrapping_sub(start) < duration {
        match at {
            Some(at) => {
                add_eight(at);
                adds += 8;
            }
            None => count_thousand(),
        }
    }
    TASK.store(IDLE, Ordering::Release);
    smp::wait_until(|| DONE.load(Ordering::Acquire) != u64::MAX);
    (adds, DONE.load(Ordering::Relaxed))
}

fn main() {
    let ms = argument("ms", 5);
    let duration = ms * ticks_per_ms();
    println!("ms {ms}");
    smp::start_all(second);
    let (_, undisturbed) = measure(COUNT, duration, None);
    println!("undisturbed {undisturbed}");
    let (adds, others) = measure(ADD, duration, Some(operand(0)));
    println!("aligned {adds} {}", others * 8);
    let total = adds + others * 8;
    // SAFETY: the additions are over.
    check_eq!(unsafe { operand(0).cast::<u64>().read_volatile() }, total, "lost additions");
    // Bytes 3 to 10 of a line: misaligned, in two words of eight, in one window of sixteen.
    for (name, offset) in [("within", 67), ("across", 124)] {
        let (adds, counts) = measure(COUNT, duration, Some(operand(offset)));
        println!("{name} {adds} {counts}");
        // SAFETY: as above.
        let sum = unsafe { operand(offset).cast::<u64>().read_unaligned() };
        check_eq!(sum, adds, "lost additions");
    }
}
