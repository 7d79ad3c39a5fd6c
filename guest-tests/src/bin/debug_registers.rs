//! Hardware breakpoints: on execution a fault, passed with RF; on writes and accesses of data a trap
//! behind the instruction; DR6 says which (SDM, Debug Exceptions).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::interrupt::vector::DB;
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::register::rflags::RF;

guest_tests::entry!(main);

/// DR7 fields of breakpoint 0: enabled globally, kind, length.
const ENABLE: u64 = 1 << 1;
const ON_EXECUTION: u64 = 0;
const ON_WRITE: u64 = 1 << 16;
const ON_ACCESS: u64 = 3 << 16;
const FOUR_BYTES: u64 = 3 << 18;
const EIGHT_BYTES: u64 = 2 << 18;

static HITS: AtomicU64 = AtomicU64::new(0);
static RIP: AtomicU64 = AtomicU64::new(0);
static DR6: AtomicU64 = AtomicU64::new(0);

fn note(frame: &mut Frame) {
    let dr6: u64;
    // SAFETY: the debug registers are this test's.
    unsafe { asm!("mov {0}, dr6", "mov dr6, {1}", out(reg) dr6, in(reg) 0_u64) };
    DR6.store(dr6 & 0xf, Relaxed);
    RIP.store(frame.rip, Relaxed);
    HITS.fetch_add(1, Relaxed);
    // The instruction that a breakpoint stops would stop again.
    frame.rflags |= RF;
}

fn main() {
    set_handler(DB, note);
    let mut words = [0_u64; 2];
    let address = words.as_mut_ptr() as u64;

    set(address, ENABLE | ON_WRITE | FOUR_BYTES);
    check_eq!(hits(|| write(address + 4)), 0, "a write beside the breakpoint");
    check_eq!(hits(|| read(address)), 0, "a read, of a breakpoint on writes");
    check_eq!(hits(|| write(address)), 1, "a write");
    check_eq!(hits(|| write(address + 3)), 1, "a write of the last byte");
    set(address, ENABLE | ON_ACCESS | EIGHT_BYTES);
    check_eq!(hits(|| read(address + 7)), 1, "a read");
    check_eq!(hits(|| write(address)), 1, "a write, of a breakpoint on accesses");
    set(address, 0);
    check_eq!(hits(|| write(address)), 0, "a breakpoint that is off");

    // A trap: RIP is behind the instruction.
    set(address, ENABLE | ON_WRITE);
    let behind: u64;
    // SAFETY: the word is this function's.
    unsafe {
        asm!("lea {0}, [rip + 2f]", "mov byte ptr [{1}], 1", "2:", out(reg) behind, in(reg) address)
    };
    check_eq!(RIP.load(Relaxed), behind, "RIP after a breakpoint on data");

    // A fault: RIP is the instruction, which then runs once.
    let (at, count): (u64, u64);
    // SAFETY: taking the address of a label, and of breakpoint 0.
    unsafe {
        asm!(
            "lea {at}, [rip + 2f]",
            "mov dr0, {at}",
            "mov dr7, {enable}",
            "xor {count:e}, {count:e}",
            "2: inc {count}",
            "mov dr7, {off}",
            at = out(reg) at,
            count = out(reg) count,
            enable = in(reg) ENABLE | ON_EXECUTION,
            off = in(reg) 0_u64,
        )
    };
    check_eq!(RIP.load(Relaxed), at, "RIP at a breakpoint on execution");
    check_eq!(count, 1, "times that the instruction ran");
    check_eq!(DR6.load(Relaxed), 1, "DR6");
}

fn set(address: u64, dr7: u64) {
    // SAFETY: the debug registers are this test's.
    unsafe { asm!("mov dr0, {}", "mov dr7, {}", in(reg) address, in(reg) dr7) };
}

fn hits(access: impl FnOnce()) -> u64 {
    let before = HITS.load(Relaxed);
    access();
    HITS.load(Relaxed) - before
}

fn write(address: u64) {
    // SAFETY: the bytes are `main`'s.
    unsafe { asm!("mov byte ptr [{}], 0", in(reg) address) };
}

fn read(address: u64) {
    // SAFETY: the bytes are `main`'s.
    unsafe { asm!("mov al, [{}]", in(reg) address, out("al") _) };
}
