//! INT n from user mode needs a gate whose DPL is 3, and is #GP(8n + 2) otherwise; exceptions and their
//! gates do not care (SDM, Privilege Level of Software Interrupts; error codes of IDT references).
//@ qemu: differs: QEMU 7.2 has the vector times 16 in the error code; SDM, INT n, and Error Code: the index of a gate in the IDT is its vector, in 64-bit mode too
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{BP, DE, GP, NP, PF};
use guest_tests::interrupt::{Gate, gate, load_idt, set_gate};
use guest_tests::paging::TEST_AREA;
use guest_tests::{check_eq, snippet, user};

guest_tests::entry!(main);

const fn idt(vector: u64) -> u64 {
    vector * 8 + 2
}

fn main() {
    check_eq!(run(snippet!("int 0x80")), (0x80, 0));
    check_eq!(run(snippet!("int 0x40")), (GP.into(), idt(0x40)), "DPL 0");
    check_eq!(run(snippet!("int 14")), (GP.into(), idt(14)), "INT of an exception's vector");
    check_eq!(run(snippet!("xor ecx, ecx", "div ecx")), (DE.into(), 0), "an exception itself");
    check_eq!(user::run_code(snippet!("mov al, [rdi]"), TEST_AREA, 0).fault(), (PF.into(), 4));

    set_gate(0x80, Gate { present: false, ..gate(0x80) });
    check_eq!(run(snippet!("int 0x80")), (NP.into(), idt(0x80)), "not present");
    set_gate(0x80, Gate { present: false, dpl: 0, ..gate(0x80) });
    check_eq!(run(snippet!("int 0x80")), (GP.into(), idt(0x80)), "privilege before presence");
    set_gate(0x80, Gate { kind: 0, ..Gate::to_stub(0x80) });
    check_eq!(run(snippet!("int 0x80")), (GP.into(), idt(0x80)), "not a gate");
    set_gate(0x80, Gate { selector: 0x10, ..Gate::to_stub(0x80) });
    check_eq!(run(snippet!("int 0x80")), (GP.into(), 0x10), "a gate to a data segment");
    set_gate(0x80, Gate { selector: 0, ..Gate::to_stub(0x80) });
    check_eq!(run(snippet!("int 0x80")), (GP.into(), 0), "a gate to no segment");
    set_gate(BP, Gate { dpl: 0, ..gate(BP) });
    check_eq!(run(snippet!("int3")), (GP.into(), idt(BP.into())), "INT3, DPL 0");
    load_idt(0x80 * 16 - 1);
    check_eq!(run(snippet!("int 0x80")), (GP.into(), idt(0x80)), "behind the table's limit");
}

fn run(code: &[u8]) -> (u64, u64) {
    user::run_code(code, 0, 0).fault()
}
