//! With CR0.NE clear an unmasked x87 exception is no #MF: the next instruction that waits asserts FERR#,
//! which is IRQ 13, and stops until the interrupt; a write to port 0xf0 takes the interrupt away and lets
//! the handler execute x87 instructions (SDM, MS-DOS Compatibility Sub-mode).
//@ qemu: skip: QEMU 7.2 aborts where it raises the line: an assertion on its own lock
//@ kvm: skip: KVM has neither FERR# nor IGNNE#

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::{apic, pic, port};
use guest_tests::interrupt::{Frame, set_handler};
use x86_64::instructions::interrupts;
use x86_64::registers::control::{Cr0, Cr0Flags};

guest_tests::entry!(main);

const LINE: u8 = 13;
const TAKE_NOTE: u16 = 0xf0;
/// All exceptions but division by zero are masked.
const CONTROL_WORD: u16 = 0x37b;
const DIVISION_BY_ZERO: u16 = 1 << 2;

static ERRORS: AtomicU32 = AtomicU32::new(0);

fn on_error(_: &mut Frame) {
    let status: u16;
    port::write::<u8>(TAKE_NOTE, 0);
    // SAFETY: FNCLEX clears exceptions that this test has made.
    unsafe {
        asm!("fwait", "fnstsw ax", "fnclex", out("ax") status, options(nomem, nostack));
    }
    check_eq!(status & 0x80 | status & DIVISION_BY_ZERO, 0x80 | DIVISION_BY_ZERO);
    ERRORS.fetch_add(1, Relaxed);
    pic::end_of_interrupt(LINE);
}

fn main() {
    apic::init_virtual_wire();
    pic::init();
    set_handler(pic::vector(LINE), on_error);
    pic::unmask(LINE);
    // SAFETY: an interrupt takes the place of #MF.
    unsafe { Cr0::update(|cr0| cr0.remove(Cr0Flags::NUMERIC_ERROR)) };
    interrupts::enable();
    for errors in 1..=3 {
        divide_by_zero();
        check_eq!(ERRORS.load(Relaxed), errors, "interrupts behind the waiting instruction");
    }
    interrupts::disable();
}

/// Divides, then waits.
#[inline(never)]
fn divide_by_zero() {
    // SAFETY: the x87 state is this test's own.
    unsafe {
        asm!(
            "fninit",
            "fldcw [{control}]",
            "fld1",
            "fldz",
            "fdivp st(1), st",
            "fwait",
            "nop",
            control = in(reg) &CONTROL_WORD,
            options(readonly, nostack),
        );
    }
}
