//! A REP string that faults in its middle: RCX, RSI and RDI say how far it came, RIP is the instruction,
//! and it goes on from there once the page is present (SDM, REP).

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::interrupt::vector::PF;
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::paging::{self, KERNEL, Level, PAGE, TEST_AREA};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

const SOURCE: u64 = TEST_AREA;
const TARGET: u64 = TEST_AREA + 0x10_0000;
/// Bytes before the page boundary, and in all.
const BEFORE: u64 = 104;
const BYTES: u64 = 208;

static PROGRESS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

fn map_the_page(frame: &mut Frame) {
    for (slot, register) in PROGRESS.iter().zip([frame.rcx, frame.rsi, frame.rdi]) {
        slot.store(register, Relaxed);
    }
    // SAFETY: RIP points to the string instruction.
    let opcode = unsafe { *(frame.rip as *const u8) };
    assert!(matches!(opcode, 0xf3 | 0x48), "RIP is not at the REP prefix");
    map_filled(frame.cr2 & !(PAGE - 1));
}

fn map_filled(linear: u64) {
    let physical = paging::map_new(linear, KERNEL);
    for index in 0..PAGE {
        // SAFETY: the frame is new.
        unsafe { ptr::write((physical + index) as *mut u8, (linear / PAGE + index) as u8 | 1) };
    }
}

fn main() {
    set_handler(PF, map_the_page);
    for (code, width, name) in [
        (snippet!("rep movsb"), 1, "REP MOVSB"),
        (snippet!("rep movsd"), 4, "REP MOVSD"),
        (snippet!("rep movsq"), 8, "REP MOVSQ"),
    ] {
        // The target's second page isn't there, then the source's.
        for missing in [TARGET, SOURCE] {
            run(code, width, missing, false, name);
            run(code, width, missing, true, name);
        }
    }
}

fn run(code: &[u8], width: u64, missing: u64, is_descending: bool, name: &str) {
    let what = if is_descending { "descending" } else { "ascending" };
    for area in [SOURCE, TARGET] {
        map_filled(area);
        map_filled(area + PAGE);
    }
    // Ascending meets the second page in its middle, descending the first.
    paging::unmap(missing + if is_descending { 0 } else { PAGE }, Level::Page4K);
    let first = if is_descending { PAGE + BEFORE - width } else { PAGE - BEFORE };
    let (mut rsi, mut rdi, mut rcx) = (SOURCE + first, TARGET + first, BYTES / width);
    let expected = if is_descending { BEFORE.wrapping_neg() } else { BEFORE };
    let progress = [BEFORE / width, rsi.wrapping_add(expected), rdi.wrapping_add(expected)];
    let page = paging::map_new(TEST_AREA + 0x20_0000, KERNEL) as *mut u8;
    // SAFETY: the code copies between the two areas, and the handler keeps all registers.
    unsafe {
        page.copy_from_nonoverlapping(code.as_ptr(), code.len());
        page.add(code.len()).write(0xc3);
        asm!(
            "push {}",
            "popfq",
            "call {}",
            "cld",
            in(reg) 2_u64 | u64::from(is_descending) << 10,
            in(reg) TEST_AREA + 0x20_0000,
            inout("rsi") rsi,
            inout("rdi") rdi,
            inout("rcx") rcx,
        );
    }
    let seen = [0, 1, 2].map(|index: usize| PROGRESS[index].load(Relaxed));
    check_eq!(seen, progress, "{name}, {what}: RCX, RSI, RDI at the fault");
    let end = if is_descending { first.wrapping_sub(BYTES) } else { first + BYTES };
    check_eq!([rcx, rsi, rdi], [0, SOURCE + end, TARGET + end], "{name}, {what}: at the end");
    for byte in PAGE - BEFORE..PAGE + BEFORE {
        // SAFETY: both pages are mapped now.
        let (from, to) =
            unsafe { (*((SOURCE + byte) as *const u8), *((TARGET + byte) as *const u8)) };
        check_eq!(to, from, "{name}, {what}: byte {byte}");
    }
}
