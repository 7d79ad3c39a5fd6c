//! MSRs that do not exist, reserved bits and values that aren't canonical: #GP(0), and the register keeps
//! its value (SDM, RDMSR; WRMSR; IA32_EFER).
//@ qemu: differs: QEMU 7.2 reads unknown MSRs as 0 and ignores reserved bits; SDM, RDMSR: "#GP(0) ... If the value in ECX specifies a reserved or unimplemented MSR address"

#![no_std]
#![no_main]

use guest_tests::cpu::{rdmsr, wrmsr};
use guest_tests::interrupt::vector::GP;
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

const APIC_BASE: u32 = 0x1b;
const EFER: u32 = 0xc000_0080;
const LSTAR: u32 = 0xc000_0082;
const FS_BASE: u32 = 0xc000_0100;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
const UNKNOWN: u32 = 0x4000_1234;

const LME: u64 = 1 << 8;
const LMA: u64 = 1 << 10;
const NON_CANONICAL: u64 = 1 << 63;

fn main() {
    const FAULT: Option<(u64, u64)> = Some((GP as u64, 0));
    let read = catch(|| {
        rdmsr(UNKNOWN);
    });
    check_eq!(read.map(|frame| frame.fault()), FAULT, "RDMSR of an unknown register");
    let efer = rdmsr(EFER);
    for (index, value, what) in [
        (UNKNOWN, 0, "an unknown register"),
        (EFER, efer | 1 << 1, "EFER, bit 1"),
        (EFER, efer | 1 << 63, "EFER, bit 63"),
        (EFER, efer & !LME, "EFER.LME cleared while paging is on"),
        (FS_BASE, NON_CANONICAL, "FS.base"),
        (KERNEL_GS_BASE, NON_CANONICAL, "KERNEL_GS_BASE"),
        (LSTAR, NON_CANONICAL, "LSTAR"),
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
    unsafe { wrmsr(EFER, efer & !LMA) };
    check_eq!(rdmsr(EFER), efer);
}
