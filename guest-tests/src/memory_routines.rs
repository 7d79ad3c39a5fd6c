//! What compiled code expects of a C library: the memory routines, and the two names that the
//! prebuilt `core` mentions for unwinding, which a guest that aborts never calls.
//!
//! The routines are written in assembly so that the compiler can't turn their loops into calls of
//! themselves. They use string instructions, which the ABI's cleared direction flag makes ascend.

use core::arch::naked_asm;

/// Copies `length` bytes between places that don't overlap.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep movsq",
        "mov ecx, edx",
        "and ecx, 7",
        "rep movsb",
        "ret",
    )
}

/// Copies `length` bytes between places that may overlap.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "sub rax, rsi",
        "cmp rax, rdx",
        // Ascending is right unless the destination begins inside the source.
        "jae {memcpy}",
        "mov rax, rdi",
        "lea rdi, [rdi + rdx - 1]",
        "lea rsi, [rsi + rdx - 1]",
        "mov ecx, edx",
        "and ecx, 7",
        "std",
        "rep movsb",
        "sub rdi, 7",
        "sub rsi, 7",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep movsq",
        "cld",
        "ret",
        memcpy = sym memcpy,
    )
}

/// Fills `length` bytes with the low byte of `value`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memset(to: *mut u8, value: i32, length: usize) -> *mut u8 {
    naked_asm!(
        "mov r8, rdi",
        "movzx eax, sil",
        "mov rcx, 0x0101010101010101",
        "imul rax, rcx",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep stosq",
        "mov ecx, edx",
        "and ecx, 7",
        "rep stosb",
        "mov rax, r8",
        "ret",
    )
}

/// The difference of the first two bytes that differ, or 0.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    naked_asm!(
        "mov rcx, rdx",
        "xor eax, eax",
        // Of no bytes at all, ZF of this TEST says "equal".
        "test rcx, rcx",
        "repe cmpsb",
        "je 2f",
        "movzx eax, byte ptr [rdi - 1]",
        "movzx ecx, byte ptr [rsi - 1]",
        "sub eax, ecx",
        "2: ret",
    )
}

/// Not 0 if the bytes differ.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    naked_asm!("jmp {memcmp}", memcmp = sym memcmp)
}

/// The length of a string that ends in a zero byte.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn strlen(string: *const u8) -> usize {
    naked_asm!(
        "xor eax, eax",
        "mov rcx, -1",
        "repne scasb",
        // RCX went from -1 down by one for each byte, the zero included.
        "mov rax, -2",
        "sub rax, rcx",
        "ret",
    )
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    panic!("a guest does not unwind")
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("a guest does not unwind")
}
