//! 5-level paging: on and off through protected mode without paging, addresses of 57 bits, a fifth
//! structure with its accessed flag, and CR4.LA57, which IA-32e mode keeps (SDM, 4-Level Paging and
//! 5-Level Paging; MOV to Control Registers).
//@ qemu: differs: QEMU 7.2 reports RSVD without P; SDM, Page-Fault Exceptions: RSVD can be set only if P is, because reserved bits of an entry whose P flag is 0 are not checked

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use guest_tests::cpu::{cpuid, cr4, set_cr4};
use guest_tests::interrupt::vector::{GP, PF};
use guest_tests::paging::{self, Flags};
use guest_tests::register::cr4::LA57;
use guest_tests::segment::{KERNEL_CODE, KERNEL_CODE_32};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

/// The second entry of the top structure maps what the first one does.
const ALIAS: u64 = 1 << 48;
const VALUE: u64 = 0x1234_5678_9abc_def0;
/// Canonical with 57 bits alone.
const WIDE: u64 = 0x0000_8000_0000_0000;

fn main() {
    assert!(cpuid(7, 0).ecx & 1 << 16 != 0, "CPUID offers no LA57");
    check_eq!(cpuid(0x8000_0008, 0).eax >> 8 & 0xff, 57, "linear-address bits");
    check_eq!(fault(|| load(WIDE)), Some((u64::from(GP), 0)), "with 48 bits");
    // SAFETY: it is refused.
    let refused = fault(|| unsafe { set_cr4(cr4() | LA57) });
    check_eq!(refused, Some((u64::from(GP), 0)), "CR4.LA57 set in 64-bit mode");

    let four_levels = cr3();
    let top = paging::frame() as *mut u64;
    let entry = four_levels | Flags::PRESENT.bits() | Flags::WRITABLE.bits();
    // SAFETY: the frame is new.
    unsafe {
        top.write_volatile(entry);
        top.add(1).write_volatile(entry);
    }
    switch(top as u64);
    check_eq!(cr4() & LA57, LA57);

    let data = paging::frame();
    // SAFETY: the frame is new; what it is mapped at beyond is its own.
    unsafe {
        ptr::write_volatile(data as *mut u64, !VALUE);
        ptr::write_volatile((ALIAS | data) as *mut u64, VALUE);
        check_eq!(ptr::read_volatile(data as *const u64), VALUE, "through both addresses");
        check_eq!(top.add(1).read_volatile() & 1 << 5, 1 << 5, "accessed flag");
        check_eq!(top.add(2).read_volatile(), 0);
    }
    check_eq!(fault(|| load(WIDE)), Some((u64::from(PF), 0)), "no page there");
    check_eq!(fault(|| load(2 << 48)), Some((u64::from(PF), 0)), "no PML5E");
    for address in [1 << 56, 0xfeff_ffff_ffff_fff8, 1 << 63] {
        check_eq!(fault(|| load(address)), Some((u64::from(GP), 0)), "{address:#x}");
    }
    // SAFETY: PS is reserved there, and the entry is put back.
    unsafe {
        top.add(2).write_volatile(entry | Flags::HUGE_PAGE.bits());
        check_eq!(fault(|| load(2 << 48)), Some((u64::from(PF), 0b1001)), "PML5E with PS");
        top.add(2).write_volatile(0);
    }
    // SAFETY: it is refused.
    let refused = fault(|| unsafe { set_cr4(cr4() & !LA57) });
    check_eq!(refused, Some((u64::from(GP), 0)), "CR4.LA57 cleared in 64-bit mode");

    switch(four_levels);
    check_eq!(cr4() & LA57, 0);
    check_eq!(fault(|| load(WIDE)), Some((u64::from(GP), 0)), "with 48 bits again");
}

fn load(address: u64) {
    // SAFETY: it faults, which the caller expects.
    unsafe { asm!("mov rax, [{}]", in(reg) address, out("rax") _) };
}

fn fault(action: impl FnOnce()) -> Option<(u64, u64)> {
    catch(action).map(|frame| frame.fault())
}

fn cr3() -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// To the other number of levels, with the tables at `cr3`: where paging is off, and so IA-32e mode, too, they
/// can change. The image lies below 4 GiB, one to one.
fn switch(cr3: u64) {
    // SAFETY: interrupts are off, the tables map the first 4 GiB one to one, and all registers that may be lost
    // on the way are put back or named.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "mov rdi, rsp",
            "push {code32}",
            "lea rax, [rip + 2f]",
            "push rax",
            "retfq",
            ".code32",
            "2: mov eax, cr0",
            "btr eax, 31",
            "mov cr0, eax",
            "mov ecx, cr4",
            "btc ecx, 12",
            "mov cr4, ecx",
            "mov cr3, esi",
            "bts eax, 31",
            "mov cr0, eax",
            ".byte 0xea",
            ".long 3f",
            ".short {code64}",
            ".code64",
            "3: mov esp, edi",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbp",
            "pop rbx",
            code32 = const KERNEL_CODE_32,
            code64 = const KERNEL_CODE,
            in("rsi") cr3,
            clobber_abi("C"),
        );
    }
}
