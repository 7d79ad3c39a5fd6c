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

/// "Relocating the Local APIC Registers": the page is where IA32_APIC_BASE says, over RAM, too, which is
/// there again when the page has gone on, or when the APIC is off.
#[test]
fn the_page_moves_over_ram_and_away() {
    const HIDDEN: u64 = 0x5000;
    /// IA32_APIC_BASE of the bootstrap processor: on.
    const ON: u32 = 0x900;
    let mut guest = Guest::long_mode();
    guest.map_to(PAGES, HIDDEN, WRITABLE);
    guest.set(Register::Rbx, PAGES);
    let mut code = vec![0xc7, 0x43, 0x30, 0x78, 0x56, 0x34, 0x12]; // mov dword [rbx + 0x30], 0x12345678
    let base = |code: &mut Vec<u8>, low: u32| {
        code.extend([0xb9, 0x1b, 0, 0, 0, 0x31, 0xd2, 0xb8]); // mov ecx, 0x1b; xor edx, edx; mov eax, low
        code.extend(low.to_le_bytes());
        code.extend([0x0f, 0x30]); // wrmsr
    };
    base(&mut code, HIDDEN as u32 | ON);
    code.extend([0x44, 0x8b, 0x43, 0x30]); // mov r8d, [rbx + 0x30]
    code.extend([0xc7, 0x43, 0x30, 0, 0, 0, 0]); // mov dword [rbx + 0x30], 0
    base(&mut code, APIC as u32 | ON);
    code.extend([0x44, 0x8b, 0x4b, 0x30]); // mov r9d, [rbx + 0x30]
    base(&mut code, HIDDEN as u32 | ON);
    base(&mut code, HIDDEN as u32 | 0x100);
    code.extend([0x44, 0x8b, 0x53, 0x30]); // mov r10d, [rbx + 0x30]
    assert_eq!(guest.run(&code), End::Done);
    let found = [Register::R8, Register::R9, Register::R10].map(|name| guest.get(name));
    assert_eq!(found, [0x0105_0014, 0x1234_5678, 0x1234_5678]);
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
