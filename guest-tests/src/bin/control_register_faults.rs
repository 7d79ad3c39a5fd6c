//! Values that CR0, CR3, CR4 and CR8 refuse: #GP(0), and the register keeps its value (SDM, MOV - Move
//! to/from Control Registers).
//@ qemu: differs: QEMU 7.2 ignores reserved bits; SDM, MOV to Control Registers: #GP(0) for a 1 in a reserved bit, and for invalid combinations of bits in CR0
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, cr0, cr4};
use guest_tests::interrupt::vector::GP;
use guest_tests::register::cr0::{CD, NW, PE, PG};
use guest_tests::register::cr4::{PAE, PCIDE};
use guest_tests::{catch, check_eq};
use x86_64::registers::control::Cr3;

guest_tests::entry!(main);

macro_rules! refuses {
    ($register:literal, $value:expr, $what:expr) => {
        // SAFETY: the value is refused.
        let fault = catch(|| unsafe {
            asm!(concat!("mov ", $register, ", {}"), in(reg) $value, options(nostack))
        });
        let fault = fault.map(|frame| frame.fault());
        check_eq!(fault, Some((u64::from(GP), 0)), "{} with {}", $register, $what);
    };
}

fn main() {
    let before = (cr0(), cr4(), Cr3::read_raw());
    refuses!("cr0", cr0() & !PE, "PG without PE");
    refuses!("cr0", cr0() & !PG, "paging off in 64-bit mode");
    refuses!("cr0", (cr0() | NW) & !CD, "NW without CD");
    refuses!("cr0", cr0() | 1 << 32, "bit 32");
    refuses!("cr4", cr4() & !PAE, "PAE off in 64-bit mode");
    refuses!("cr4", cr4() | 1 << 63, "bit 63");
    refuses!("cr4", cr4() | 1 << 15, "bit 15");
    if cpuid(1, 0).ecx & 1 << 17 == 0 {
        refuses!("cr4", cr4() | PCIDE, "PCIDE, which CPUID does not offer");
    }
    let address_bits = cpuid(0x8000_0008, 0).eax & 0xff;
    if address_bits < 52 {
        let (frame, flags) = Cr3::read_raw();
        let cr3 = frame.start_address().as_u64() | u64::from(flags);
        refuses!("cr3", cr3 | 1 << address_bits, "an address that is too long");
    }
    refuses!("cr8", 0x10_u64, "priority 16");
    check_eq!((cr0(), cr4(), Cr3::read_raw()), before, "CR0, CR4, CR3 afterwards");
}
