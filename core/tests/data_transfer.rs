//! MOV, MOVZX, MOVSX, LEA, XCHG, CMOVcc, PUSH, POP and the accumulator's sign extensions against the
//! host's processor.

#![cfg(target_arch = "x86_64")]

mod common;

use common::native::{ALL, compare_all};

#[test]
fn results() {
    compare_all(
        &[
            ("mov ch, dl", &[0x88, 0xd5], ALL),
            ("mov ecx, edx", &[0x89, 0xd1], ALL),
            ("mov cx, [r9]", &[0x66, 0x41, 0x8b, 0x09], ALL),
            ("mov al, [r9]; mov dl, ah", &[0x41, 0x8a, 0x01, 0x88, 0xe2], ALL),
            ("mov rcx, imm64", &[0x48, 0xb9, 1, 2, 3, 4, 5, 6, 7, 0x88], ALL),
            ("mov rcx, -5", &[0x48, 0xc7, 0xc1, 0xfb, 0xff, 0xff, 0xff], ALL),
            ("mov qword [r9], -5", &[0x49, 0xc7, 0x01, 0xfb, 0xff, 0xff, 0xff], ALL),
            ("mov word [r9 + 2], 0x1234", &[0x66, 0x41, 0xc7, 0x41, 2, 0x34, 0x12], ALL),
            ("movzx ecx, dh", &[0x0f, 0xb6, 0xce], ALL),
            ("movzx rcx, word [r9]", &[0x49, 0x0f, 0xb7, 0x09], ALL),
            ("movsx cx, dl", &[0x66, 0x0f, 0xbe, 0xca], ALL),
            ("movsx rcx, byte [r9]", &[0x49, 0x0f, 0xbe, 0x09], ALL),
            ("movsxd rcx, edx", &[0x48, 0x63, 0xca], ALL),
            ("movsxd rcx, [r9]", &[0x49, 0x63, 0x09], ALL),
            ("lea rcx, [rax + rdx*8 - 9]", &[0x48, 0x8d, 0x4c, 0xd0, 0xf7], ALL),
            ("lea cx, [rax + rdx]", &[0x66, 0x8d, 0x0c, 0x10], ALL),
            ("lea rcx, [eax + edx*2]", &[0x67, 0x48, 0x8d, 0x0c, 0x50], ALL),
            ("lea ecx, [rdx*4 + 5]", &[0x8d, 0x0c, 0x95, 5, 0, 0, 0], ALL),
            ("xchg rcx, rdx", &[0x48, 0x87, 0xd1], ALL),
            ("xchg ecx, eax", &[0x91], ALL),
            ("xchg r8d, eax", &[0x41, 0x90], ALL),
            ("xchg ch, dl", &[0x86, 0xd5], ALL),
            ("xchg [r9], rcx", &[0x49, 0x87, 0x09], ALL),
            ("xchg [r9 + 3], cl", &[0x41, 0x86, 0x49, 3], ALL),
            ("cbw", &[0x66, 0x98], ALL),
            ("cwde", &[0x98], ALL),
            ("cdqe", &[0x48, 0x98], ALL),
            ("cwd", &[0x66, 0x99], ALL),
            ("cdq", &[0x99], ALL),
            ("cqo", &[0x48, 0x99], ALL),
            ("push rcx; pop rdx", &[0x51, 0x5a], ALL),
            ("push cx; pop dx", &[0x66, 0x51, 0x66, 0x5a], ALL),
            ("push -2; pop rdx", &[0x6a, 0xfe, 0x5a], ALL),
            ("push qword [r9]; pop qword [r9 + 8]", &[0x41, 0xff, 0x31, 0x41, 0x8f, 0x41, 8], ALL),
            // POP computes an address with RSP after it has moved.
            ("push rax; push rcx; pop [rsp]; pop rdx", &[0x50, 0x51, 0x8f, 0x04, 0x24, 0x5a], ALL),
            ("enter 16, 0; leave", &[0xc8, 16, 0, 0, 0xc9], ALL),
        ],
        150,
    );
}

#[test]
fn conditional_moves_and_sets() {
    let mut rows = Vec::new();
    for code in 0..16_u8 {
        rows.push((format!("cmov{code:x} rcx, rdx"), vec![0x48, 0x0f, 0x40 | code, 0xca]));
        rows.push((format!("cmov{code:x} ecx, edx"), vec![0x0f, 0x40 | code, 0xca]));
        rows.push((format!("cmov{code:x} cx, [r9]"), vec![0x66, 0x41, 0x0f, 0x40 | code, 0x09]));
        rows.push((format!("set{code:x} ch"), vec![0x0f, 0x90 | code, 0xc5]));
        rows.push((format!("set{code:x} [r9]"), vec![0x41, 0x0f, 0x90 | code, 0x01]));
        rows.push((format!("cmp; set{code:x}"), vec![0x39, 0xc8, 0x0f, 0x90 | code, 0xc2]));
    }
    let rows: Vec<_> = rows.iter().map(|(name, code)| (&**name, &**code, ALL)).collect();
    compare_all(&rows, 60);
}

/// SDM, "Segmentation in 64-Bit Mode": an override of a segment without base does not choose between
/// #GP and #SS; and an address that is not canonical is looked at before its alignment.
#[test]
fn addresses_that_are_not_canonical() {
    use common::guest::{CODE, End, Guest};
    use monovisor_core::state::{Cr0Flags, Exception, RFlags, Register};
    const BAD: u64 = 0x1234_5678_9abc_def1;
    for (code, exception) in [
        (&[0x36, 0x8b, 0x03][..], Exception::GP0), // mov eax, ss:[rbx]
        (&[0x36, 0xc1, 0x03, 1], Exception::GP0),  // rol dword ss:[rbx], 1
        (&[0x3e, 0x8b, 0x45, 0], Exception::SS0),  // mov eax, ds:[rbp]
        (&[0x8b, 0x45, 0], Exception::SS0),        // mov eax, [rbp]
        (&[0xc1, 0x45, 0, 1], Exception::SS0),     // rol dword [rbp], 1
        (&[0x48, 0x0f, 0xc1, 0x03], Exception::GP0), // xadd [rbx], rax
    ] {
        let mut guest = Guest::user_mode();
        guest.state.control.cr0 |= Cr0Flags::ALIGNMENT_MASK;
        guest.state.rflags |= RFlags::ALIGNMENT_CHECK;
        guest.state.rip = CODE;
        guest.set(Register::Rbx, BAD);
        guest.set(Register::Rbp, BAD);
        assert_eq!(guest.run(code), End::Fault(exception), "{code:x?}");
        // Partly so is enough.
        guest.state.rip = CODE;
        guest.set(Register::Rbx, 0x7fff_ffff_ffff);
        guest.set(Register::Rbp, 0x7fff_ffff_ffff);
        assert_eq!(guest.run(code), End::Fault(exception), "{code:x?}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn loads_and_stores_in_reverse() {
    use common::native::{ALL, compare_all};
    if !is_x86_feature_detected!("movbe") {
        eprintln!("skipped: this processor lacks the instructions");
        return;
    }
    compare_all(
        &[
            ("movbe rax, [r9]", &[0x49, 0x0f, 0x38, 0xf0, 0x01], ALL),
            ("movbe eax, [r9]", &[0x41, 0x0f, 0x38, 0xf0, 0x01], ALL),
            ("movbe ax, [r9]", &[0x66, 0x41, 0x0f, 0x38, 0xf0, 0x01], ALL),
            ("movbe [r9], rcx", &[0x49, 0x0f, 0x38, 0xf1, 0x09], ALL),
            ("movbe [r9], ecx", &[0x41, 0x0f, 0x38, 0xf1, 0x09], ALL),
            ("movbe [r9], cx", &[0x66, 0x41, 0x0f, 0x38, 0xf1, 0x09], ALL),
        ],
        300,
    );
}
