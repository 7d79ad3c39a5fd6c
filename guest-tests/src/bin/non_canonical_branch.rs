//! JMP, CALL, RET and IRET to a non-canonical address: #GP(0) at the branch, which has changed nothing (SDM,
//! JMP; CALL; RET; IRET).
//@ qemu: differs: QEMU 7.2 faults at the target; SDM, JMP: #GP(0) for a target that is not canonical is a fault of the JMP, so RIP is the JMP's

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::GP;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::segment::{KERNEL_CODE, KERNEL_DATA};
use guest_tests::{check_eq, fault_of, snippet};

guest_tests::entry!(main);

const TARGET: u64 = 0x0000_8000_0000_0000;

fn main() {
    let page = paging::map_new(TEST_AREA, KERNEL) as *mut u8;
    for (code, what) in [
        (snippet!("jmp rax"), "JMP"),
        (snippet!("call rax"), "CALL"),
        (snippet!("jmp [rcx]"), "JMP through memory"),
        (snippet!("ret"), "RET"),
    ] {
        let target = TARGET;
        // SAFETY: the page is this test's, and the branch faults, which `fault_of` expects.
        let fault = fault_of(|| unsafe {
            page.copy_from_nonoverlapping(code.as_ptr(), code.len());
            asm!(
                "push rax",
                "jmp {}",
                in(reg) TEST_AREA,
                in("rax") TARGET,
                in("rcx") &raw const target,
                in("rdx") 0,
                options(noreturn),
            )
        });
        check_eq!(fault.fault(), (u64::from(GP), 0), "{what}");
        check_eq!(fault.rip, TEST_AREA, "{what}");
        // SAFETY: RSP points to the word that was pushed above.
        check_eq!(unsafe { *(fault.rsp as *const u64) }, TARGET, "the stack of {what}");
    }
    // SAFETY: as above; the frame's address is that of the last push.
    let iret = fault_of(|| unsafe {
        asm!(
            "push {ss}",
            "push rsp",
            "push 2",
            "push {cs}",
            "push {rip}",
            "iretq",
            ss = const KERNEL_DATA,
            cs = const KERNEL_CODE,
            rip = in(reg) TARGET,
            options(noreturn),
        )
    });
    check_eq!(iret.fault(), (u64::from(GP), 0), "IRETQ");
    // SAFETY: the frame points to code.
    check_eq!(unsafe { *(iret.rip as *const [u8; 2]) }, [0x48, 0xcf], "the instruction at RIP");
}
