//! The host's own x87 unit as the oracle.

use std::arch::asm;

use super::common::native::Page;
use super::harness::Case;

/// The host's unit, and the code that it is to execute.
pub struct Native(Page);

impl Native {
    pub fn new() -> Self {
        Self(Page::new())
    }

    /// Puts code in place.
    pub fn assemble(&mut self, code: &[u8]) {
        self.0.assemble(code);
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
                in("r13") self.0.start(),
                inout("r15") case.flags | 2 => case.flags,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            );
        }
    }
}
