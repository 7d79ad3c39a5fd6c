//! Segments of virtual-8086 mode end at 64 KiB, for data, for the stack and with addresses of 32 bits: #GP
//! and #SS (SDM, Virtual-8086 Mode, Limit Checking).
//@ qemu: differs: QEMU 7.2 checks no segment limits of data
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no virtual-8086 mode

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::{GP, SS, UD};
use guest_tests::legacy::{Context, Legacy};

guest_tests::entry!(main);

fn main() {
    let mut legacy = Legacy::new();
    let context = Context { registers: [0, 0xffff, 0, 0], ..Context::VIRTUAL_8086 };
    // mov ax, [bx]
    check_eq!(legacy.run(&context, &[0x8b, 0x07, 0x0f, 0x0b]).fault(), (GP, 0));
    // mov ax, ss:[bx]
    check_eq!(legacy.run(&context, &[0x36, 0x8b, 0x07, 0x0f, 0x0b]).fault(), (SS, 0));
    // mov al, [ebx]
    let context = Context { registers: [0, 0x1_0000, 0, 0], ..Context::VIRTUAL_8086 };
    check_eq!(legacy.run(&context, &[0x67, 0x8a, 0x03, 0x0f, 0x0b]).fault(), (GP, 0));
    let context = Context { esp: 1, ..Context::VIRTUAL_8086 };
    check_eq!(legacy.run(&context, &[0x50, 0x0f, 0x0b]).fault(), (SS, 0), "PUSH AX with SP 1");
    // The memory behind 1 MiB is there: A20 is no business of the processor.
    let context = Context { ds: 0xffff, ..Context::VIRTUAL_8086 };
    check_eq!(legacy.run(&context, &[0xa0, 0x10, 0x10, 0x0f, 0x0b]).fault(), (UD, 0));
}
