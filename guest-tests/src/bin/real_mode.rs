//! Real mode, where segments are 16 times their selectors and INT goes through the table at 0; the way there from
//! 64-bit mode and back is the runtime's (SDM, Switching Out of IA-32e Mode Operation; Real-Address Mode).
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::legacy::{CODE_PARAGRAPH, DATA, Legacy, Real};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

/// The vector that the code ends with, which is also its only interrupt.
const VECTOR: u8 = 0x21;

fn main() {
    let code = snippet!(
        ".code16",
        // Two ways to say 0x579b8.
        "mov ax, 0x5234",
        "mov es, ax",
        "mov bx, 0x5678",
        "mov byte ptr es:[bx], 0x77",
        "mov ax, 0x5700",
        "mov ds, ax",
        "xor ax, ax",
        "mov al, [0x9b8]",
        "int 0x21",
        ".code64",
    );
    let mut legacy = Legacy::new();
    let found = legacy.run_real(&Real::START, code);
    check_eq!(found.eax & 0xffff, 0x77, "a byte through two segments");
    check_eq!(legacy.read::<u8>(DATA + 0x79b8), 0x77, "the byte itself");
    check_eq!(found.vector, u16::from(VECTOR));
    let behind = Real::CODE + code.len() as u16;
    check_eq!((found.cs, found.ip), (CODE_PARAGRAPH, behind), "CS and IP that INT has pushed");
    check_eq!(found.esp, Real::START.esp, "SP before INT");
}
