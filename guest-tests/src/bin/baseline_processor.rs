//! `--cpu baseline`: what CPUID does not offer has no bit in CR4, no component of XCR0 and no model-specific
//! register, whatever the host could do.
//@ flags: --cpu baseline
//@ qemu: skip: it is about a flag of monovisor's

#![no_std]
#![no_main]

use guest_tests::cpu::{cpuid, cr4, rdmsr, set_cr4, wrmsr};
use guest_tests::interrupt::vector::GP;
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

/// Bits of CR4, and where CPUID would offer them: leaf, register, bit.
const BITS: [(&str, u32, (u32, usize, u32)); 10] = [
    ("VME", 0, (1, 3, 1)),
    ("UMIP", 11, (7, 2, 2)),
    ("LA57", 12, (7, 2, 16)),
    ("FSGSBASE", 16, (7, 1, 0)),
    ("PCIDE", 17, (1, 2, 17)),
    ("OSXSAVE", 18, (1, 2, 26)),
    ("SMEP", 20, (7, 1, 7)),
    ("SMAP", 21, (7, 1, 20)),
    ("PKE", 22, (7, 2, 3)),
    ("PKS", 24, (7, 2, 31)),
];

/// Registers, and where CPUID would offer them.
const REGISTERS: [(&str, u32, (u32, usize, u32)); 4] = [
    ("IA32_ARCH_CAPABILITIES", 0x10a, (7, 3, 29)),
    ("IA32_PKRS", 0x6e1, (7, 2, 31)),
    ("IA32_XSS", 0xda0, (0xd, 0, 3)),
    ("IA32_TSC_AUX", 0xc000_0103, (0x8000_0001, 3, 27)),
];

fn main() {
    for (name, bit, place) in BITS {
        check_eq!(offered(place), false, "{name}");
        // SAFETY: it is refused.
        let refused = fault(|| unsafe { set_cr4(cr4() | 1 << bit) });
        check_eq!(refused, Some((GP.into(), 0)), "CR4.{name}");
    }
    for (name, number, place) in REGISTERS {
        check_eq!(offered(place), false, "{name}");
        let read = fault(|| {
            rdmsr(number);
        });
        check_eq!(read, Some((GP.into(), 0)), "RDMSR of {name}");
        // SAFETY: it is refused.
        let written = fault(|| unsafe { wrmsr(number, 0) });
        check_eq!(written, Some((GP.into(), 0)), "WRMSR of {name}");
    }
    check_eq!(cpuid(0xd, 0).eax, 0, "components");
    check_eq!(cpuid(0x8000_0008, 0).eax >> 8 & 0xff, 48, "linear-address bits");
}

fn offered((leaf, register, bit): (u32, usize, u32)) -> bool {
    let subleaf = u32::from(leaf == 0xd);
    let told = cpuid(leaf, subleaf);
    [told.eax, told.ebx, told.ecx, told.edx][register] >> bit & 1 != 0
}

fn fault(action: impl FnOnce()) -> Option<(u64, u64)> {
    catch(action).map(|frame| frame.fault())
}
