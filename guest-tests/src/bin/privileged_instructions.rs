//! Privileged instructions in user mode: #GP(0) each, at the instruction (SDM, Privileged Instructions).
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::GP;
use guest_tests::{check_eq, snippet, user};

guest_tests::entry!(main);

fn main() {
    for (code, name) in [
        (snippet!("hlt"), "HLT"),
        (snippet!("lgdt [rdi]"), "LGDT"),
        (snippet!("lidt [rdi]"), "LIDT"),
        (snippet!("lldt ax"), "LLDT"),
        (snippet!("ltr ax"), "LTR"),
        (snippet!("lmsw ax"), "LMSW"),
        (snippet!("clts"), "CLTS"),
        (snippet!("mov rax, cr0"), "MOV from CR0"),
        (snippet!("mov rax, cr2"), "MOV from CR2"),
        (snippet!("mov rax, cr3"), "MOV from CR3"),
        (snippet!("mov rax, cr4"), "MOV from CR4"),
        (snippet!("mov rax, cr8"), "MOV from CR8"),
        (snippet!("mov cr0, rax"), "MOV to CR0"),
        (snippet!("mov cr3, rax"), "MOV to CR3"),
        (snippet!("mov cr4, rax"), "MOV to CR4"),
        (snippet!("mov cr8, rax"), "MOV to CR8"),
        (snippet!("mov rax, dr0"), "MOV from DR0"),
        (snippet!("mov dr7, rax"), "MOV to DR7"),
        (snippet!("invd"), "INVD"),
        (snippet!("wbinvd"), "WBINVD"),
        (snippet!("invlpg [rdi]"), "INVLPG"),
        (snippet!("rdmsr"), "RDMSR"),
        (snippet!("wrmsr"), "WRMSR"),
        (snippet!("swapgs"), "SWAPGS"),
        (snippet!("sysretq"), "SYSRET"),
        (snippet!("in al, 0x80"), "IN"),
        (snippet!("out 0x80, al"), "OUT"),
        (snippet!("rep insb"), "INS"),
        (snippet!("outsd"), "OUTS"),
    ] {
        let fault = user::run_code(code, 0, 0);
        check_eq!(fault.fault(), (u64::from(GP), 0), "{name}");
        check_eq!(fault.rip, user::CODE, "{name}");
        check_eq!(fault.cpl(), 3, "{name}");
    }
    let harmless =
        user::run_code(snippet!("smsw eax", "sgdt [rsi]", "str ax", "int 0x80"), 0, BELOW);
    check_eq!(harmless.vector, 0x80, "SMSW, SGDT and STR without UMIP");
}

const BELOW: u64 = user::STACK_TOP - 64;
