//! The time-stamp counter never runs backwards, moves, and belongs to the kernel alone when
//! CR4.TSD says so; RDTSCP gives IA32_TSC_AUX too (SDM, Time-Stamp Counter).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, cr4, rdtsc, set_cr4, wrmsr};
use guest_tests::interrupt::vector::GP;
use guest_tests::register::cr4::TSD;
use guest_tests::{check_eq, snippet, user};

guest_tests::entry!(main);

const TSC_AUX: u32 = 0xc000_0103;

fn main() {
    let start = rdtsc();
    let mut last = start;
    for _ in 0..10_000 {
        let now = rdtsc();
        assert!(now >= last, "the counter went from {last} to {now}");
        last = now;
    }
    assert!(last > start, "the counter stands still");

    assert!(cpuid(0x8000_0001, 0).edx & 1 << 27 != 0, "CPUID offers no RDTSCP");
    // SAFETY: nobody else uses the register.
    unsafe { wrmsr(TSC_AUX, 0x1234_5678) };
    let (low, high, aux): (u64, u64, u64);
    // SAFETY: only registers change.
    unsafe { asm!("rdtscp", out("rax") low, out("rdx") high, out("rcx") aux) };
    check_eq!(aux, 0x1234_5678, "IA32_TSC_AUX");
    assert!(high << 32 | low >= last, "RDTSCP is behind RDTSC");

    let code = snippet!("rdtsc", "int 0x80");
    check_eq!(user::run_code(code, 0, 0).vector, 0x80);
    // SAFETY: the bit concerns user mode alone.
    unsafe { set_cr4(cr4() | TSD) };
    check_eq!(user::run_code(code, 0, 0).fault(), (GP.into(), 0), "RDTSC with TSD");
    check_eq!(user::run_code(snippet!("rdtscp"), 0, 0).fault(), (GP.into(), 0), "RDTSCP with TSD");
    assert!(rdtsc() >= last);
}
