//! The oracle: the host's own processor executes the same instruction bytes.

use std::ptr;
use std::sync::Once;

/// What an instruction works on: XMM0, XMM1, 16 bytes at [RSI], RAX, RCX and RDX.
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
    /// Whether the instruction raised #XM.
    pub raised: bool,
    pub mxcsr_of_host: u32,
    /// Where an instruction that raised #XM goes on.
    pub epilogue: usize,
    pub rdx: u64,
}

const PROLOGUE: &[u8] = &[
    0x0f, 0x10, 0x07, // movups xmm0, [rdi]
    0x0f, 0x10, 0x4f, 0x10, // movups xmm1, [rdi + 16]
    0x48, 0x8d, 0x77, 0x20, // lea rsi, [rdi + 32]
    0x48, 0x8b, 0x47, 0x30, // mov rax, [rdi + 48]
    0x48, 0x8b, 0x4f, 0x38, // mov rcx, [rdi + 56]
    0x48, 0x8b, 0x57, 0x60, // mov rdx, [rdi + 96]
    0x0f, 0xae, 0x5f, 0x54, // stmxcsr [rdi + 84]
    0x0f, 0xae, 0x57, 0x48, // ldmxcsr [rdi + 72]
    0xff, 0x77, 0x40, // push qword [rdi + 64]
    0x9d, // popfq
];
const EPILOGUE: &[u8] = &[
    0x9c, // pushfq
    0x8f, 0x47, 0x40, // pop qword [rdi + 64]
    0x0f, 0xae, 0x5f, 0x4c, // stmxcsr [rdi + 76]
    0x0f, 0xae, 0x57, 0x54, // ldmxcsr [rdi + 84]
    0x0f, 0x11, 0x07, // movups [rdi], xmm0
    0x0f, 0x11, 0x4f, 0x10, // movups [rdi + 16], xmm1
    0x48, 0x89, 0x47, 0x30, // mov [rdi + 48], rax
    0x48, 0x89, 0x4f, 0x38, // mov [rdi + 56], rcx
    0x48, 0x89, 0x57, 0x60, // mov [rdi + 96], rdx
    0xc3, // ret
];
const PAGE: usize = 4096;

/// One instruction, ready for execution by the host.
pub struct Native {
    page: *mut u8,
    epilogue: usize,
}

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
            Self { page, epilogue: page.expose_provenance() + PROLOGUE.len() + instruction.len() }
        }
    }

    /// Executes it. #XM is caught.
    pub fn execute(&self, operands: &Operands) -> Operands {
        static CATCH: Once = Once::new();
        CATCH.call_once(catch_simd_exceptions);
        let mut operands = Operands { epilogue: self.epilogue, ..*operands };
        // SAFETY: the page holds a function of this signature. It changes caller-saved registers
        // and the value behind its argument, and puts MXCSR back.
        unsafe {
            let function: unsafe extern "sysv64" fn(*mut Operands) = std::mem::transmute(self.page);
            function(&raw mut operands);
        }
        Operands { mxcsr_of_host: 0, epilogue: 0, ..operands }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.page.cast(), PAGE) };
    }
}

fn catch_simd_exceptions() {
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = skip;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGFPE, &raw const action, ptr::null_mut()), 0);
    }
}

/// Goes on with the epilogue: the instruction has changed nothing but flags of MXCSR.
extern "C" fn skip(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: SIGFPE comes from an instruction under test alone, when RDI leads to its operands.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let operands = registers[libc::REG_RDI as usize] as *mut Operands;
        (*operands).raised = true;
        registers[libc::REG_RIP as usize] = (*operands).epilogue as i64;
    }
}
