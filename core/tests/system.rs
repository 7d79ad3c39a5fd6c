//! System instructions: who may execute them, and what they change.

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES, WRITABLE};
use monovisor_core::state::{Cr0Flags, Cr4Flags, Exception, Register, SegmentRegister, Vector};

const GP0: End = End::Fault(Exception::GP0);
const UD: End = End::Fault(Exception::UD);

#[test]
fn user_mode_may_not() {
    let privileged: [(&str, &[u8]); 22] = [
        ("lgdt [r9]", &[0x41, 0x0f, 0x01, 0x11]),
        ("lidt [r9]", &[0x41, 0x0f, 0x01, 0x19]),
        ("lldt ax", &[0x0f, 0x00, 0xd0]),
        ("ltr ax", &[0x0f, 0x00, 0xd8]),
        ("lmsw ax", &[0x0f, 0x01, 0xf0]),
        ("clts", &[0x0f, 0x06]),
        ("invlpg [r9]", &[0x41, 0x0f, 0x01, 0x39]),
        ("invd", &[0x0f, 0x08]),
        ("wbinvd", &[0x0f, 0x09]),
        ("hlt; nop", &[0xf4, 0x90]),
        ("rdmsr", &[0x0f, 0x32]),
        ("wrmsr", &[0x0f, 0x30]),
        ("rdpmc", &[0x0f, 0x33]),
        ("swapgs", &[0x0f, 0x01, 0xf8]),
        ("sysretq", &[0x48, 0x0f, 0x07]),
        ("mov cr0, rax", &[0x0f, 0x22, 0xc0]),
        ("mov rax, cr0", &[0x0f, 0x20, 0xc0]),
        ("mov rax, cr2", &[0x0f, 0x20, 0xd0]),
        ("mov cr3, rax", &[0x0f, 0x22, 0xd8]),
        ("mov rax, cr8", &[0x44, 0x0f, 0x20, 0xc0]),
        ("mov dr0, rax", &[0x0f, 0x23, 0xc0]),
        ("mov rax, dr7", &[0x0f, 0x21, 0xf8]),
    ];
    let mut guest = Guest::user_mode();
    for (name, code) in privileged {
        guest.set(Register::R9, DATA);
        assert_eq!(guest.run(code), GP0, "{name}");
        assert_eq!(guest.state.rip, CODE, "{name}");
    }
}

/// SDM, "User-Mode Instruction Prevention".
#[test]
fn tables_are_hidden_from_user_mode() {
    let rows: [(&str, &[u8]); 7] = [
        ("sgdt [r9]", &[0x41, 0x0f, 0x01, 0x01]),
        ("sidt [r9]", &[0x41, 0x0f, 0x01, 0x09]),
        ("sldt ax", &[0x66, 0x0f, 0x00, 0xc0]),
        ("sldt [r9]", &[0x41, 0x0f, 0x00, 0x01]),
        ("str ax", &[0x66, 0x0f, 0x00, 0xc8]),
        ("smsw ax", &[0x66, 0x0f, 0x01, 0xe0]),
        ("smsw [r9]", &[0x41, 0x0f, 0x01, 0x21]),
    ];
    for (name, code) in rows {
        for (hidden, user, expected) in
            [(true, true, GP0), (true, false, End::Done), (false, true, End::Done)]
        {
            let mut guest = if user { Guest::user_mode() } else { Guest::long_mode() };
            guest.state.control.cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, hidden);
            guest.set(Register::R9, DATA);
            assert_eq!(guest.run(code), expected, "{name} {hidden} {user}");
        }
    }
}

#[test]
fn processor_numbers_and_serialization_are_for_all() {
    let mut guest = Guest::user_mode();
    guest.state.control.cr4 |= Cr4Flags::TIMESTAMP_DISABLE;
    guest.state.msr.tsc_aux = 0x1234;
    // rdpid rax; serialize
    assert_eq!(with_rax(&mut guest, u64::MAX, &[0xf3, 0x0f, 0xc7, 0xf8]), End::Done);
    assert_eq!(guest.get(Register::Rax), 0x1234);
    assert_eq!(with_rax(&mut guest, 0, &[0x0f, 0x01, 0xe8]), End::Done);
}

#[test]
fn what_does_not_exist_is_undefined() {
    let undefined: [(&str, &[u8]); 8] = [
        ("ud2", &[0x0f, 0x0b]),
        ("mov cr1, rax", &[0x0f, 0x22, 0xc8]),
        ("mov cr7, rax", &[0x0f, 0x22, 0xf8]),
        ("mov dr8, rax", &[0x44, 0x0f, 0x23, 0xc0]),
        ("mov cs, ax", &[0x8e, 0xc8]),
        ("monitor", &[0x0f, 0x01, 0xc8]),
        ("vmcall", &[0x0f, 0x01, 0xc1]),
        ("mwait", &[0x0f, 0x01, 0xc9]),
    ];
    let mut guest = Guest::long_mode();
    for (name, code) in undefined {
        assert_eq!(guest.run(code), UD, "{name}");
    }
}

/// Executes `code` with RAX set.
fn with_rax(guest: &mut Guest, rax: u64, code: &[u8]) -> End {
    guest.state.rip = CODE;
    guest.set(Register::Rax, rax);
    guest.run(code)
}

#[test]
fn control_registers_are_written_and_read_back() {
    let mut guest = Guest::long_mode();
    let cr4 = (guest.state.control.cr4 | Cr4Flags::PAGE_GLOBAL).bits();
    // mov cr4, rax; mov rcx, cr4
    let code = [0x0f, 0x22, 0xe0, 0x0f, 0x20, 0xe1];
    assert_eq!(with_rax(&mut guest, cr4, &code), End::Done);
    assert_eq!(guest.get(Register::Rcx), cr4);
    // Reserved bits, and PAE cleared in IA-32e mode.
    assert_eq!(with_rax(&mut guest, cr4 | 1 << 40, &code), GP0);
    let pae = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits();
    assert_eq!(with_rax(&mut guest, cr4 & !pae, &code), GP0);
    // mov cr8, rax; mov rcx, cr8
    let code = [0x44, 0x0f, 0x22, 0xc0, 0x44, 0x0f, 0x20, 0xc1];
    assert_eq!(with_rax(&mut guest, 7, &code), End::Done);
    assert_eq!(guest.get(Register::Rcx), 7);
    assert_eq!(with_rax(&mut guest, 16, &code), GP0);
    // Paging can't go off in 64-bit mode.
    let cr0 = guest.state.control.cr0 & !Cr0Flags::PAGING;
    assert_eq!(with_rax(&mut guest, cr0.bits(), &[0x0f, 0x22, 0xc0]), GP0);
}

/// A store through an entry that was changed reaches the new page only when the old translation is
/// forgotten.
#[test]
fn invlpg_and_cr3_forget_translations() {
    let invlpg: &[u8] = &[0x41, 0x0f, 0x01, 0x38];
    let cr3: &[u8] = &[0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8];
    for forget in [invlpg, cr3] {
        let mut guest = Guest::long_mode();
        guest.set(Register::R8, PAGES);
        guest.set(Register::R9, 0x4000);
        guest.set(Register::Rcx, (PAGES + 0x1000) | WRITABLE);
        guest.ram.write(PAGES + 0x1000, &[0x11]);
        // mov dl, [r8]; mov [r9], rcx; <forget>; mov dl, [r8]
        let code = [&[0x41, 0x8a, 0x10, 0x49, 0x89, 0x09], forget, &[0x41, 0x8a, 0x10]].concat();
        assert_eq!(guest.run(&code), End::Done);
        assert_eq!(guest.get(Register::Rdx) & 0xff, 0x11, "{forget:02x?}");
    }
}

/// Code that was translated while SSE was available raises #NM when CR0.TS is set, however it is
/// reached.
#[test]
fn task_switched_flag_is_seen_by_translated_code() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdx, CODE + 0x2000);
    // xorps xmm0, xmm0; ret, in another page
    guest.ram.write(CODE + 0x2000, &[0x0f, 0x57, 0xc0, 0xc3]);
    // call rdx; mov rax, cr0; or al, 8; mov cr0, rax; call rdx
    let code = [0xff, 0xd2, 0x0f, 0x20, 0xc0, 0x0c, 8, 0x0f, 0x22, 0xc0, 0xff, 0xd2];
    assert_eq!(guest.run(&code), End::Fault(Exception::NM));
    assert_eq!(guest.state.rip, CODE + 0x2000);
}

#[test]
fn debug_registers() {
    let mut guest = Guest::long_mode();
    // mov dr6, rax; mov rcx, dr4
    let code = [0x0f, 0x23, 0xf0, 0x0f, 0x21, 0xe1];
    assert_eq!(with_rax(&mut guest, 0xf, &code), End::Done);
    assert_eq!(guest.get(Register::Rcx), 0xffff_0fff, "DR4 is DR6, whose reserved bits are ones");
    assert_eq!(with_rax(&mut guest, 1 << 32, &code), GP0);
    guest.state.control.cr4 |= Cr4Flags::DEBUGGING_EXTENSIONS;
    assert_eq!(with_rax(&mut guest, 0, &[0x0f, 0x21, 0xe1]), UD);
    // mov dr7, rax with GD; the next access is detected.
    let end = with_rax(&mut guest, 1 << 13, &[0x0f, 0x23, 0xf8, 0x0f, 0x21, 0xc1]);
    let End::Fault(exception) = end else { panic!("{end:?}") };
    assert_eq!((exception.vector, exception.payload), (Vector::Debug, 1 << 13));
    assert_eq!(guest.state.rip, CODE + 3);
}

#[test]
fn descriptor_table_registers() {
    let mut guest = Guest::long_mode();
    guest.set(Register::R9, DATA);
    guest.ram.write(DATA, &[&[0x7f, 0][..], &0xffff_8000_0012_3456_u64.to_le_bytes()].concat());
    // lgdt [r9]; sgdt [r9 + 16]
    assert_eq!(guest.run(&[0x41, 0x0f, 0x01, 0x11, 0x41, 0x0f, 0x01, 0x41, 16]), End::Done);
    assert_eq!(guest.state.gdtr.base, 0xffff_8000_0012_3456);
    assert_eq!(guest.bytes(DATA + 16, 10), guest.bytes(DATA, 10));
    // A base that is not canonical.
    guest.ram.write(DATA + 2, &(1_u64 << 60).to_le_bytes());
    guest.state.rip = CODE;
    assert_eq!(guest.run(&[0x41, 0x0f, 0x01, 0x19]), GP0);
    // 24 bits of the base with 16-bit operands.
    let mut guest = Guest::protected();
    guest.set(Register::Rax, DATA);
    guest.ram.write(DATA, &[0xff, 3, 0x78, 0x56, 0x34, 0x12]);
    assert_eq!(guest.run(&[0x66, 0x0f, 0x01, 0x10]), End::Done);
    assert_eq!((guest.state.gdtr.base, guest.state.gdtr.limit), (0x34_5678, 0x3ff));
}

#[test]
fn model_specific_registers_and_clocks() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rcx, 0xc000_0100);
    guest.set(Register::Rdx, 0xffff_8000);
    // wrmsr; rdmsr
    assert_eq!(with_rax(&mut guest, 0x1234_5678, &[0x0f, 0x30, 0x0f, 0x32]), End::Done);
    assert_eq!(guest.state.segments[SegmentRegister::Fs].base, 0xffff_8000_1234_5678);
    assert_eq!(guest.get(Register::Rdx), 0xffff_8000);
    guest.set(Register::Rcx, 0x1234_5678);
    assert_eq!(with_rax(&mut guest, 0, &[0x0f, 0x32]), GP0);
    // rdtsc twice; rdtscp
    guest.state.msr.tsc_aux = 7;
    let code = [0x0f, 0x31, 0x89, 0xc3, 0x90, 0x0f, 0x01, 0xf9];
    assert_eq!(with_rax(&mut guest, 0, &code), End::Done);
    assert!(guest.get(Register::Rax) >= guest.get(Register::Rbx));
    assert_eq!(guest.get(Register::Rcx), 7);
    let mut user = Guest::user_mode();
    assert_eq!(user.run(&[0x0f, 0x31]), End::Done);
    user.state.rip = CODE;
    user.state.control.cr4 |= Cr4Flags::TIMESTAMP_DISABLE;
    assert_eq!(user.run(&[0x0f, 0x31]), GP0);
}

#[test]
fn control_registers_load_the_pointers_of_pae_paging() {
    const POINTERS: u64 = 0x9000;
    let mut guest = Guest::protected();
    let large = |page: u64| page << 21 | 0x83;
    for page in 0..512 {
        guest.ram.write(0xa000 + page * 8, &large(page).to_le_bytes());
    }
    let put = |guest: &Guest, number: u64, entry: u64| {
        guest.ram.write(POINTERS + number * 8, &entry.to_le_bytes());
    };
    put(&guest, 0, 0xa001);
    guest.state.control.cr3 = POINTERS;
    guest.state.control.cr4 |= Cr4Flags::PHYSICAL_ADDRESS_EXTENSION;
    let paged = guest.state.control.cr0.bits() | 1 << 31;
    guest.set(Register::Rax, paged);
    guest.set(Register::Rbx, POINTERS);
    guest.set(Register::Rsi, POINTERS);
    guest.set(Register::Rdi, 1 << 30);
    // mov cr0, eax; mov dword [esi + 8], 0xa001; mov ecx, [edi]
    let mut code = vec![0x0f, 0x22, 0xc0, 0xc7, 0x46, 0x08, 0x01, 0xa0, 0, 0];
    code.extend([0x8b, 0x0f]);
    let End::Fault(fault) = guest.run(&code) else { panic!("it was not loaded") };
    assert_eq!((fault.vector, fault.payload), (Vector::PageFault, 1 << 30));
    // mov cr3, ebx in front of the load
    guest.state.control.cr0.remove(Cr0Flags::PAGING);
    guest.state.rip = CODE;
    put(&guest, 1, 0);
    code.splice(10..10, [0x0f, 0x22, 0xdb]);
    assert_eq!(guest.run(&code), End::Done);
    // A reserved bit is the load's fault, which then loads nothing.
    put(&guest, 2, 0xa003);
    guest.state.rip = CODE;
    assert_eq!(guest.run(&[0x0f, 0x22, 0xdb]), End::Fault(Exception::GP0));
    assert_eq!(guest.state.rip, CODE);
}
