//! Loads of segment registers that the manual forbids, each with its vector and the selector as error
//! code (SDM, MOV; Interrupts 11 to 13).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::{GP, NP, SS};
use guest_tests::segment::{FIRST_FREE, KERNEL_CODE, KERNEL_DATA, TASK, USER_DATA, set_descriptor};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

const DATA: u64 = 0x00cf_9300_0000_ffff;
const PRESENT: u64 = 1 << 47;
const WRITABLE: u64 = 1 << 41;
const CODE_EXECUTE_ONLY: u64 = 0x00af_9900_0000_ffff;

const ABSENT: u16 = FIRST_FREE;
const READ_ONLY: u16 = FIRST_FREE + 8;
const EXECUTE_ONLY: u16 = FIRST_FREE + 16;
const BEYOND: u16 = 0x1000;
const LOCAL: u16 = 0xc;

macro_rules! load {
    ($register:literal, $selector:expr) => {{
        let old: u16;
        // SAFETY: 64-bit mode ignores what the registers hold; they are put back.
        unsafe { asm!(concat!("mov {:x}, ", $register), out(reg) old, options(nostack)) };
        // SAFETY: as above.
        let fault = catch(|| unsafe {
            asm!(concat!("mov ", $register, ", {:x}"), in(reg) $selector, options(nostack))
        });
        // SAFETY: as above.
        unsafe { asm!(concat!("mov ", $register, ", {:x}"), in(reg) old, options(nostack)) };
        fault.map(|frame| frame.fault())
    }};
}

fn main() {
    set_descriptor(ABSENT, DATA & !PRESENT);
    set_descriptor(READ_ONLY, DATA & !WRITABLE);
    set_descriptor(EXECUTE_ONLY, CODE_EXECUTE_ONLY);
    let fault = |vector: u8, selector: u16| Some((u64::from(vector), u64::from(selector)));

    check_eq!(load!("ds", 0_u16), None, "DS with null");
    check_eq!(load!("ds", 3_u16), None, "DS with null, RPL 3");
    check_eq!(load!("ds", KERNEL_CODE), None, "DS with readable code");
    check_eq!(load!("ds", USER_DATA), None, "DS with user data");
    check_eq!(load!("ds", READ_ONLY), None, "DS with read-only data");
    check_eq!(load!("ds", KERNEL_DATA | 3), fault(GP, KERNEL_DATA), "DS, RPL above DPL");
    check_eq!(load!("ds", ABSENT), fault(NP, ABSENT), "DS, not present");
    check_eq!(load!("ds", EXECUTE_ONLY), fault(GP, EXECUTE_ONLY), "DS with execute-only code");
    check_eq!(load!("es", TASK), fault(GP, TASK), "ES with a TSS");
    check_eq!(load!("fs", BEYOND), fault(GP, BEYOND), "FS beyond the GDT");
    // SAFETY: no segment of the runtime is in an LDT.
    unsafe { asm!("lldt {:x}", in(reg) 0) };
    check_eq!(load!("gs", LOCAL), fault(GP, LOCAL), "GS in no LDT");

    check_eq!(load!("ss", 0_u16), None, "SS with null, at CPL 0 in 64-bit mode");
    check_eq!(load!("ss", ABSENT), fault(SS, ABSENT), "SS, not present");
    check_eq!(load!("ss", READ_ONLY), fault(GP, READ_ONLY), "SS with read-only data");
    check_eq!(load!("ss", KERNEL_CODE), fault(GP, KERNEL_CODE), "SS with code");
    check_eq!(load!("ss", USER_DATA), fault(GP, USER_DATA & !3), "SS, RPL 3 at CPL 0");
    check_eq!(load!("ss", BEYOND), fault(GP, BEYOND), "SS beyond the GDT");
}
