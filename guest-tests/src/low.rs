//! Code below 1 MiB, where all modes can execute it: entered in compatibility mode, from where it may go to
//! any other, it comes back to 64-bit mode. What the way down and up is, is the code's own matter; a whole
//! legacy environment is in `legacy`.

use core::arch::asm;
use core::ptr;

use crate::segment::{KERNEL_CODE, KERNEL_CODE_32, KERNEL_DATA};

/// Where the code is; as a segment of real mode, 0x800.
pub const ADDRESS: u64 = 0x8000;

/// Copies `code` to [`ADDRESS`] and enters it at privilege level 0 in flat 32-bit segments, with `argument`
/// in ESI. It returns by a far return to selector 8 and the offset that it finds in EDI.
///
/// # Safety
/// Interrupts are off; the code and its stack use no memory of others, and the eight bytes at 0x7800 are not
/// theirs; it comes back with the control registers and mappings that the rest of the guest needs.
pub unsafe fn execute(code: &[u8], argument: u64) {
    const { assert!(KERNEL_CODE == 8) };
    // SAFETY: as the caller has promised; every register that may be lost on the way is put back or named.
    unsafe {
        ptr::copy_nonoverlapping(code.as_ptr(), ADDRESS as *mut u8, code.len());
        asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "mov [0x7800], rsp",
            "mov eax, {data}",
            "mov ss, eax",
            "mov ds, eax",
            "lea rdi, [rip + 2f]",
            "push {code32}",
            "push {address}",
            "retfq",
            "2: mov rsp, [0x7800]",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbp",
            "pop rbx",
            "mov eax, {data}",
            "mov ss, eax",
            code32 = const KERNEL_CODE_32,
            address = const ADDRESS,
            data = const KERNEL_DATA,
            in("rsi") argument,
            clobber_abi("C"),
        )
    };
}
