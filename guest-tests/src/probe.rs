//! One access of one byte, from either privilege level, and the page fault that it makes: what the
//! paging tests are tables of.

use crate::interrupt::{Frame, catch, vector};
use crate::{snippet, user};
use core::arch::asm;

/// What is done to the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Load it.
    Read,
    /// Store the instruction RET.
    Write,
    /// Call it, which returns if the byte is RET.
    Fetch,
}

/// The error code of the #PF that `access` to `linear` makes in supervisor mode, if it makes one.
pub fn kernel(access: Access, linear: u64) -> Option<u64> {
    // SAFETY: a fault is caught, and a test lets a probe succeed only on pages of its own.
    let frame = catch(|| unsafe {
        match access {
            Access::Read => asm!("mov al, [{}]", in(reg) linear, out("al") _),
            Access::Write => asm!("mov byte ptr [{}], 0xc3", in(reg) linear),
            Access::Fetch => asm!("call {}", in(reg) linear, clobber_abi("C")),
        }
    });
    frame.map(|frame| error_code(&frame, linear))
}

/// The same in user mode.
pub fn user(access: Access, linear: u64) -> Option<u64> {
    let code = match access {
        Access::Read => snippet!("mov al, [rdi]", "int 0x80"),
        Access::Write => snippet!("mov byte ptr [rdi], 0xc3", "int 0x80"),
        Access::Fetch => snippet!("call rdi", "int 0x80"),
    };
    let frame = user::run_code(code, linear, 0);
    (frame.vector != 0x80).then(|| error_code(&frame, linear))
}

fn error_code(frame: &Frame, linear: u64) -> u64 {
    crate::check_eq!(frame.vector, u64::from(vector::PF), "vector of the access to {linear:#x}");
    crate::check_eq!(frame.cr2, linear, "CR2");
    frame.error_code
}
