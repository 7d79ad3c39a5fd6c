//! The first instructions of a started processor: from real mode, where the start-up IPI enters it,
//! to 64-bit mode with the tables of the one that started it.

use crate::boot::start::{CR0, CR4, EFER, TABLES};
use crate::register::msr::IA32_EFER;
use crate::segment::{GDT_POINTER, KERNEL_CODE, KERNEL_CODE_32, KERNEL_DATA};
use core::arch::naked_asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// The page below 1 MiB that the start-up IPI names; nothing else uses it.
pub(super) const PAGE: u32 = 8;
const ADDRESS: u64 = PAGE as u64 * 4096;
/// The code that is copied there; it ends in a far jump into the image.
const CODE_BYTES: usize = 64;

static STACK: AtomicU64 = AtomicU64::new(0);

/// Copies the code to its page.
pub(super) fn install() {
    // SAFETY: the page is memory that nothing else uses, and the code is longer than what is copied.
    unsafe {
        ptr::copy_nonoverlapping(real_mode as *const u8, ADDRESS as *mut u8, CODE_BYTES);
        let pointer = ptr::from_ref(&GDT_POINTER).cast::<u8>();
        ptr::copy_nonoverlapping(pointer, (ADDRESS as usize + CODE_BYTES) as *mut u8, 10);
    }
}

/// Where the next started processor finds its stack.
pub(super) fn set_stack(top: u64) {
    STACK.store(top, Ordering::Release);
}

/// Executed at `ADDRESS`, with CS its segment and IP 0.
#[unsafe(naked)]
extern "C" fn real_mode() {
    naked_asm!(
        ".code16",
        "cli",
        "data32 lgdt cs:[{code_bytes}]",
        "mov eax, cr0",
        "or al, 1",
        "mov cr0, eax",
        ".byte 0x66, 0xea",
        ".long {protected_mode}",
        ".short {code_32}",
        ".skip {code_bytes}",
        ".code64",
        code_bytes = const CODE_BYTES,
        protected_mode = sym protected_mode,
        code_32 = const KERNEL_CODE_32,
    )
}

#[unsafe(naked)]
extern "C" fn protected_mode() -> ! {
    naked_asm!(
        ".code32",
        "mov eax, {data}",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        "mov ecx, offset {tables}",
        "mov cr3, ecx",
        "mov eax, {cr4}",
        "mov cr4, eax",
        "mov ecx, {efer_msr}",
        "mov eax, {efer}",
        "xor edx, edx",
        "wrmsr",
        "mov eax, {cr0}",
        "mov cr0, eax",
        "ljmp {code}, offset {long_mode}",
        ".code64",
        data = const KERNEL_DATA,
        tables = sym TABLES,
        cr4 = const CR4,
        efer_msr = const IA32_EFER,
        efer = const EFER,
        cr0 = const CR0,
        code = const KERNEL_CODE,
        long_mode = sym long_mode,
    )
}

#[unsafe(naked)]
extern "C" fn long_mode() -> ! {
    naked_asm!(
        "xor eax, eax",
        "mov fs, eax",
        "mov gs, eax",
        "mov rsp, [rip + {stack}]",
        "fninit",
        "xor ebp, ebp",
        "call {enter}",
        "ud2",
        stack = sym STACK,
        enter = sym super::enter,
    )
}
