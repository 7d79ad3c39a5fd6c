//! The oracle: the host's own processor executes the same instruction bytes.

use std::ptr;

/// What an instruction works on: XMM0, XMM1, 16 bytes at [RSI], RAX and RCX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Operands {
    pub xmm: [u128; 2],
    pub memory: u128,
    pub rax: u64,
    pub rcx: u64,
    pub rflags: u64,
    pub mxcsr: u32,
    pub mxcsr_after: u32,
    pub mxcsr_of_host: u64,
}

const PROLOGUE: &[u8] = &[
    0x0f, 0x10, 0x07, // movups xmm0, [rdi]
    0x0f, 0x10, 0x4f, 0x10, // movups xmm1, [rdi + 16]
    0x48, 0x8d, 0x77, 0x20, // lea rsi, [rdi + 32]
    0x48, 0x8b, 0x47, 0x30, // mov rax, [rdi + 48]
    0x48, 0x8b, 0x4f, 0x38, // mov rcx, [rdi + 56]
    0x0f, 0xae, 0x5f, 0x50, // stmxcsr [rdi + 80]
    0x0f, 0xae, 0x57, 0x48, // ldmxcsr [rdi + 72]
    0xff, 0x77, 0x40, // push qword [rdi + 64]
    0x9d, // popfq
];
const EPILOGUE: &[u8] = &[
    0x9c, // pushfq
    0x8f, 0x47, 0x40, // pop qword [rdi + 64]
    0x0f, 0xae, 0x5f, 0x4c, // stmxcsr [rdi + 76]
    0x0f, 0xae, 0x57, 0x50, // ldmxcsr [rdi + 80]
    0x0f, 0x11, 0x07, // movups [rdi], xmm0
    0x0f, 0x11, 0x4f, 0x10, // movups [rdi + 16], xmm1
    0x48, 0x89, 0x47, 0x30, // mov [rdi + 48], rax
    0x48, 0x89, 0x4f, 0x38, // mov [rdi + 56], rcx
    0xc3, // ret
];
const PAGE: usize = 4096;

/// One instruction, ready for execution by the host.
pub struct Native(*mut u8);

impl Native {
    pub fn new(instruction: &[u8]) -> Self {
        let code = [PROLOGUE, instruction, EPILOGUE].concat();
        assert!(code.len() <= PAGE);
        // SAFETY: a new private mapping, filled with code that fits before it becomes executable.
        unsafe {
            let page = libc::mmap(
                ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(page, libc::MAP_FAILED, "mmap failed");
            let page = page.cast::<u8>();
            ptr::copy_nonoverlapping(code.as_ptr(), page, code.len());
            let protected = libc::mprotect(page.cast(), PAGE, libc::PROT_READ | libc::PROT_EXEC);
            assert_eq!(protected, 0, "mprotect failed");
            Self(page)
        }
    }

    /// Executes it. All exceptions must be masked in `operands.mxcsr`.
    pub fn execute(&self, operands: &Operands) -> Operands {
        assert_eq!(operands.mxcsr & 0x1f80, 0x1f80);
        let mut operands = *operands;
        // SAFETY: the page holds a function of this signature. It changes caller-saved registers
        // and the value behind its argument, and puts MXCSR back.
        unsafe {
            let function: unsafe extern "sysv64" fn(*mut Operands) = std::mem::transmute(self.0);
            function(&raw mut operands);
        }
        operands.mxcsr_of_host = 0;
        operands
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.0.cast(), PAGE) };
    }
}
