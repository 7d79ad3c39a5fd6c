//! Protection keys of user pages: what PKRU denies whom, with which error code, what needs CR4.PKE, and
//! PKRU as a state component of XSAVE (SDM, Protection Keys; RDPKRU; WRPKRU; PKRU State). Where CPUID
//! offers none, they are not there.
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, cr0, cr4, set_cr0, set_cr4, xsetbv};
use guest_tests::interrupt::vector::{GP, PF, UD};
use guest_tests::paging::{self, KERNEL, Level, TEST_AREA, USER};
use guest_tests::probe::{self, Access, Access::*};
use guest_tests::register::cr0::WP;
use guest_tests::register::cr4::{OSXSAVE, PKE};
use guest_tests::{catch, check_eq, println, snippet, user};

guest_tests::entry!(main);

/// The component of XCR0 and XSTATE_BV.
const PKRU: u64 = 1 << 9;
/// The key of the page in the test area, and what its bits of PKRU deny.
const KEY: u64 = 5;
const ACCESS_DISABLE: u32 = 1 << (2 * KEY);
const WRITE_DISABLE: u32 = 2 << (2 * KEY);
/// All that can be denied but what this key can, and key 0, which all other pages have.
const OTHERS: u32 = !(3 << (2 * KEY)) & !3;

fn main() {
    let offered = cpuid(7, 0).ecx >> 3 & 1 != 0;
    check_eq!(read_fault(0), Some((UD.into(), 0)), "RDPKRU without CR4.PKE");
    check_eq!(fault(|| wrpkru(0, 0, 0)), Some((UD.into(), 0)), "WRPKRU without CR4.PKE");
    println!("{}", if offered { "keys" } else { "no keys" });
    if !offered {
        // SAFETY: it is refused.
        let refused = fault(|| unsafe { set_cr4(cr4() | PKE) });
        check_eq!(refused, Some((GP.into(), 0)), "CR4.PKE without the feature");
        return;
    }
    paging::map_new(TEST_AREA, USER);
    set_key(KEY);
    check_eq!(probe::user(Write, TEST_AREA), None, "a key without CR4.PKE");
    check_eq!(cpuid(7, 0).ecx >> 4 & 1, 0, "OSPKE");
    // SAFETY: PKRU denies nothing yet.
    unsafe { set_cr4(cr4() | PKE) };
    check_eq!(cpuid(7, 0).ecx >> 4 & 1, 1, "OSPKE");
    instructions();
    user_pages();
    supervisor_page();
    in_user_mode();
    state_component();
}

fn instructions() {
    wrpkru(0xffff_ffff_ffff_fff0 & !3, 0xffff_ffff_0000_0000, 0xffff_ffff_0000_0000);
    check_eq!(rdpkru(0xffff_ffff_0000_0000), 0xffff_fff0, "EDX, EAX of RDPKRU");
    for (ecx, edx) in [(1, 0), (0, 1), (1 << 31, 0)] {
        check_eq!(fault(|| wrpkru(0, ecx, edx)), Some((GP.into(), 0)), "ECX {ecx:#x} EDX {edx:#x}");
    }
    check_eq!(read_fault(1), Some((GP.into(), 0)), "RDPKRU of register 1");
    check_eq!(rdpkru(0), 0xffff_fff0, "after what faulted");
    wrpkru(0, 0, 0);
}

/// The error codes of reads, writes and fetches in supervisor mode, then in user mode.
fn user_pages() {
    const NOTHING: [Option<u64>; 6] = [None; 6];
    let read_only = |bits: u64| [None, Some(bits | 0b10), None, None, Some(bits | 0b110), None];
    let write_disabled = read_only(0b100001);
    let disabled = [Some(0b100001), Some(0b100011), None, Some(0b100101), Some(0b100111), None];
    let lenient = [None, None, None, None, Some(0b100111), None];
    // (PKRU, CR0.WP, expected)
    for (pkru, protect, expected) in [
        (0, true, NOTHING),
        (OTHERS, true, NOTHING),
        (WRITE_DISABLE, true, write_disabled),
        (ACCESS_DISABLE, true, disabled),
        (ACCESS_DISABLE | WRITE_DISABLE, true, disabled),
        (WRITE_DISABLE, false, lenient),
        (ACCESS_DISABLE, false, disabled),
    ] {
        write_protect(protect);
        wrpkru(pkru.into(), 0, 0);
        check_eq!(codes(), expected, "PKRU {pkru:#x} WP {protect}");
    }
    write_protect(true);
    // What the page itself withholds is told as ever, and that the key would have denied it too.
    paging::protect(TEST_AREA, USER - paging::Flags::WRITABLE);
    check_eq!(codes(), read_only(1), "a page that is not writable");
    set_key(KEY);
    wrpkru(WRITE_DISABLE.into(), 0, 0);
    check_eq!(codes(), write_disabled, "neither page nor key permit it");
    wrpkru(0, 0, 0);
    paging::protect(TEST_AREA, USER);
}

/// PKRU says nothing of pages that user mode has no access to.
fn supervisor_page() {
    paging::protect(TEST_AREA, KERNEL);
    set_key(KEY);
    wrpkru((ACCESS_DISABLE | WRITE_DISABLE).into(), 0, 0);
    let expected = [None, None, None, Some(0b101), Some(0b111), Some(0b10101)];
    check_eq!(codes(), expected, "a supervisor page");
    wrpkru(0, 0, 0);
    paging::protect(TEST_AREA, USER);
    set_key(KEY);
}

/// User mode changes PKRU itself, and the next access obeys.
fn in_user_mode() {
    let code = snippet!(
        "mov al, [rdi]",
        "xor ecx, ecx",
        "xor edx, edx",
        "mov eax, esi",
        "wrpkru",
        "mov al, [rdi]",
        "int 0x80"
    );
    let denied = user::run_code(code, TEST_AREA, ACCESS_DISABLE.into());
    check_eq!(denied.fault(), (PF.into(), 0b100101));
    check_eq!(denied.cr2, TEST_AREA);
    check_eq!(rdpkru(0), ACCESS_DISABLE.into(), "PKRU stays through exceptions");
    wrpkru(0, 0, 0);
    check_eq!(user::run_code(code, TEST_AREA, 0).vector, 0x80);
}

/// Room for any processor's standard format.
#[repr(C, align(64))]
struct Area([u64; 2048]);

fn state_component() {
    const XSTATE_BV: usize = 64;
    // SAFETY: XSAVE manages what it managed, and PKRU.
    unsafe {
        set_cr4(cr4() | OSXSAVE);
        xsetbv(0, 3 | PKRU);
    }
    check_eq!(u64::from(cpuid(0xd, 0).eax) & PKRU, PKRU);
    let described = cpuid(0xd, 9);
    let at = described.ebx as usize;
    check_eq!((described.eax, described.ecx & 1, described.edx), (8, 0, 0), "subleaf 9");
    check_eq!(cpuid(0xd, 0).ebx, described.ebx + 8, "the size of what XCR0 enables");
    assert!(cpuid(0xd, 0).ecx >= described.ebx + 8, "the size of all");

    let mut area = Area([0; 2048]);
    wrpkru(ACCESS_DISABLE.into(), 0, 0);
    xsave(&mut area);
    check_eq!(area.0[XSTATE_BV], PKRU, "XSTATE_BV");
    check_eq!(area.0[at / 8], u64::from(ACCESS_DISABLE));
    wrpkru(0, 0, 0);
    xrstor(&area);
    check_eq!(rdpkru(0), ACCESS_DISABLE.into(), "restored");
    check_eq!(probe::kernel(Read, TEST_AREA), Some(0b100001), "and in force");
    area.0[XSTATE_BV] = 0;
    xrstor(&area);
    check_eq!(rdpkru(0), 0, "initialised");
    check_eq!(probe::kernel(Read, TEST_AREA), None);

    // XSAVEC
    if cpuid(0xd, 1).eax & 2 != 0 {
        wrpkru(OTHERS.into(), 0, 0);
        // SAFETY: the area is aligned and large enough.
        unsafe { asm!("xsavec64 [{}]", in(reg) &raw mut area, in("eax") 1 << 9, in("edx") 0) };
        check_eq!(area.0[XSTATE_BV..XSTATE_BV + 2], [PKRU, 1 << 63 | PKRU], "the header");
        check_eq!(area.0[XSTATE_BV + 8], u64::from(OTHERS), "behind the header at once");
        wrpkru(0, 0, 0);
        xrstor(&area);
        check_eq!(rdpkru(0), OTHERS.into());
        wrpkru(0, 0, 0);
    }
}

fn xsave(area: &mut Area) {
    // SAFETY: the area is aligned and large enough.
    unsafe { asm!("xsave64 [{}]", in(reg) area, in("eax") 1 << 9, in("edx") 0) };
}

fn xrstor(area: &Area) {
    // SAFETY: its header is right, and PKRU leaves the guest's own data accessible.
    unsafe { asm!("xrstor64 [{}]", in(reg) area, in("eax") 1 << 9, in("edx") 0) };
}

fn set_key(key: u64) {
    let entry = paging::get(TEST_AREA, Level::Page4K);
    paging::set(TEST_AREA, Level::Page4K, entry & !(0xf << 59) | key << 59);
}

fn codes() -> [Option<u64>; 6] {
    const ACCESSES: [Access; 3] = [Read, Write, Fetch];
    // The code that user mode runs is mapped anew, so PKRU has no say in its key, which is 0.
    let [a, b, c] = ACCESSES.map(|access| probe::kernel(access, TEST_AREA));
    let [d, e, f] = ACCESSES.map(|access| probe::user(access, TEST_AREA));
    [a, b, c, d, e, f]
}

fn write_protect(on: bool) {
    let without = cr0() & !WP;
    // SAFETY: the guest writes to no page that is read-only.
    unsafe { set_cr0(if on { without | WP } else { without }) };
}

/// EDX:EAX of RDPKRU.
fn rdpkru(rcx: u64) -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reading has no effect but a fault.
    unsafe { asm!("rdpkru", in("rcx") rcx, out("rax") low, out("rdx") high) };
    high << 32 | low
}

fn read_fault(rcx: u64) -> Option<(u64, u64)> {
    fault(|| {
        rdpkru(rcx);
    })
}

fn wrpkru(rax: u64, rcx: u64, rdx: u64) {
    // SAFETY: key 0, which the guest's own pages have, is denied nothing.
    unsafe { asm!("wrpkru", in("rcx") rcx, in("rax") rax, in("rdx") rdx) };
}

fn fault(action: impl FnOnce()) -> Option<(u64, u64)> {
    catch(action).map(|frame| frame.fault())
}
