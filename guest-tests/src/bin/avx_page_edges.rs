//! VMASKMOV and VGATHER at the edge of memory: elements that are not wanted do not fault, a store that
//! faults has written nothing, and a gather goes on where the fault has stopped it (SDM, VMASKMOV;
//! VPGATHERDD); and no move of 32 bytes writes a part before it faults.
//@ qemu: differs: QEMU 7.2 stores 32 bytes and masked elements piece by piece before one faults; SDM, Exception Classifications: a fault leaves the machine as it was before the instruction

#![no_std]
#![no_main]

use core::arch::asm;
use core::{ptr, slice};
use guest_tests::cpu::enable_avx;
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const SECOND: u64 = TEST_AREA + PAGE;
const WANTED: i32 = -1;

fn main() {
    enable_avx();
    paging::map_new(TEST_AREA, KERNEL);
    // SAFETY: the page was mapped just now.
    unsafe { ptr::write_bytes(TEST_AREA as *mut u8, 0xaa, PAGE as usize) };
    let untouched = || {
        // SAFETY: the page is mapped.
        let page = unsafe { slice::from_raw_parts(TEST_AREA as *const u8, PAGE as usize) };
        page.iter().all(|&byte| byte == 0xaa)
    };
    for in_first in [1, 8, 16, 17, 31] {
        let start = SECOND - in_first;
        // SAFETY: the store faults, which `fault_of` expects.
        let fault = fault_of(|| unsafe { asm!("vmovdqu [{}], ymm0", in(reg) start) });
        check_eq!((fault.fault(), fault.cr2), ((u64::from(PF), 0b10), SECOND));
        assert!(untouched(), "{in_first} bytes were written");
    }
    masked(untouched);
    gather();
}

fn masked(untouched: impl Fn() -> bool) {
    let inside = [WANTED, WANTED, WANTED, 0, 0, 0, 0, 0];
    let across = [WANTED, 0, WANTED, 0, WANTED, 0, 0, 0];
    let start = SECOND - 12;
    let load = |mask: &[i32; 8]| {
        let mut loaded = [7_u32; 8];
        // SAFETY: what faults is expected to; both arrays have 32 bytes.
        unsafe {
            asm!(
                "vmovdqu ymm1, [{mask}]",
                "vmaskmovps ymm0, ymm1, [{start}]",
                "vmovdqu [{loaded}], ymm0",
                mask = in(reg) mask,
                start = in(reg) start,
                loaded = in(reg) &mut loaded,
                out("xmm0") _, out("xmm1") _,
            );
        }
        loaded
    };
    let store = |mask: &[i32; 8]| {
        // SAFETY: as above.
        unsafe {
            asm!(
                "vmovdqu ymm1, [{mask}]",
                "vpcmpeqd ymm0, ymm0, ymm0",
                "vpmaskmovd [{start}], ymm1, ymm0",
                mask = in(reg) mask,
                start = in(reg) start,
                out("xmm0") _, out("xmm1") _,
            );
        }
    };
    let fault = fault_of(|| {
        load(&across);
    });
    check_eq!((fault.fault(), fault.cr2), ((u64::from(PF), 0), SECOND + 4), "a masked load");
    let fault = fault_of(|| store(&across));
    check_eq!((fault.fault(), fault.cr2), ((u64::from(PF), 0b10), SECOND + 4), "a masked store");
    assert!(untouched(), "a masked store that faults has written");
    let old = 0xaaaa_aaaa;
    check_eq!(load(&inside), [old, old, old, 0, 0, 0, 0, 0]);
    store(&[0, WANTED, 0, 0, 0, 0, 0, 0]);
    check_eq!(load(&inside), [old, u32::MAX, old, 0, 0, 0, 0, 0]);
}

/// The registers of a gather, in memory so that they can be looked at behind a fault.
#[repr(C, align(32))]
struct Registers {
    values: [u32; 8],
    mask: [i32; 8],
    indices: [i32; 8],
}

fn gather() {
    let mut registers = Registers {
        values: [1, 2, 3, 4, 5, 6, 7, 8],
        mask: [WANTED, WANTED, 0, WANTED, WANTED, WANTED, 0, WANTED],
        indices: [-1, -2, 50, -3, 0, -4, 50, -5],
    };
    // SAFETY: the fault comes in the middle; the registers are not the compiler's.
    let fault = fault_of(|| unsafe {
        asm!(
            "vmovdqa ymm13, [{registers}]",
            "vmovdqa ymm14, [{registers} + 32]",
            "vmovdqa ymm15, [{registers} + 64]",
            "vpgatherdd ymm13, [{base} + ymm15 * 4], ymm14",
            registers = in(reg) &raw mut registers,
            base = in(reg) SECOND,
            out("xmm13") _, out("xmm14") _, out("xmm15") _,
        )
    });
    check_eq!((fault.fault(), fault.cr2), ((u64::from(PF), 0), SECOND));
    // What the handler has not touched is what the gather has left.
    // SAFETY: the value has 32 bytes at each place.
    unsafe {
        asm!(
            "vmovdqa [{registers}], ymm13",
            "vmovdqa [{registers} + 32], ymm14",
            registers = in(reg) &raw mut registers,
        );
    }
    let old = 0xaaaa_aaaa;
    let changed = u32::MAX;
    // The word at SECOND - 8 is the one that the masked store has written.
    check_eq!(registers.values, [old, changed, 3, old, 5, 6, 7, 8], "up to the fault");
    check_eq!(registers.mask, [0, 0, 0, 0, WANTED, WANTED, 0, WANTED], "what is left to do");
    registers.indices[4] = -6;
    // SAFETY: all elements are in memory.
    unsafe {
        asm!(
            "vmovdqa ymm13, [{registers}]",
            "vmovdqa ymm14, [{registers} + 32]",
            "vmovdqa ymm15, [{registers} + 64]",
            "vpgatherdd ymm13, [{base} + ymm15 * 4], ymm14",
            "vmovdqa [{registers}], ymm13",
            "vmovdqa [{registers} + 32], ymm14",
            registers = in(reg) &raw mut registers,
            base = in(reg) SECOND,
            out("xmm13") _, out("xmm14") _, out("xmm15") _,
        );
    }
    check_eq!(registers.values, [old, changed, 3, old, old, old, 7, old], "all");
    check_eq!(registers.mask, [0; 8], "nothing is left to do");
}
