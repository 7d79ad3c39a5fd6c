//! MSRs that do not exist, reserved bits and values that aren't canonical: #GP(0), and the register keeps
//! its value (SDM, RDMSR; WRMSR; IA32_EFER).
//@ qemu: differs: QEMU 7.2 reads unknown MSRs as 0 and ignores reserved bits; SDM, RDMSR: "#GP(0) ... If the value in ECX specifies a reserved or unimplemented MSR address"

#![no_std]
#![no_main]

use guest_tests::cpu::{rdmsr, wrmsr};
use guest_tests::device::apic::APIC_BASE;
use guest_tests::interrupt::vector::GP;
use guest_tests::register::efer::{LMA, LME};
use guest_tests::register::msr::{
    IA32_EFER, IA32_FS_BASE, IA32_KERNEL_GS_BASE, IA32_LSTAR, IA32_MC0_STATUS, IA32_MCG_CAP,
    IA32_MCG_STATUS,
};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

const UNKNOWN: u32 = 0x4000_1234;

const NON_CANONICAL: u64 = 1 << 63;

fn main() {
    const FAULT: Option<(u64, u64)> = Some((GP as u64, 0));
    let read = catch(|| {
        rdmsr(UNKNOWN);
    });
    check_eq!(read.map(|frame| frame.fault()), FAULT, "RDMSR of an unknown register");
    let efer = rdmsr(IA32_EFER);
    for (index, value, what) in [
        (UNKNOWN, 0, "an unknown register"),
        (IA32_EFER, efer | 1 << 1, "EFER, bit 1"),
        (IA32_EFER, efer | 1 << 63, "EFER, bit 63"),
        (IA32_EFER, efer & !LME, "EFER.LME cleared while paging is on"),
        (IA32_FS_BASE, NON_CANONICAL, "FS.base"),
        (IA32_KERNEL_GS_BASE, NON_CANONICAL, "KERNEL_GS_BASE"),
        (IA32_LSTAR, NON_CANONICAL, "LSTAR"),
        (IA32_MCG_CAP, 0, "MCG_CAP, which is read-only"),
        (IA32_MCG_STATUS, 1 << 63, "MCG_STATUS, a reserved bit"),
        (IA32_MC0_STATUS, 1, "MC0_STATUS, which software clears"),
        (APIC_BASE, rdmsr(APIC_BASE) | 1, "IA32_APIC_BASE, bit 0"),
    ] {
        let before = (index != UNKNOWN).then(|| rdmsr(index));
        // SAFETY: the value is refused.
        let fault = catch(|| unsafe { wrmsr(index, value) });
        check_eq!(fault.map(|frame| frame.fault()), FAULT, "WRMSR: {what}");
        check_eq!((index != UNKNOWN).then(|| rdmsr(index)), before, "afterwards: {what}");
    }
    // LMA is the processor's: a write ignores it.
    // SAFETY: nothing changes.
    unsafe { wrmsr(IA32_EFER, efer & !LMA) };
    check_eq!(rdmsr(IA32_EFER), efer);
}
