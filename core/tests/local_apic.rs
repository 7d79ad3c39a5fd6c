//! The local APIC as instructions reach it, in memory.

mod common;

use common::guest::{End, Guest, PAGES, WRITABLE};
use monovisor_core::state::{Exception, RFlags, Register, Vector};

/// Where the local APIC is in physical memory.
const APIC: u64 = 0xfee0_0000;

/// 64-bit mode with the local APIC at [`PAGES`], which is in RBX, too.
fn guest() -> Guest {
    let mut guest = Guest::long_mode();
    guest.map_to(PAGES, APIC, WRITABLE);
    guest.set(Register::Rbx, PAGES);
    guest
}

#[test]
fn every_interrupt_to_itself_is_requested() {
    let mut guest = guest();
    let mut code = vec![0xc7, 0x83, 0xf0, 0, 0, 0, 0xff, 1, 0, 0]; // mov dword [rbx + 0xf0], 0x1ff
    for vector in [0x45, 0x75, 0x61, 0x62] {
        code.extend([0xc7, 0x83, 0x10, 3, 0, 0, 0, 0, 0, 0]); // mov dword [rbx + 0x310], 0
        code.extend([0xc7, 0x83, 0, 3, 0, 0, vector, 0, 4, 0]); // mov dword [rbx + 0x300], ..
    }
    code.extend([0x8b, 0x83, 0x20, 2, 0, 0]); // mov eax, [rbx + 0x220]
    code.extend([0x8b, 0x8b, 0x30, 2, 0, 0]); // mov ecx, [rbx + 0x230]
    code.extend([0x8b, 0x93, 0x30, 2, 0, 0]); // mov edx, [rbx + 0x230]
    assert_eq!(guest.run(&code), End::Done);
    let requested = [Register::Rax, Register::Rcx, Register::Rdx].map(|name| guest.get(name));
    assert_eq!(requested, [1 << 5, 1 << 1 | 1 << 2 | 1 << 21, 1 << 1 | 1 << 2 | 1 << 21]);
}

#[test]
fn a_single_step_follows_a_read() {
    let mut guest = guest();
    guest.state.rflags.insert(RFlags::TRAP_FLAG);
    let end = guest.run(&[0x8b, 0x43, 0x30, 0x90]); // mov eax, [rbx + 0x30]; nop
    let payload = 1 << 14; // DR6: single step
    let step = Exception { vector: Vector::Debug, error_code: None, payload };
    assert_eq!(end, End::Fault(step));
    assert_eq!(guest.get(Register::Rax) & 0xff, 0x14, "the version");
}
