//! IRETQ with a frame that the manual forbids: the fault's vector and error code, at the IRETQ itself
//! (SDM, IRET).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::{GP, NP};
use guest_tests::segment::{
    FIRST_FREE, KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, set_descriptor,
};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const PRESENT: u64 = 1 << 47;
const ABSENT_CODE: u16 = FIRST_FREE;
const READ_ONLY: u16 = FIRST_FREE + 16;

fn main() {
    set_descriptor(ABSENT_CODE, 0x00af_9b00_0000_ffff & !PRESENT);
    set_descriptor(READ_ONLY, 0x00cf_f100_0000_ffff);
    let fault = |vector: u8, selector: u16| (u64::from(vector), u64::from(selector));

    check_eq!(iret(0x1000, 0, KERNEL_DATA), fault(GP, 0), "CS null");
    check_eq!(iret(0x1000, 0x1000, KERNEL_DATA), fault(GP, 0x1000), "CS beyond the GDT");
    check_eq!(iret(0x1000, KERNEL_DATA, KERNEL_DATA), fault(GP, KERNEL_DATA), "CS is data");
    check_eq!(iret(0x1000, ABSENT_CODE, KERNEL_DATA), fault(NP, ABSENT_CODE), "CS not present");
    check_eq!(iret(0x1000, KERNEL_CODE | 3, USER_DATA), fault(GP, KERNEL_CODE), "DPL below RPL");
    check_eq!(
        iret(0x1000, USER_CODE & !3, KERNEL_DATA),
        fault(GP, USER_CODE & !3),
        "DPL above RPL"
    );
    check_eq!(iret(0x1000, USER_CODE, 0), fault(GP, 0), "SS null for user mode");
    check_eq!(iret(0x1000, USER_CODE, 3), fault(GP, 0), "SS null with RPL 3 for user mode");
    check_eq!(iret(0x1000, USER_CODE, KERNEL_DATA), fault(GP, KERNEL_DATA), "SS's RPL is not CS's");
    check_eq!(iret(0x1000, USER_CODE, USER_CODE), fault(GP, USER_CODE & !3), "SS is code");
    check_eq!(iret(0x1000, USER_CODE, READ_ONLY | 3), fault(GP, READ_ONLY), "SS is read-only");
}

/// The fault that IRETQ to the frame raises.
fn iret(rip: u64, cs: u16, ss: u16) -> (u64, u64) {
    // SAFETY: the IRETQ faults, which `fault_of` expects.
    let frame = fault_of(|| unsafe {
        asm!(
            "push {ss}",
            "push {rsp}",
            "push 2",
            "push {cs}",
            "push {rip}",
            "iretq",
            ss = in(reg) u64::from(ss),
            rsp = in(reg) 0x1_0000_u64,
            cs = in(reg) u64::from(cs),
            rip = in(reg) rip,
            options(noreturn),
        )
    });
    check_eq!(frame.cs, u64::from(KERNEL_CODE), "the fault is IRETQ's");
    // SAFETY: the frame points to code.
    check_eq!(unsafe { *(frame.rip as *const [u8; 2]) }, [0x48, 0xcf], "the instruction at RIP");
    frame.fault()
}
