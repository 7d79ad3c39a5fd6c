//! The host's own x87 unit as the oracle.

use std::arch::asm;
use std::{ptr, slice};

use super::harness::Case;

/// A page of the host that holds code and a return.
pub struct Native {
    page: *mut u8,
}

impl Native {
    pub fn new() -> Self {
        // SAFETY: a new private mapping.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED, "the host gives executable memory");
        Self { page: page.cast() }
    }

    /// Puts code in place.
    pub fn assemble(&mut self, code: &[u8]) {
        const RET: u8 = 0xc3;
        // SAFETY: the page is this value's own, and longer than any test's code.
        let page = unsafe { slice::from_raw_parts_mut(self.page, 4096) };
        page[..code.len()].copy_from_slice(code);
        page[code.len()] = RET;
    }

    /// Executes it on the case's memory. It ends with FNSAVE, which leaves the unit as it should be.
    pub fn execute(&mut self, case: &mut Case) {
        // SAFETY: the code touches RAX, the flags, the x87 unit and the memory at R9.
        unsafe {
            asm!(
                "push r15",
                "popfq",
                "call r13",
                "pushfq",
                "pop r15",
                "cld",
                inout("rax") case.rax,
                in("r9") case.memory.as_mut_ptr(),
                in("r13") self.page,
                inout("r15") case.flags | 2 => case.flags,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            );
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: nothing else knows the mapping.
        unsafe { libc::munmap(self.page.cast(), 4096) };
    }
}
