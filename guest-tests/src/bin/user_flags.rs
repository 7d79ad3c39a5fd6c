//! Flags that user mode can't change: IOPL never, IF only with IOPL 3; POPF and IRET keep them without a
//! word, CLI and STI are #GP(0) (SDM, POPF; CLI).
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::device::pic;
use guest_tests::interrupt::vector::GP;
use guest_tests::register::rflags::{IF, IOPL};
use guest_tests::user::{self, Context};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

const RESERVED: u64 = 1 << 1;

fn main() {
    // With IF set, a timer that firmware has left running would end user mode.
    pic::init();
    let popf = snippet!("push rdi", "popfq", "int 0x80");
    // What the popped image may change: DF, ID and the like are left out.
    let flags = |start: u64, popped: u64| run(popf, start, popped).1 & (IF | IOPL);
    check_eq!(flags(RESERVED, RESERVED | IF | IOPL), 0, "POPF with IOPL 0");
    check_eq!(flags(RESERVED | IF, RESERVED), IF, "POPF keeps IF with IOPL 0");
    check_eq!(flags(RESERVED | IOPL, RESERVED | IF), IOPL | IF, "POPF with IOPL 3 sets IF only");
    check_eq!(flags(RESERVED | IOPL | IF, RESERVED), IOPL, "POPF with IOPL 3 clears IF only");

    let iret = snippet!(
        "mov eax, ss",
        "push rax",
        "lea rax, [rsp + 8]",
        "push rax",
        "push rdi",
        "mov eax, cs",
        "push rax",
        "lea rax, [rip + 5f]",
        "push rax",
        "iretq",
        "5: int 0x80",
    );
    check_eq!(run(iret, RESERVED, RESERVED | IF | IOPL).1 & (IF | IOPL), 0, "IRETQ with IOPL 0");
    check_eq!(
        run(iret, RESERVED | IOPL, RESERVED | IF).1 & (IF | IOPL),
        IOPL | IF,
        "IRETQ, IOPL 3"
    );

    for (code, name) in [(snippet!("cli", "int 0x80"), "CLI"), (snippet!("sti", "int 0x80"), "STI")]
    {
        check_eq!(run(code, RESERVED, 0).0, u64::from(GP), "{name} with IOPL 0");
        check_eq!(run(code, RESERVED | IOPL, 0).0, 0x80, "{name} with IOPL 3");
    }
}

/// The vector that left user mode, and its flags then.
fn run(code: &[u8], rflags: u64, rdi: u64) -> (u64, u64) {
    user::map(code);
    let frame = user::run(Context { rflags, rdi, ..Context::default() });
    (frame.vector, frame.rflags)
}
