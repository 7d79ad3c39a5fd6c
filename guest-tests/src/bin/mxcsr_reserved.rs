//! Bits 31:16 of MXCSR are reserved: LDMXCSR and FXRSTOR that set one are #GP(0), and MXCSR stays (SDM,
//! LDMXCSR; FXRSTOR). FXSAVE's MXCSR_MASK says the same.
//@ qemu: differs: QEMU 7.2 takes any value; SDM, LDMXCSR: "#GP(0) ... For an attempt to set reserved bits in MXCSR"

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::GP;
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

#[repr(align(16))]
struct Area([u32; 128]);

fn main() {
    for bit in 16..32 {
        let value = 0x1f80_u32 | 1 << bit;
        // SAFETY: it faults, which `fault_of` expects.
        let fault = fault_of(|| unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value) });
        check_eq!(fault.fault(), (u64::from(GP), 0), "LDMXCSR, bit {bit}");
    }
    let mut area = Area([0; 128]);
    // SAFETY: the area is aligned and large enough; the restore faults.
    let fault = fault_of(|| unsafe {
        asm!("fxsave64 [{}]", in(reg) &raw mut area);
        area.0[6] |= 1 << 16;
        asm!("fxrstor64 [{}]", in(reg) &raw const area);
    });
    check_eq!(fault.fault(), (u64::from(GP), 0), "FXRSTOR");
    check_eq!(area.0[7] >> 16, 0, "MXCSR_MASK");
    let mut now = 0_u32;
    // SAFETY: a local is written.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut now) };
    check_eq!(now & 0xffff_ffc0, 0x1f80, "MXCSR afterwards");
}
