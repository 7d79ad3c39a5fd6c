//! All forms of XSAVE and XRSTOR with AVX state: what each saves of what is in use, the two formats, what
//! XSTATE_BV and XCOMP_BV say, and what XRSTOR refuses (SDM, "Managing State Using the XSAVE Feature Set").
//@ qemu: differs: QEMU 7.2 has none of the compacted forms

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cpuid, enable_avx, xgetbv};
use guest_tests::interrupt::vector::GP;
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const SSE: u64 = 2;
const AVX: u64 = 4;
const COMPACTED: u64 = 1 << 63;
const OLD: u64 = 0xeeee_eeee_eeee_eeee;
const LOW: u64 = 0x1111_2222_3333_4444;
const HIGH: u64 = 0x5555_6666_7777_8888;

/// The legacy area, the header and AVX state.
#[repr(C, align(64))]
#[derive(Clone)]
struct Area([u64; 104]);

/// Places in units of 8 bytes.
const XMM: usize = 20;
const XSTATE_BV: usize = 64;
const XCOMP_BV: usize = 65;
const YMM_HIGH: usize = 72;

/// Defines a function that has YMM7 hold two values, and saves components with an instruction.
macro_rules! save {
    ($($name:ident: $instruction:literal;)*) => {
        $(fn $name(components: u64, low: u64, high: u64) -> Area {
            let mut area = Area([OLD; 104]);
            area.0[XSTATE_BV..YMM_HIGH].fill(0);
            // SAFETY: the area is aligned and large enough, AVX is enabled.
            unsafe {
                asm!(
                    "vzeroall",
                    "vmovq xmm6, {high}",
                    "vmovq xmm7, {low}",
                    "vinserti128 ymm7, ymm7, xmm6, 1",
                    "vpxor xmm6, xmm6, xmm6",
                    concat!($instruction, " [{area}]"),
                    area = in(reg) &raw mut area,
                    low = in(reg) low,
                    high = in(reg) high,
                    in("eax") components as u32,
                    in("edx") 0,
                    clobber_abi("C"),
                );
            }
            area
        })*
    };
}

save! {
    xsave: "xsave64";
    xsaveopt: "xsaveopt64";
    xsavec: "xsavec64";
    xsaves: "xsaves64";
}

fn main() {
    enable_avx();
    check_eq!(xgetbv(0), 7, "XCR0");
    check_eq!(cpuid(0xd, 0).eax & 7, 7, "the components");
    check_eq!(cpuid(0xd, 0).ebx, 832, "the size of what XCR0 enables");
    check_eq!(cpuid(0xd, 1).eax & 0xf, 0xf, "XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES");
    check_eq!((cpuid(0xd, 2).eax, cpuid(0xd, 2).ebx), (256, 576), "AVX state");

    for (name, save) in [("XSAVE", xsave as fn(u64, u64, u64) -> Area), ("XSAVEOPT", xsaveopt)] {
        let area = save(SSE | AVX, LOW, HIGH);
        check_eq!(area.0[XMM + 14], LOW, "{name}: XMM7");
        check_eq!(area.0[YMM_HIGH + 14], HIGH, "{name}: the upper half of YMM7");
        check_eq!(area.0[XSTATE_BV], SSE | AVX, "{name}: XSTATE_BV");
        check_eq!(area.0[XCOMP_BV], 0, "{name}: XCOMP_BV");
        check_eq!(save(AVX, LOW, HIGH).0[XMM + 14], OLD, "{name}: XMM7 was not asked for");
        check_eq!(save(SSE | AVX, LOW, 0).0[XSTATE_BV], SSE, "{name}: AVX is not in use");
    }
    check_eq!(xsaveopt(SSE | AVX, LOW, 0).0[YMM_HIGH + 14], OLD, "XSAVEOPT leaves it out");
    check_eq!(xsave(SSE | AVX, LOW, 0).0[YMM_HIGH + 14], 0, "XSAVE does not");

    for (name, save) in [("XSAVEC", xsavec as fn(u64, u64, u64) -> Area), ("XSAVES", xsaves)] {
        let area = save(SSE | AVX, LOW, HIGH);
        check_eq!(area.0[XSTATE_BV], SSE | AVX, "{name}: XSTATE_BV");
        check_eq!(area.0[XCOMP_BV], COMPACTED | SSE | AVX, "{name}: XCOMP_BV");
        check_eq!((area.0[XMM + 14], area.0[YMM_HIGH + 14]), (LOW, HIGH), "{name}: YMM7");
        let area = save(SSE | AVX, LOW, 0);
        check_eq!(area.0[XSTATE_BV], SSE, "{name}: AVX is not in use");
        check_eq!(area.0[YMM_HIGH + 14], OLD, "{name} leaves it out");
        for restore in [xrstor as fn(&Area, u64) -> (u64, u64), xrstors] {
            check_eq!(restore(&save(SSE | AVX, LOW, HIGH), SSE | AVX), (LOW, HIGH), "{name}");
            check_eq!(restore(&save(SSE | AVX, LOW, 0), SSE | AVX), (LOW, 0), "{name}");
            check_eq!(restore(&save(SSE | AVX, LOW, HIGH), AVX), (!0, HIGH), "{name}, AVX alone");
        }
    }
    check_eq!(xrstor(&xsave(SSE | AVX, LOW, HIGH), SSE | AVX), (LOW, HIGH));

    let refused = |area: &Area, restore: fn(&Area, u64) -> (u64, u64), why: &str| {
        let fault = fault_of(|| {
            restore(area, SSE | AVX);
        });
        check_eq!(fault.fault(), (u64::from(GP), 0), "{why}");
    };
    refused(&xsave(SSE | AVX, LOW, HIGH), xrstors, "XRSTORS of the standard format");
    let mut area = xsavec(SSE, LOW, 0);
    area.0[XSTATE_BV] |= AVX;
    refused(&area, xrstor, "a component that XCOMP_BV has not");
    let mut area = xsavec(SSE | AVX, LOW, HIGH);
    area.0[XCOMP_BV] |= 1 << 9;
    refused(&area, xrstor, "a component that XCR0 has not");
    let mut area = xsave(SSE | AVX, LOW, HIGH);
    area.0[XCOMP_BV + 1] = 1;
    refused(&area, xrstor, "a reserved byte of the header");

    // SAFETY: clearing registers that nobody uses.
    unsafe { asm!("vzeroupper") };
    check_eq!(xgetbv(1) & AVX, 0, "XGETBV with ECX = 1: AVX is not in use");
    // SAFETY: as above.
    unsafe { asm!("vpcmpeqd ymm7, ymm7, ymm7", out("xmm7") _) };
    check_eq!(xgetbv(1) & AVX, AVX, "XGETBV with ECX = 1: AVX is in use");
}

/// Defines a function that restores components over registers full of ones; both halves of YMM7.
macro_rules! restore {
    ($($name:ident: $instruction:literal;)*) => {
        $(fn $name(area: &Area, components: u64) -> (u64, u64) {
            let (low, high): (u64, u64);
            // SAFETY: the area is aligned and large enough, AVX is enabled.
            unsafe {
                asm!(
                    "vpcmpeqd ymm7, ymm7, ymm7",
                    concat!($instruction, " [rdi]"),
                    "vmovq rcx, xmm7",
                    "vextracti128 xmm7, ymm7, 1",
                    "vmovq rsi, xmm7",
                    in("rdi") area,
                    lateout("rcx") low,
                    lateout("rsi") high,
                    in("eax") components as u32,
                    in("edx") 0,
                    clobber_abi("C"),
                );
            }
            (low, high)
        })*
    };
}

restore! {
    xrstor: "xrstor64";
    xrstors: "xrstors64";
}
