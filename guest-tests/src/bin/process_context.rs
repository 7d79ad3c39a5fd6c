//! Process-context identifiers: how CR4.PCIDE is set, what bit 63 of a value for CR3 means, and that all
//! four types of INVPCID make changed translations visible (SDM, Process-Context Identifiers; INVPCID).
//@ qemu: skip: QEMU 7.2's TCG has no process-context identifiers, and CPUID says so

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use guest_tests::cpu::{cpuid, cr4, set_cr4};
use guest_tests::interrupt::vector::GP;
use guest_tests::paging::{self, Flags, KERNEL, Level, TEST_AREA};
use guest_tests::register::cr4::{PCIDE, PGE};
use guest_tests::{catch, check_eq, snippet, user};

guest_tests::entry!(main);

const NO_FLUSH: u64 = 1 << 63;
const FAULT: Option<(u64, u64)> = Some((GP as u64, 0));

const INDIVIDUAL_ADDRESS: u64 = 0;
const SINGLE_CONTEXT: u64 = 1;
const ALL_WITH_GLOBAL: u64 = 2;
const ALL: u64 = 3;

fn cr3() -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// The tables that it names are those in use.
unsafe fn set_cr3(value: u64) {
    // SAFETY: upheld by the caller.
    unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack, preserves_flags)) };
}

fn invpcid(kind: u64, identifier: u64, address: u64) {
    let descriptor = [identifier, address];
    // SAFETY: dropping a translation changes nothing that is mapped.
    unsafe { asm!("invpcid {}, [{}]", in(reg) kind, in(reg) &descriptor, options(nostack)) };
}

fn read() -> u64 {
    // SAFETY: the page is mapped.
    unsafe { ptr::read_volatile(TEST_AREA as *const u64) }
}

fn main() {
    assert!(cpuid(1, 0).ecx & 1 << 17 != 0, "CPUID offers no PCID");
    let tables = cr3() & !0xfff;
    // SAFETY: CR3 keeps its tables; cache bits concern nobody. Values that are refused change nothing.
    unsafe {
        set_cr3(tables | 1 << 3);
        let fault = catch(|| set_cr4(cr4() | PCIDE)).map(|frame| frame.fault());
        check_eq!(fault, FAULT, "CR4.PCIDE where CR3 has low bits");
        set_cr3(tables);
        let fault = catch(|| set_cr3(tables | NO_FLUSH)).map(|frame| frame.fault());
        check_eq!(fault, FAULT, "CR3, bit 63 without CR4.PCIDE");
        set_cr4(cr4() | PCIDE | PGE);
        set_cr3(tables | 5 | NO_FLUSH);
    }
    check_eq!(cr3(), tables | 5, "CR3 does not keep bit 63");
    if cpuid(7, 0).ebx & 1 << 10 != 0 {
        faults();
        visible(tables);
    }
    // SAFETY: as above.
    unsafe { set_cr4(cr4() & !PCIDE) };
    check_eq!(cr3(), tables | 5, "CR3 keeps the identifier without CR4.PCIDE");
    // SAFETY: as above.
    unsafe { set_cr3(tables) };
}

/// What INVPCID refuses.
fn faults() {
    for (kind, identifier, address, what) in [
        (4, 0, 0, "type 4"),
        (INDIVIDUAL_ADDRESS, 1 << 12, 0, "a reserved bit"),
        (ALL, 1 << 63, 0, "a reserved bit"),
        (INDIVIDUAL_ADDRESS, 5, 1 << 63, "an address that is not canonical"),
    ] {
        let fault = catch(|| invpcid(kind, identifier, address)).map(|frame| frame.fault());
        check_eq!(fault, FAULT, "INVPCID with {what}");
    }
    let frame = user::run_code(snippet!("invpcid rax, [rsp - 16]", "int 0x80"), 0, 0);
    check_eq!(frame.fault(), (u64::from(GP), 0), "INVPCID in user mode");
    invpcid(SINGLE_CONTEXT, 5, 1 << 63);
}

/// What makes a changed translation visible.
fn visible(tables: u64) {
    let frames = [paging::frame(), paging::frame()];
    for (value, frame) in frames.into_iter().enumerate() {
        // SAFETY: the frame is new, and mapped one to one.
        unsafe { ptr::write(frame as *mut u64, value as u64) };
    }
    let global = KERNEL | Flags::GLOBAL;
    let away_and_back = |kind, identifier| {
        // SAFETY: the tables are the same.
        unsafe { set_cr3(tables | 6 | NO_FLUSH) };
        invpcid(kind, identifier, TEST_AREA);
        // SAFETY: as above.
        unsafe { set_cr3(tables | 5 | NO_FLUSH) };
    };
    let ways: [(Flags, &dyn Fn(), &str); 8] = [
        (KERNEL, &|| invpcid(INDIVIDUAL_ADDRESS, 5, TEST_AREA), "an address"),
        (KERNEL, &|| invpcid(SINGLE_CONTEXT, 5, 0), "a context"),
        (global, &|| invpcid(ALL_WITH_GLOBAL, 0, 0), "all contexts and global pages"),
        (KERNEL, &|| invpcid(ALL, 0, 0), "all contexts"),
        // SAFETY: the tables are the same.
        (KERNEL, &|| unsafe { set_cr3(tables | 5) }, "MOV CR3"),
        (KERNEL, &|| away_and_back(INDIVIDUAL_ADDRESS, 5), "an address of another context"),
        (KERNEL, &|| away_and_back(SINGLE_CONTEXT, 5), "another context"),
        (KERNEL, &|| away_and_back(ALL, 0), "all contexts, from another"),
    ];
    for (flags, invalidate, what) in ways {
        paging::set_without_flush(TEST_AREA, Level::Page4K, frames[0] | flags.bits());
        check_eq!(read(), 0, "before {what}");
        paging::set_without_flush(TEST_AREA, Level::Page4K, frames[1] | flags.bits());
        invalidate();
        check_eq!(read(), 1, "after {what}");
        paging::unmap(TEST_AREA, Level::Page4K);
    }
}
