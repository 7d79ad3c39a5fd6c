//! CPUID agrees with itself: leaves answer as the highest leaf says, what monovisor promises is offered,
//! the upper halves become zero, and OSXSAVE follows CR4 (SDM, CPUID).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::cpu::{cpuid, cr4, has_leaf, set_cr4};
use guest_tests::register::cr4::OSXSAVE;

guest_tests::entry!(main);

fn main() {
    assert!(has_leaf(0xd), "highest basic leaf {:#x}", cpuid(0, 0).eax);
    assert!(has_leaf(0x8000_0008), "highest extended leaf {:#x}", cpuid(0x8000_0000, 0).eax);
    let vendor = cpuid(0, 0);
    for byte in [vendor.ebx, vendor.edx, vendor.ecx].into_iter().flat_map(u32::to_le_bytes) {
        assert!(byte.is_ascii_graphic() || byte == b' ', "vendor byte {byte:#x}");
    }
    let (ecx, edx) = (cpuid(1, 0).ecx, cpuid(1, 0).edx);
    for (bit, name) in [
        (3, "PSE"),
        (4, "TSC"),
        (5, "MSR"),
        (6, "PAE"),
        (8, "CX8"),
        (9, "APIC"),
        (13, "PGE"),
        (15, "CMOV"),
        (24, "FXSR"),
        (25, "SSE"),
        (26, "SSE2"),
    ] {
        assert!(edx & 1 << bit != 0, "leaf 1 offers no {name}");
    }
    let (extended_ecx, extended_edx) = (cpuid(0x8000_0001, 0).ecx, cpuid(0x8000_0001, 0).edx);
    for (bit, name) in [(11, "SYSCALL"), (20, "NX"), (29, "64-bit mode")] {
        assert!(extended_edx & 1 << bit != 0, "leaf 0x80000001 offers no {name}");
    }
    assert!(extended_ecx & 1 != 0, "leaf 0x80000001 offers no LAHF in 64-bit mode");
    let addresses = cpuid(0x8000_0008, 0).eax;
    assert!((36..=52).contains(&(addresses & 0xff)), "physical-address bits");
    assert!(matches!(addresses >> 8 & 0xff, 48 | 57), "linear-address bits");

    if ecx & 1 << 26 != 0 {
        check_eq!(cpuid(0xd, 0).eax & 3, 3, "XCR0 offers x87 and SSE");
        for is_set in [true, false] {
            // SAFETY: the bit only lets XSAVE be used.
            unsafe { set_cr4(if is_set { cr4() | OSXSAVE } else { cr4() & !OSXSAVE }) };
            check_eq!(cpuid(1, 0).ecx & 1 << 27 != 0, is_set, "OSXSAVE");
        }
    }

    let (rax, rcx, rdx): (u64, u64, u64);
    // SAFETY: RBX, which is LLVM's, is put back.
    unsafe {
        asm!(
            "push rbx",
            "cpuid",
            "pop rbx",
            inout("rax") 0xffff_ffff_0000_0001_u64 => rax,
            inout("rcx") u64::MAX << 32 => rcx,
            inout("rdx") u64::MAX => rdx,
        )
    };
    check_eq!((rax >> 32, rcx >> 32, rdx >> 32), (0, 0, 0), "upper halves after CPUID");
}
