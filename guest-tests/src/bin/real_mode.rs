//! All the way down to real mode and back: compatibility mode, protected mode without paging, 16-bit code,
//! real mode, where segments are 16 times their selectors and INT goes through the table at 0, and the
//! same way up (SDM, Switching Out of IA-32e Mode Operation; Real-Address Mode).

#![no_std]
#![no_main]

use core::ptr;
use guest_tests::interrupt::load_idt;
use guest_tests::segment::{FIRST_FREE, set_descriptor};
use guest_tests::{check_eq, low, snippet};

guest_tests::entry!(main);

/// Where real mode leaves what it found.
const FOUND: *const [u16; 3] = 0x7000 as *const _;
/// The entry of INT 0x21 in the interrupt vector table.
const VECTOR: *mut u32 = 0x84 as *mut u32;
/// 16-bit code whose base is `low::ADDRESS`, so that offsets are those of real mode.
const CODE_16: u16 = FIRST_FREE;

fn main() {
    set_descriptor(CODE_16, 0x0000_9b00_8000_ffff);
    // The parts begin at fixed offsets, which far jumps name: 40 16-bit protected mode, 60 real mode,
    // b0 IDT pointer, b8 interrupt handler, c0 the way back.
    let code = snippet!(
        ".code32",
        "22:",
        // Compatibility mode. Without paging IA-32e mode ends.
        "mov eax, cr0",
        "btr eax, 31",
        "mov cr0, eax",
        "mov ecx, 0xc0000080",
        "rdmsr",
        "btr eax, 8",
        "wrmsr",
        "mov eax, 0x50",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        ".byte 0xea",
        ".long 0x40",
        ".short 0x58",
        ".skip 0x40 - (. - 22b)",
        ".code16",
        "mov eax, cr0",
        "and al, 0xfe",
        "mov cr0, eax",
        ".byte 0xea",
        ".short 0x60, 0x800",
        ".skip 0x60 - (. - 22b)",
        "xor ax, ax",
        "mov ss, ax",
        "mov sp, 0x7000",
        "lidt cs:[0xb0]",
        // Two ways to say 0x179b8.
        "mov ax, 0x1234",
        "mov es, ax",
        "mov bx, 0x5678",
        "mov byte ptr es:[bx], 0x77",
        "mov ax, 0x1700",
        "mov ds, ax",
        "xor ax, ax",
        "mov al, [0x9b8]",
        "xor bx, bx",
        "mov ds, bx",
        "mov [0x7000], ax",
        "int 0x21",
        "mov [0x7004], sp",
        "mov eax, cr0",
        "or al, 1",
        "mov cr0, eax",
        ".byte 0x66, 0xea",
        ".long 0x80c0",
        ".short 0x40",
        ".skip 0xb0 - (. - 22b)",
        ".short 0x3ff, 0, 0, 0",
        // The handler of INT 0x21.
        "mov [0x7002], sp",
        "iret",
        ".skip 0xc0 - (. - 22b)",
        ".code32",
        "mov eax, 0x10",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        "mov ecx, 0xc0000080",
        "rdmsr",
        "bts eax, 8",
        "wrmsr",
        "mov eax, cr0",
        "bts eax, 31",
        "mov cr0, eax",
        "lea esp, [0x7000]",
        "push 8",
        "push edi",
        "retf",
        ".code64",
    );
    // SAFETY: nothing else uses this memory below 1 MiB; interrupts are off, and the code leaves all as it was.
    unsafe {
        ptr::write_volatile(VECTOR, 0x0800_00b8);
        low::execute(code, 0);
    }
    load_idt(0xfff);
    // SAFETY: real mode wrote it.
    let [byte, inside, behind] = unsafe { ptr::read_volatile(FOUND) };
    check_eq!(byte, 0x77, "a byte through two segments");
    check_eq!(inside, 0x7000 - 6, "SP in the handler of INT");
    check_eq!(behind, 0x7000, "SP after IRET");
}
