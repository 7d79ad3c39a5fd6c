//! What instructions do in virtual-8086 mode, and how its extensions and those of protected mode
//! change that. How the mode is entered and left is tested beside `interrupt`.

mod common;

use common::guest::{CODE, DATA, End, Guest};
use monovisor_core::Exit;
use monovisor_core::state::{Cr4Flags, Exception, RFlags, Register, SegmentRegister};

const VM: u64 = 1 << 17;
const IOPL_3: u64 = 3 << 12;
const IF: u64 = 1 << 9;
const TF: u64 = 1 << 8;
const VIF: u64 = 1 << 19;
const VIP: u64 = 1 << 20;
const VME: Cr4Flags = Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS;
const PVI: Cr4Flags = Cr4Flags::PROTECTED_MODE_VIRTUAL_INTERRUPTS;
const GP: End = End::Fault(Exception::GP0);
const UD: End = End::Fault(Exception::UD);
const SP: u64 = 0xfff0;

const CLI: &[u8] = &[0xfa];
const STI: &[u8] = &[0xfb];
const PUSHF: &[u8] = &[0x9c];
const PUSHFD: &[u8] = &[0x66, 0x9c];
const POPF: &[u8] = &[0x9d];
const POPFD: &[u8] = &[0x66, 0x9d];

fn guest(flags: u64, extensions: Cr4Flags) -> Guest {
    let mut guest = Guest::virtual_8086();
    guest.state.rflags = RFlags::from_bits_retain(flags | VM | 2);
    guest.state.control.cr4 |= extensions;
    guest
}

/// The flags behind `code`, without those that never change here; `None` for #GP(0).
fn changed(mut guest: Guest, code: &[u8]) -> Option<u64> {
    match guest.run(code) {
        End::Done => Some(guest.state.rflags.bits() & !VM & !2),
        end => {
            assert_eq!(end, GP, "{code:02x?}");
            None
        }
    }
}

#[test]
fn interrupt_flag() {
    let none = Cr4Flags::empty();
    let cases = [
        (IOPL_3 | IF, none, CLI, Some(IOPL_3)),
        (IOPL_3, none, STI, Some(IOPL_3 | IF)),
        (IF, none, CLI, None),
        (0, none, STI, None),
        (IF, PVI, CLI, None),
        (IF | VIF, VME, CLI, Some(IF)),
        (IF, VME, STI, Some(IF | VIF)),
        (VIP, VME, STI, None),
        (VIP, VME, CLI, Some(VIP)),
        (IOPL_3 | VIF | IF, VME, CLI, Some(IOPL_3 | VIF)),
    ];
    for (flags, extensions, code, expected) in cases {
        assert_eq!(changed(guest(flags, extensions), code), expected, "{flags:#x} {code:02x?}");
    }
}

/// With VIF and VIP both set the supervisor has the next instruction's place, whatever it is.
#[test]
fn a_virtual_interrupt_that_is_due_is_a_fault() {
    const NOP: &[u8] = &[0x90];
    type Machine = fn() -> Guest;
    let virtual_8086: Machine = Guest::virtual_8086;
    let user: Machine = Guest::user_mode;
    let supervisor: Machine = Guest::long_mode;
    let cases = [
        (virtual_8086, VIF | VIP, VME, GP),
        (virtual_8086, VIF | VIP | IOPL_3, VME, End::Done),
        (virtual_8086, VIF | VIP, PVI, End::Done),
        (virtual_8086, VIF, VME, End::Done),
        (virtual_8086, VIP, VME, End::Done),
        (user, VIF | VIP, PVI, GP),
        (user, VIF | VIP | IOPL_3, PVI, End::Done),
        (user, VIF | VIP, VME, End::Done),
        (user, VIP, PVI, End::Done),
        (supervisor, VIF | VIP, PVI, End::Done),
    ];
    for (machine, flags, extensions, expected) in cases {
        let mut guest = machine();
        guest.state.rflags |= RFlags::from_bits_retain(flags);
        guest.state.control.cr4 |= extensions;
        let rip = guest.state.rip;
        assert_eq!(guest.run(NOP), expected, "{flags:#x} with {extensions:?}");
        assert_eq!(guest.state.rflags.bits() & (VIF | VIP), flags & (VIF | VIP));
        if expected == GP {
            assert_eq!(guest.state.rip, rip, "the instruction is not executed");
        }
    }
}

#[test]
fn protected_mode_has_a_virtual_interrupt_flag_too() {
    let cases = [
        (0, PVI, STI, Some(VIF)),
        (VIF | IF, PVI, CLI, Some(IF)),
        (VIP, PVI, STI, None),
        (0, VME, STI, None),
        (IOPL_3, PVI, STI, Some(IOPL_3 | IF)),
        // POPF knows nothing of it.
        (VIF, PVI, POPF, Some(VIF)),
        (VIP, PVI, POPF, Some(VIP)),
    ];
    for (flags, extensions, code, expected) in cases {
        let mut guest = Guest::user_mode();
        guest.state.rflags = RFlags::from_bits_retain(flags | 2);
        guest.state.control.cr4 |= extensions;
        assert_eq!(changed(guest, code), expected, "{flags:#x} {code:02x?}");
    }
}

#[test]
fn flags_are_pushed_as_the_program_knows_them() {
    let none = Cr4Flags::empty();
    let cases = [
        (IOPL_3 | IF, none, PUSHF, Some(IOPL_3 | IF | 2)),
        (IOPL_3 | IF | VIP | 1 << 18, none, PUSHFD, Some(IOPL_3 | IF | VIP | 1 << 18 | 2)),
        (IF, none, PUSHF, None),
        (IF, VME, PUSHF, Some(IOPL_3 | 2)),
        (VIF, VME, PUSHF, Some(IOPL_3 | IF | 2)),
        (VIF, VME, PUSHFD, None),
    ];
    for (flags, extensions, code, expected) in cases {
        let mut guest = guest(flags, extensions);
        let end = guest.run(code);
        assert_eq!(end == End::Done, expected.is_some(), "{flags:#x} {code:02x?}");
        let pushed = SP - guest.get(Register::Rsp);
        let image = guest.bytes(CODE + SP - pushed, pushed as usize);
        let image = image.iter().rev().fold(0, |image, &byte| image << 8 | u64::from(byte));
        assert_eq!(image, expected.unwrap_or(0), "{flags:#x} {code:02x?}");
    }
}

#[test]
fn flags_are_popped_as_far_as_they_are_the_programs() {
    const CF: u64 = 1;
    let none = Cr4Flags::empty();
    let cases = [
        (IOPL_3, none, POPF, IF | CF, Some(IOPL_3 | IF | CF)),
        (IOPL_3 | IF, none, POPFD, VM | VIF | VIP | CF, Some(IOPL_3 | CF)),
        (IOPL_3 | VIP, none, POPFD, 0, Some(IOPL_3 | VIP)),
        (0, none, POPF, 0, None),
        (0, VME, POPF, IF | CF | IOPL_3, Some(VIF | CF)),
        (IF | VIF, VME, POPF, 0, Some(IF)),
        (VIP, VME, POPF, IF, None),
        (VIP, VME, POPF, CF, Some(VIP | CF)),
        (0, VME, POPF, TF, None),
        (0, VME, POPFD, 0, None),
    ];
    for (flags, extensions, code, image, expected) in cases {
        let guest = guest(flags, extensions);
        guest.ram.write(CODE + SP, &(image as u32).to_le_bytes());
        assert_eq!(changed(guest, code), expected, "{flags:#x} {image:#x} {code:02x?}");
    }
}

#[test]
fn what_is_privileged_or_unknown() {
    let rows: [(&[u8], End); 14] = [
        (&[0xf4], GP),                   // hlt
        (&[0x0f, 0x20, 0xc0], GP),       // mov eax, cr0
        (&[0x0f, 0x21, 0xc0], GP),       // mov eax, dr0
        (&[0x0f, 0x06], GP),             // clts
        (&[0x0f, 0x01, 0x16, 0, 0], GP), // lgdt [0]
        (&[0x0f, 0x01, 0xf0], GP),       // lmsw ax
        (&[0x0f, 0x32], GP),             // rdmsr
        (&[0x0f, 0x00, 0xd0], UD),       // lldt ax
        (&[0x0f, 0x00, 0xd8], UD),       // ltr ax
        (&[0x0f, 0x00, 0xc0], UD),       // sldt ax
        (&[0x0f, 0x02, 0xc0], UD),       // lar ax, ax
        (&[0x0f, 0x00, 0xe0], UD),       // verr ax
        (&[0x63, 0xc0], UD),             // arpl ax, ax
        (&[0xcd, 0x20], GP),             // int 0x20
    ];
    for (code, expected) in rows {
        // HLT behind the code ends every run with #GP as well, so another instruction comes first.
        assert_eq!(
            guest(0, Cr4Flags::empty()).run(&[code, &[0x90]].concat()),
            expected,
            "{code:02x?}"
        );
    }
}

#[test]
fn ports_are_for_the_bitmap_to_say() {
    for (flags, denied) in [(0, true), (IOPL_3, true), (IOPL_3, false), (0, false)] {
        let mut guest = guest(flags, Cr4Flags::empty());
        let task = &mut guest.state.segments[SegmentRegister::Tr];
        (task.base, task.limit) = (DATA, 0x100);
        guest.ram.write(DATA + 0x66, &0x68_u16.to_le_bytes());
        guest.ram.write(DATA + 0x68 + 0x42 / 8, &[u8::from(denied) << (0x42 % 8)]);
        // out 0x42, al
        match guest.run(&[0xe6, 0x42]) {
            End::Exit(Exit::Write(access, _)) => assert!(!denied && access.address == 0x42),
            end => assert!(denied && end == GP, "{end:?}"),
        }
    }
}

#[test]
fn code_reads_and_writes_64_kib() {
    let mut guest = guest(0, Cr4Flags::empty());
    guest.set(Register::Rbx, 0x1234);
    guest.set(Register::Rax, 0x5678);
    // mov cs:[bx], ax; mov cx, [bx]; mov es, cx; mov dx, es
    let code = [0x2e, 0x89, 0x07, 0x8b, 0x0f, 0x8e, 0xc1, 0x8c, 0xc2];
    assert_eq!(guest.run(&code), End::Done);
    assert_eq!(guest.get(Register::Rdx) & 0xffff, 0x5678);
    assert_eq!(guest.state.segments[SegmentRegister::Es].base, 0x5_6780);
    assert_eq!(guest.bytes(CODE + 0x1234, 2), [0x78, 0x56]);

    let mut guest = self::guest(0, Cr4Flags::empty());
    guest.set(Register::Rbx, 0xffff);
    assert_eq!(guest.run(&[0x8b, 0x07, 0x90]), GP, "mov ax, [bx] across the limit");
    guest.set(Register::Rbx, 0x1_0000);
    guest.state.rip = 0;
    assert_eq!(guest.run(&[0x67, 0x8a, 0x03, 0x90]), GP, "mov al, [ebx] beyond it");
}
