//! REP STOS and REP LODS across a page that isn't there: what was stored before the fault is stored,
//! nothing behind it, and the registers say how far it came (SDM, REP).

#![no_std]
#![no_main]

use core::arch::asm;
use core::slice;
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const SECOND: u64 = TEST_AREA + PAGE;

fn main() {
    paging::map_new(TEST_AREA, KERNEL);
    // SAFETY: each of the three faults, which `fault_of` expects.
    let store = fault_of(|| unsafe {
        asm!("rep stosw", in("rdi") SECOND - 10, in("rcx") 9, in("ax") 0x1122_u16)
    });
    check_eq!(store.fault(), (PF.into(), 2));
    check_eq!((store.cr2, store.rdi, store.rcx), (SECOND, SECOND, 4));
    // SAFETY: the page is mapped.
    let page = unsafe { slice::from_raw_parts(TEST_AREA as *const u8, PAGE as usize) };
    check_eq!(page[4086..], [0x22, 0x11, 0x22, 0x11, 0x22, 0x11, 0x22, 0x11, 0x22, 0x11]);
    assert!(page[..4086].iter().all(|&byte| byte == 0), "bytes before the string changed");

    // SAFETY: as above.
    let split = fault_of(|| unsafe {
        asm!("rep stosd", in("rdi") SECOND - 6, in("rcx") 9, in("eax") 0xffff_ffff_u32)
    });
    // The second element crosses into the page: it is not stored, not even its first half.
    check_eq!((split.cr2, split.rdi, split.rcx), (SECOND, SECOND - 2, 8));
    check_eq!(page[4088..], [0x22, 0x11, 0xff, 0xff, 0xff, 0xff, 0x22, 0x11]);

    // SAFETY: as above.
    let load = fault_of(|| unsafe { asm!("rep lodsb", in("rsi") SECOND - 3, in("rcx") 5) });
    check_eq!(load.fault(), (PF.into(), 0));
    check_eq!((load.cr2, load.rsi, load.rcx), (SECOND, SECOND, 2));
    check_eq!(load.rax & 0xff, 0x11, "AL holds the last byte that was loaded");
}
