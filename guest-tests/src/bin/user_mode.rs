//! IRETQ to CPL 3, a privileged instruction there, and `int 0x80` back: registers, selectors and
//! flags arrive as they were (SDM, IRET; INT n).

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::GP;
use guest_tests::segment::{USER_CODE, USER_DATA};
use guest_tests::user::{self, STACK_TOP};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

fn main() {
    let left = user::run_code(snippet!("lea rax, [rdi + rsi]", "push rax", "int 0x80"), 40, 2);
    check_eq!(left.vector, 0x80);
    check_eq!(left.rax, 42);
    check_eq!(left.rip, user::CODE + 7);
    check_eq!(left.cs, u64::from(USER_CODE));
    check_eq!(left.ss, u64::from(USER_DATA));
    check_eq!(left.rsp, STACK_TOP - 8);
    check_eq!(left.cpl(), 3);

    let denied = user::run_code(snippet!("cli"), 0, 0);
    check_eq!(denied.fault(), (GP.into(), 0));
    check_eq!(denied.rip, user::CODE);
}
