//! CR4.SMAP: supervisor mode can't touch the data of a page that user mode can use unless RFLAGS.AC is
//! set; STAC and CLAC set and clear it, and are #UD in user mode (SDM, Determination of Access Rights).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, cr4, rflags, set_cr4};
use guest_tests::interrupt::vector::UD;
use guest_tests::paging::{self, TEST_AREA, USER};
use guest_tests::probe::{self, Access::*};
use guest_tests::register::cr4::SMAP;
use guest_tests::register::rflags::AC;
use guest_tests::{check_eq, snippet, user};

guest_tests::entry!(main);

fn main() {
    assert!(cpuid(7, 0).ebx & 1 << 20 != 0, "CPUID offers no SMAP");
    paging::map_new(TEST_AREA, USER);
    check_eq!(probe::kernel(Write, TEST_AREA), None, "without SMAP");
    // What user mode runs is copied before supervisor mode loses its access.
    user::map(snippet!("mov byte ptr [rdi], 0xc3", "stac", "int 0x80"));
    // SAFETY: the guest's own data lies in supervisor pages.
    unsafe { set_cr4(cr4() | SMAP) };
    check_eq!(probe::kernel(Read, TEST_AREA), Some(0b00001));
    check_eq!(probe::kernel(Write, TEST_AREA), Some(0b00011));
    check_eq!(probe::kernel(Fetch, TEST_AREA), None, "a fetch is SMEP's business");

    let in_user_mode = user::run(user::Context { rdi: TEST_AREA, ..Default::default() });
    check_eq!(in_user_mode.vector, u64::from(UD), "STAC in user mode");

    // SAFETY: AC has no other effect while CR0.AM is clear.
    unsafe { asm!("stac") };
    check_eq!(rflags() & AC, AC);
    check_eq!(probe::kernel(Read, TEST_AREA), None, "with AC");
    check_eq!(probe::kernel(Write, TEST_AREA), None, "with AC");
    // SAFETY: as above.
    unsafe { asm!("clac") };
    check_eq!(rflags() & AC, 0);
    check_eq!(probe::kernel(Write, TEST_AREA), Some(0b00011), "without AC again");
}
