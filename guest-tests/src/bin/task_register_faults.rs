//! LTR of what is no available TSS: #GP with the selector, #NP for one that isn't present, and TR stays
//! (SDM, LTR).
//@ qemu: differs: QEMU 7.2 loads null; SDM, LTR: "#GP(0) ... If the source operand contains a NULL segment selector"
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::{GP, NP};
use guest_tests::segment::{FIRST_FREE, KERNEL_DATA, TASK, set_descriptor, task_descriptor};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

const PRESENT: u64 = 1 << 47;

fn main() {
    let (low, high) = task_descriptor(0x1000, 0x67);
    set_descriptor(FIRST_FREE, low & !PRESENT);
    set_descriptor(FIRST_FREE + 8, high);
    let fault = |vector: u8, selector: u16| Some((u64::from(vector), u64::from(selector)));
    let ltr = |selector: u16| {
        // SAFETY: the load faults, and TR stays.
        catch(|| unsafe { asm!("ltr {:x}", in(reg) selector) }).map(|frame| frame.fault())
    };
    check_eq!(ltr(0), fault(GP, 0), "LTR with null");
    check_eq!(ltr(TASK), fault(GP, TASK), "LTR of a busy TSS");
    check_eq!(ltr(KERNEL_DATA), fault(GP, KERNEL_DATA), "LTR of data");
    check_eq!(ltr(FIRST_FREE), fault(NP, FIRST_FREE), "LTR of a TSS that isn't present");
    let task: u64;
    // SAFETY: STR only reads.
    unsafe { asm!("str {}", out(reg) task) };
    check_eq!(task, u64::from(TASK));
}
