//! Code that is written by ordinary stores, run, and written again: by word stores, by byte stores, by REP
//! MOVS, by SSE stores and by LOCKed operations. Data beside it changes at will (SDM, Self-Modifying Code).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::paging::{self, KERNEL, TEST_AREA};

guest_tests::entry!(main);

/// MOV EAX, imm32; RET; and two bytes that are data.
fn code(value: u32) -> u64 {
    0xc300_0000_00b8 | u64::from(value) << 8 | 0x1234 << 48
}

type Store = fn(u64, u64);

fn main() {
    let address = paging::map_new(TEST_AREA, KERNEL);
    let stores: [(Store, &str); 6] = [
        (quad, "MOV of 8 bytes"),
        (bytes, "MOV of single bytes"),
        (movs, "REP MOVSB"),
        (stos, "STOSQ"),
        (sse, "MOVUPS"),
        (xchg, "XCHG"),
    ];
    for (store, what) in stores {
        for value in 0..200 {
            store(address, code(value));
            check_eq!(call(), value, "{what}");
            // Data in the same page, and in the same words as the code.
            store(address + 2048, value.into());
            store(address + 8, value.into());
            check_eq!(call(), value, "{what}, after a store beside it");
        }
    }
}

fn call() -> u32 {
    let result: u32;
    // SAFETY: the page holds MOV EAX and RET, which the stores above wrote.
    unsafe { asm!("call {}", in(reg) TEST_AREA, out("eax") result) };
    result
}

fn quad(to: u64, value: u64) {
    // SAFETY: every store goes to the test's page; so below.
    unsafe { asm!("mov [{}], {}", in(reg) to, in(reg) value) };
}

fn bytes(to: u64, value: u64) {
    for (index, byte) in value.to_le_bytes().into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { asm!("mov [{}], {}", in(reg) to + index as u64, in(reg_byte) byte) };
    }
}

fn movs(to: u64, value: u64) {
    let from = value.to_le_bytes();
    // SAFETY: as above.
    unsafe {
        asm!("rep movsb", inout("rdi") to => _, inout("rsi") from.as_ptr() => _, inout("rcx") 8 => _)
    };
}

fn stos(to: u64, value: u64) {
    // SAFETY: as above.
    unsafe { asm!("stosq", inout("rdi") to => _, in("rax") value) };
}

fn sse(to: u64, value: u64) {
    let from = [value, 0];
    // SAFETY: as above.
    unsafe {
        asm!("movups xmm0, [{}]", "movups [{}], xmm0", in(reg) from.as_ptr(), in(reg) to, out("xmm0") _)
    };
}

fn xchg(to: u64, value: u64) {
    // SAFETY: as above.
    unsafe { asm!("xchg [{}], {}", in(reg) to, inout(reg) value => _) };
}
