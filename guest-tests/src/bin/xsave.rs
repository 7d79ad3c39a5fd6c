//! XSAVE and XRSTOR of components 0 and 1: what is asked for is saved and restored, XSTATE_BV says what
//! the area holds, and what it does not hold gets its initial value (SDM, XSAVE; XRSTOR; XSETBV).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, cr4, set_cr4};
use guest_tests::interrupt::vector::{GP, UD};
use guest_tests::register::cr4::OSXSAVE;
use guest_tests::{catch, check_eq, fault_of};

guest_tests::entry!(main);

const X87: u64 = 1;
const SSE: u64 = 2;
const VALUE: u64 = 0x1234_5678_9abc_def0;

/// The legacy area and the header.
#[repr(C, align(64))]
struct Area([u64; 72]);

/// Where XMM0 and XSTATE_BV lie, in units of 8 bytes.
const XMM0: usize = 20;
const XSTATE_BV: usize = 64;

fn main() {
    assert!(cpuid(1, 0).ecx & 1 << 26 != 0, "CPUID offers no XSAVE");
    // SAFETY: it faults, which `fault_of` expects.
    let without = fault_of(|| unsafe { asm!("xgetbv", in("ecx") 0, out("eax") _, out("edx") _) });
    check_eq!(without.vector, u64::from(UD), "XGETBV without CR4.OSXSAVE");
    // SAFETY: the bit only lets XSAVE be used.
    unsafe { set_cr4(cr4() | OSXSAVE) };
    check_eq!(set_xcr0(X87 | SSE), None);
    check_eq!(set_xcr0(SSE), Some((GP.into(), 0)), "XCR0 without x87");
    check_eq!(set_xcr0(X87 | SSE | 1 << 62), Some((GP.into(), 0)), "XCR0, bit 62");
    check_eq!(cpuid(0xd, 0).ebx, 576, "the size of what XCR0 enables");
    let low: u32;
    // SAFETY: XGETBV only reads.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _) };
    check_eq!(low, 3, "XCR0");

    let mut area = Area([0; 72]);
    check_eq!(round_trip(&mut area, SSE, VALUE, SSE), VALUE);
    check_eq!(area.0[XSTATE_BV] & !X87, SSE, "XSTATE_BV");
    check_eq!(area.0[XMM0], VALUE, "XMM0 in the area");
    // What is not asked for is not restored: XMM0 keeps its other value.
    check_eq!(round_trip(&mut area, SSE, VALUE, X87), !VALUE);
    // What the area does not hold becomes zero.
    area.0[XSTATE_BV] = 0;
    check_eq!(restored(&area, SSE), 0);

    area.0[XSTATE_BV] = 1 << 62;
    let reserved = fault_of(|| {
        restored(&area, SSE);
    });
    check_eq!(reserved.fault(), (u64::from(GP), 0), "XSTATE_BV beyond XCR0");
    // SAFETY: it faults, which `fault_of` expects.
    let misaligned = fault_of(|| unsafe {
        asm!("xsave [{}]", in(reg) (&raw mut area).wrapping_byte_add(16), in("eax") 3, in("edx") 0)
    });
    check_eq!(misaligned.fault(), (u64::from(GP), 0), "an area that isn't aligned");
}

fn set_xcr0(value: u64) -> Option<(u64, u64)> {
    // SAFETY: values that the manual forbids fault.
    let fault = catch(|| unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32)
    });
    fault.map(|frame| frame.fault())
}

/// Saves with XMM0 = `value`, changes it, restores, and returns XMM0.
fn round_trip(area: &mut Area, save: u64, value: u64, restore: u64) -> u64 {
    let result: u64;
    // SAFETY: the area is aligned and large enough.
    unsafe {
        asm!(
            "movq xmm0, rcx",
            "xor edx, edx",
            "xsave64 [rdi]",
            "not rcx",
            "movq xmm0, rcx",
            "mov rax, rsi",
            "xrstor64 [rdi]",
            "movq rcx, xmm0",
            inout("rcx") value => result,
            inout("rax") save => _,
            inout("rsi") restore => _,
            inout("rdi") area => _,
            clobber_abi("C"),
        )
    };
    result
}

/// Restores `components`, and returns XMM0.
fn restored(area: &Area, components: u64) -> u64 {
    let result: u64;
    // SAFETY: as above.
    unsafe {
        asm!(
            "xor edx, edx",
            "xrstor64 [rdi]",
            "movq rcx, xmm0",
            out("rcx") result,
            inout("rax") components => _,
            inout("rdi") area => _,
            clobber_abi("C"),
        )
    };
    result
}
