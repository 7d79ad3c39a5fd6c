//! TSC-deadline mode: the timer fires once the TSC has reached IA32_TSC_DEADLINE, which then reads zero; a
//! deadline in the past fires at once; writing zero disarms (SDM, TSC-Deadline Mode).
//@ qemu: skip: QEMU 7.2's TCG has no TSC-deadline timer, and CPUID says so

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::cpu::{cpuid, rdmsr, rdtsc, wrmsr};
use guest_tests::device::apic::register::LVT_TIMER;
use guest_tests::device::{apic, halt_until, pit};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const VECTOR: u8 = 0x42;
const DEADLINE: u32 = 0x6e0;
/// The TSC in the handler; 0 before.
static FIRED: AtomicU64 = AtomicU64::new(0);

fn tick(_: &mut Frame) {
    FIRED.store(rdtsc(), Relaxed);
    apic::end_of_interrupt();
}

fn main() {
    assert!(cpuid(1, 0).ecx & 1 << 24 != 0, "CPUID offers no TSC deadline");
    apic::init();
    set_handler(VECTOR, tick);
    apic::write(LVT_TIMER, u32::from(VECTOR) | apic::DEADLINE);
    for delay in [0, 1000, 5_000_000] {
        FIRED.store(0, Relaxed);
        let deadline = rdtsc() + delay;
        arm(deadline);
        halt_until(|| FIRED.load(Relaxed) != 0);
        assert!(FIRED.load(Relaxed) >= deadline, "fired before its deadline");
        check_eq!(rdmsr(DEADLINE), 0, "the deadline after it fired");
    }
    FIRED.store(0, Relaxed);
    let deadline = rdtsc() + 2_000_000;
    arm(deadline);
    check_eq!(rdmsr(DEADLINE), deadline, "the deadline before it fires");
    arm(0);
    x86_64::instructions::interrupts::enable();
    pit::wait(5000);
    x86_64::instructions::interrupts::disable();
    check_eq!(FIRED.load(Relaxed), 0, "a deadline that was disarmed");
}

fn arm(deadline: u64) {
    // SAFETY: the register only arms the timer.
    unsafe { wrmsr(DEADLINE, deadline) };
}
