//! A LOCK ADC whose second page is not there, beside a processor that executes: it faults with CF and
//! the other flags as they were, writes nothing, and adds the carry when it is restarted (SDM, ADC;
//! Exception Classifications: faults are restartable).
//@ cpus: 2
//@ qemu: differs: QEMU 7.2 loses CF where it steps the instruction by itself; SDM, Exception Classifications: a fault leaves the machine as it was before the instruction

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use guest_tests::interrupt::vector::PF;
use guest_tests::interrupt::{remove_handler, set_handler};
use guest_tests::paging::{self, KERNEL, Level, PAGE, TEST_AREA};
use guest_tests::register::rflags::{CF, STATUS};
use guest_tests::smp::{self, wait_until};
use guest_tests::{Frame, check_eq, fault_of};

guest_tests::entry!(main);

const SECOND: u64 = TEST_AREA + PAGE;
/// Two bytes in each page.
const OPERAND: u64 = SECOND - 2;

static OVER: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

fn count(_: usize) {
    while !OVER.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() {
    smp::start_all(count);
    wait_until(|| COUNT.load(Ordering::Relaxed) != 0);
    paging::map_new(TEST_AREA, KERNEL);
    for status in [0, CF, STATUS, STATUS & !CF] {
        paging::unmap(SECOND, Level::Page4K);
        // SAFETY: the first page is mapped.
        unsafe { ptr::write_volatile(OPERAND as *mut u16, 0x5678) };
        let fault = fault_of(|| add_with_carry(status));
        // The manual leaves open whether the load or the store of the same bytes faults.
        check_eq!(fault.fault(), (u64::from(PF), fault.error_code & 0b10));
        check_eq!(fault.cr2, SECOND, "CR2");
        check_eq!(fault.rflags & STATUS, status, "the flags of an ADC that faulted");
        // SAFETY: as above.
        check_eq!(unsafe { ptr::read_volatile(OPERAND as *const u16) }, 0x5678, "written");

        set_handler(PF, map_second);
        add_with_carry(status);
        remove_handler(PF);
        // SAFETY: both pages are mapped by now.
        let sum = unsafe { ptr::read_unaligned(OPERAND as *const u32) };
        check_eq!(sum, 0x5678 + 5 + (status & CF) as u32, "the sum after a restart");
    }
    OVER.store(true, Ordering::Relaxed);
}

/// LOCK ADC of 5 to the operand with these status flags.
fn add_with_carry(status: u64) {
    // SAFETY: the operand is the test's own; a fault is expected or handled. The stack is as before.
    unsafe {
        asm!(
            "push {status}",
            "popfq",
            "lock adc dword ptr [{operand}], {addend:e}",
            status = in(reg) status | 2,
            operand = in(reg) OPERAND,
            addend = in(reg) 5,
        );
    }
}

fn map_second(_: &mut Frame) {
    paging::map_new(SECOND, KERNEL);
}
