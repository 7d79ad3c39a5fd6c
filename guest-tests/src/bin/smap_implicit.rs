//! CR4.SMAP holds for what the processor itself accesses, too, whatever RFLAGS.AC says and whoever executes:
//! user mode can't have a segment loaded from a descriptor in a page of its own (SDM, Determination of Access
//! Rights: implicit supervisor-mode accesses).

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use guest_tests::cpu::{cpuid, cr4, set_cr4};
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA, USER};
use guest_tests::register::cr4::SMAP;
use guest_tests::register::rflags::AC;
use guest_tests::segment::{DescriptorTablePointer, USER_DATA, descriptor};
use guest_tests::{check_eq, snippet, user};

guest_tests::entry!(main);

/// The first descriptor of the table's second page, for user mode.
const IN_USER_PAGE: u64 = PAGE | 3;

fn main() {
    assert!(cpuid(7, 0).ebx & 1 << 20 != 0, "CPUID offers no SMAP");
    let mut table = DescriptorTablePointer { limit: 0, base: 0 };
    // SAFETY: it stores the register in the local.
    unsafe { asm!("sgdt [{}]", in(reg) &raw mut table, options(nostack)) };
    let (first, second) =
        (paging::map_new(TEST_AREA, KERNEL), paging::map_new(TEST_AREA + PAGE, USER));
    // SAFETY: the frames are new; the table has a page and more.
    unsafe {
        ptr::copy_nonoverlapping(table.base as *const u8, first as *mut u8, PAGE as usize);
        // Accessed already, so it is only read.
        ptr::write(second as *mut u64, descriptor(USER_DATA) | 1 << 40);
    }
    let moved = DescriptorTablePointer { limit: PAGE as u16 + 7, base: TEST_AREA };
    // SAFETY: all descriptors in use are in its first page.
    unsafe { asm!("lgdt [{}]", in(reg) &moved, options(nostack)) };
    user::map(snippet!("mov fs, edi", "int 0x80"));
    for prevented in [false, true] {
        // SAFETY: what supervisor mode uses lies in supervisor pages.
        unsafe { set_cr4(if prevented { cr4() | SMAP } else { cr4() & !SMAP }) };
        for flags in [0, AC] {
            let context =
                user::Context { rdi: IN_USER_PAGE, rflags: flags | 2, ..Default::default() };
            let frame = user::run(context);
            let fault = (frame.vector != 0x80).then(|| frame.fault());
            // Present, a read, the supervisor's.
            let expected = prevented.then_some((u64::from(PF), 0b00001));
            check_eq!(fault, expected, "SMAP {prevented}, AC {flags:#x}");
        }
    }
}
