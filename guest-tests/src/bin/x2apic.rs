//! x2APIC mode: registers are MSRs, the ID is CPUID's, self-IPI works, a write of EOI other than zero is
//! #GP(0), and so is a step back to xAPIC mode without a stop in between (SDM, Extended XAPIC).
//@ qemu: skip: QEMU 7.2's TCG has no x2APIC, and CPUID says so

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::cpu::{cpuid, rdmsr, wrmsr};
use guest_tests::device::apic::register::{EOI, ID, SPURIOUS, TPR, VERSION};
use guest_tests::device::apic::{self, APIC_BASE, APIC_ENABLE, X2APIC_ENABLE};
use guest_tests::device::halt_until;
use guest_tests::interrupt::vector::GP;
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

const VECTOR: u8 = 0x43;
const SELF_IPI: u32 = 0x3f0;
const ICR: u32 = 0x300;
static COUNT: AtomicU32 = AtomicU32::new(0);

fn note(_: &mut Frame) {
    COUNT.fetch_add(1, Relaxed);
    apic::write_x2(EOI, 0);
}

fn main() {
    const FAULT: Option<(u64, u64)> = Some((GP as u64, 0));
    assert!(cpuid(1, 0).ecx & 1 << 21 != 0, "CPUID offers no x2APIC");
    let early = catch(|| {
        apic::read_x2(ID);
    });
    check_eq!(early.map(|frame| frame.fault()), FAULT, "an x2APIC register in xAPIC mode");

    let base = rdmsr(APIC_BASE);
    // SAFETY: the mode has no other user.
    unsafe { wrmsr(APIC_BASE, base | X2APIC_ENABLE) };
    check_eq!(apic::read_x2(ID), u64::from(cpuid(1, 0).ebx >> 24), "the ID");
    assert!(apic::read_x2(VERSION) & 0xff >= 0x10, "the version");
    apic::write_x2(SPURIOUS, 0x1ff);
    apic::write_x2(TPR, 0);
    set_handler(VECTOR, note);
    apic::write_x2(SELF_IPI, VECTOR.into());
    halt_until(|| COUNT.load(Relaxed) == 1);
    apic::write_x2(ICR, u64::from(apic::TO_SELF) | u64::from(VECTOR));
    halt_until(|| COUNT.load(Relaxed) == 2);
    // To its own ID, which is in the upper half.
    apic::write_x2(ICR, apic::read_x2(ID) << 32 | u64::from(VECTOR));
    halt_until(|| COUNT.load(Relaxed) == 3);

    for (register, value, what) in [
        (EOI, 1, "EOI with a one"),
        (ID, 0, "a read-only register"),
        (TPR, 0x100, "a reserved bit"),
        (0x310, 0, "the upper half of ICR, which is no register of its own"),
    ] {
        let fault = catch(|| apic::write_x2(register, value));
        check_eq!(fault.map(|frame| frame.fault()), FAULT, "{what}");
    }
    // SAFETY: the value is refused.
    let back = catch(|| unsafe { wrmsr(APIC_BASE, base & !X2APIC_ENABLE | APIC_ENABLE) });
    check_eq!(back.map(|frame| frame.fault()), FAULT, "straight back to xAPIC mode");
    // SAFETY: as above.
    unsafe {
        wrmsr(APIC_BASE, base & !(X2APIC_ENABLE | APIC_ENABLE));
        wrmsr(APIC_BASE, base);
    }
    assert!(apic::read(VERSION) & 0xff >= 0x10, "the version in xAPIC mode again");
}
