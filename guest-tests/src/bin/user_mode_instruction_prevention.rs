//! CR4.UMIP: SGDT, SIDT, SLDT, STR and SMSW are for privilege level 0, #GP(0) in user mode (SDM, CR4.UMIP).

#![no_std]
#![no_main]

use guest_tests::cpu::{cpuid, cr4, set_cr4};
use guest_tests::interrupt::vector::GP;
use guest_tests::register::cr4::UMIP;
use guest_tests::segment::TASK;
use guest_tests::{check_eq, snippet, user};

guest_tests::entry!(main);

fn main() {
    assert!(cpuid(7, 0).ecx & 1 << 2 != 0, "CPUID offers no UMIP");
    let instructions = [
        ("SGDT", snippet!("sgdt [rsp - 16]", "int 0x80")),
        ("SIDT", snippet!("sidt [rsp - 16]", "int 0x80")),
        ("SLDT", snippet!("sldt eax", "int 0x80")),
        ("SLDT to memory", snippet!("sldt [rsp - 16]", "int 0x80")),
        ("STR", snippet!("str eax", "int 0x80")),
        ("SMSW", snippet!("smsw eax", "int 0x80")),
        ("SMSW to memory", snippet!("smsw [rsp - 16]", "int 0x80")),
    ];
    for prevented in [true, false, true] {
        // SAFETY: user mode alone is concerned.
        unsafe { set_cr4(if prevented { cr4() | UMIP } else { cr4() & !UMIP }) };
        for (name, code) in instructions {
            let frame = user::run_code(code, 0, 0);
            let fault = (frame.vector != 0x80).then(|| frame.fault());
            let expected = prevented.then_some((u64::from(GP), 0));
            check_eq!(fault, expected, "{name} in user mode, UMIP {prevented}");
        }
        let task: u64;
        // SAFETY: STR changes nothing but its operand.
        unsafe { core::arch::asm!("str {}", out(reg) task) };
        check_eq!(task, u64::from(TASK), "STR in supervisor mode");
    }
}
