//! IA32_TIME_STAMP_COUNTER is the counter: reading it goes with RDTSC, writing it sets RDTSC (SDM,
//! Time-Stamp Counter).
//@ qemu: differs: QEMU 7.2's TCG reads the register as 0; SDM, Time-Stamp Counter: "the RDMSR and WRMSR instructions read and write the time-stamp counter"

#![no_std]
#![no_main]

use guest_tests::cpu::{rdmsr, rdtsc, wrmsr};

guest_tests::entry!(main);

const TSC: u32 = 0x10;
const FAR: u64 = 1 << 60;

fn main() {
    let (before, msr, after) = (rdtsc(), rdmsr(TSC), rdtsc());
    assert!((before..=after).contains(&msr), "{msr} is not between {before} and {after}");
    // SAFETY: the runtime does not use the counter.
    unsafe { wrmsr(TSC, FAR) };
    let now = rdtsc();
    assert!((FAR..FAR + (1 << 40)).contains(&now), "RDTSC is {now:#x}");
}
