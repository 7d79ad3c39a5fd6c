//! Protection keys of supervisor pages: what IA32_PKRS denies supervisor mode, with which error code, and
//! what needs CR4.PKS (SDM, Protection Keys). Where CPUID offers none, they are not there.

#![no_std]
#![no_main]

use guest_tests::cpu::{cpuid, cr0, cr4, rdmsr, set_cr0, set_cr4, wrmsr};
use guest_tests::interrupt::vector::GP;
use guest_tests::paging::{self, KERNEL, Level, TEST_AREA, USER};
use guest_tests::probe::{self, Access, Access::*};
use guest_tests::register::cr0::WP;
use guest_tests::register::cr4::PKS;
use guest_tests::{catch, check_eq, println};

guest_tests::entry!(main);

const IA32_PKRS: u32 = 0x6e1;
/// The key of the page in the test area, and what its bits of IA32_PKRS deny.
const KEY: u64 = 15;
const ACCESS_DISABLE: u64 = 1 << (2 * KEY);
const WRITE_DISABLE: u64 = 2 << (2 * KEY);
/// All that can be denied but what this key can, and key 0, which all other pages have.
const OTHERS: u64 = !(3 << (2 * KEY)) & !3 & 0xffff_ffff;
const FAULT: Option<(u64, u64)> = Some((GP as u64, 0));

fn main() {
    let offered = cpuid(7, 0).ecx >> 31 != 0;
    println!("{}", if offered { "keys" } else { "no keys" });
    if !offered {
        // SAFETY: both are refused.
        unsafe {
            check_eq!(fault(|| set_cr4(cr4() | PKS)), FAULT, "CR4.PKS without the feature");
            check_eq!(fault(|| wrmsr(IA32_PKRS, 0)), FAULT, "IA32_PKRS without the feature");
        }
        return;
    }
    paging::map_new(TEST_AREA, KERNEL);
    set_key();
    deny(ACCESS_DISABLE);
    check_eq!(codes(), ([None; 3], [Some(0b101), Some(0b111), Some(0b10101)]), "without CR4.PKS");
    // SAFETY: key 0, which the guest's own pages have, is denied nothing, nor will it be.
    unsafe { set_cr4(cr4() | PKS) };
    check_eq!(rdmsr(IA32_PKRS), ACCESS_DISABLE);
    // SAFETY: it is refused.
    check_eq!(fault(|| unsafe { wrmsr(IA32_PKRS, 1 << 32) }), FAULT, "the upper half");
    check_eq!(rdmsr(IA32_PKRS), ACCESS_DISABLE, "after what faulted");

    // User mode has no access anyway, and not because of the key.
    let user = [Some(0b101), Some(0b111), Some(0b10101)];
    let disabled = [Some(0b100001), Some(0b100011), None];
    // (IA32_PKRS, CR0.WP, expected in supervisor mode: read, write, fetch)
    for (rights, protect, expected) in [
        (0, true, [None; 3]),
        (OTHERS, true, [None; 3]),
        (WRITE_DISABLE, true, [None, Some(0b100011), None]),
        (WRITE_DISABLE, false, [None; 3]),
        (ACCESS_DISABLE, true, disabled),
        (ACCESS_DISABLE, false, disabled),
        (ACCESS_DISABLE | WRITE_DISABLE, true, disabled),
    ] {
        write_protect(protect);
        deny(rights);
        check_eq!(codes(), (expected, user), "IA32_PKRS {rights:#x} WP {protect}");
    }
    write_protect(true);

    // IA32_PKRS says nothing of the user's pages.
    paging::protect(TEST_AREA, USER);
    set_key();
    check_eq!(codes(), ([None; 3], [None; 3]), "a user page");
    // A page without a key of its own goes on being accessible.
    paging::protect(TEST_AREA, KERNEL);
    check_eq!(probe::kernel(Write, TEST_AREA), None, "key 0");
    deny(0);
}

fn set_key() {
    let entry = paging::get(TEST_AREA, Level::Page4K);
    paging::set(TEST_AREA, Level::Page4K, entry | KEY << 59);
}

fn deny(rights: u64) {
    // SAFETY: key 0 is denied nothing.
    unsafe { wrmsr(IA32_PKRS, rights) };
}

/// The error codes of all accesses in supervisor and in user mode.
fn codes() -> ([Option<u64>; 3], [Option<u64>; 3]) {
    const ACCESSES: [Access; 3] = [Read, Write, Fetch];
    let kernel = ACCESSES.map(|access| probe::kernel(access, TEST_AREA));
    (kernel, ACCESSES.map(|access| probe::user(access, TEST_AREA)))
}

fn write_protect(on: bool) {
    let without = cr0() & !WP;
    // SAFETY: the guest writes to no page that is read-only.
    unsafe { set_cr0(if on { without | WP } else { without }) };
}

fn fault(action: impl FnOnce()) -> Option<(u64, u64)> {
    catch(action).map(|frame| frame.fault())
}
