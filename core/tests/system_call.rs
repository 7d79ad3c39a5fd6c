//! The corners of the fast system calls and of the instructions for the bases of FS and GS: what they refuse,
//! and in which mode; what becomes of TF; what addresses they take (SDM, SYSCALL; SYSRET; SYSENTER; SYSEXIT;
//! WRFSBASE; SWAPGS).

mod common;

use common::guest::{CODE, DATA, End, Guest};
use monovisor_core::state::{Cr4Flags, RFlags, Register, SegmentRegister, Vector};

const SYSCALL: [u8; 2] = [0x0f, 0x05];
const SYSRET_64: [u8; 3] = [0x48, 0x0f, 0x07];
const SYSRET_32: [u8; 2] = [0x0f, 0x07];
const SYSENTER: [u8; 2] = [0x0f, 0x34];
const SYSEXIT_64: [u8; 3] = [0x48, 0x0f, 0x35];
const SYSEXIT_32: [u8; 2] = [0x0f, 0x35];
/// Where the kernel is entered.
const ENTRY: u64 = DATA;
const HLT: u8 = 0xf4;
const NOT_CANONICAL: u64 = 1 << 47;
/// Not canonical with five levels of paging either: what is loaded for later is held against the most that
/// the processor could use (SDM, "Canonicality Checking").
const NEVER_CANONICAL: u64 = 1 << 57;

fn with_entry(mut guest: Guest) -> Guest {
    guest.state.msr.star = 0x0010_0008 << 32;
    guest.state.msr.lstar = ENTRY;
    guest.state.msr.sysenter_cs = 8;
    guest.state.msr.sysenter_eip = ENTRY;
    guest.state.msr.sysenter_esp = DATA + 0x1000;
    guest.ram.write(ENTRY, &[0x90, HLT]);
    guest
}

fn vector(end: End) -> Option<Vector> {
    match end {
        End::Fault(fault) => Some(fault.vector),
        End::Done => None,
        End::Exit(exit) => panic!("{exit:?}"),
    }
}

/// A mode, the machine in it, an instruction, and what that raises there.
type Case = (&'static str, fn() -> Guest, &'static [u8], Option<Vector>);

#[test]
fn who_may_in_which_mode() {
    let ud = Some(Vector::InvalidOpcode);
    let gp = Some(Vector::GeneralProtection);
    let cases: [Case; 17] = [
        ("64-bit mode", Guest::long_mode, &SYSCALL, None),
        ("compatibility mode", Guest::compatibility, &SYSCALL, ud),
        ("protected mode", Guest::protected, &SYSCALL, ud),
        ("real mode", Guest::real_mode, &SYSCALL, ud),
        ("virtual-8086 mode", Guest::virtual_8086, &SYSCALL, ud),
        ("compatibility mode", Guest::compatibility, &SYSRET_32, ud),
        ("protected mode", Guest::protected, &SYSRET_32, ud),
        ("user mode", Guest::user_mode, &SYSRET_64, gp),
        ("user mode", Guest::user_mode, &SYSRET_32, gp),
        ("user mode", Guest::user_mode, &SYSENTER, None),
        ("64-bit mode", Guest::long_mode, &SYSENTER, None),
        ("compatibility mode", Guest::compatibility, &SYSENTER, None),
        ("protected mode", Guest::protected, &SYSENTER, None),
        ("virtual-8086 mode", Guest::virtual_8086, &SYSENTER, None),
        ("real mode", Guest::real_mode, &SYSENTER, gp),
        ("user mode", Guest::user_mode, &SYSEXIT_64, gp),
        ("real mode", Guest::real_mode, &SYSEXIT_32, gp),
    ];
    for (what, mode, code, expected) in cases {
        let mut guest = with_entry(mode());
        let found = vector(guest.run(code));
        assert_eq!(found, expected, "{code:02x?} in {what}");
        if expected.is_none() {
            assert_eq!(
                (guest.state.rip, guest.state.cpl()),
                (ENTRY + 2, 0),
                "{code:02x?} in {what}"
            );
            assert!(!guest.state.virtual_8086());
        }
    }
}

#[test]
fn a_null_code_segment_refuses_sysenter_and_sysexit() {
    for selector in 0..8 {
        for code in [&SYSENTER[..], &SYSEXIT_64, &SYSEXIT_32] {
            let mut guest = with_entry(Guest::long_mode());
            guest.state.msr.sysenter_cs = selector;
            guest.set(Register::Rdx, ENTRY);
            guest.set(Register::Rcx, DATA + 0x800);
            let end = guest.run(code);
            let null = selector & !3 == 0;
            // HLT at level 3 is refused, too, but elsewhere.
            let refused = vector(end) == Some(Vector::GeneralProtection) && guest.state.rip == CODE;
            assert_eq!(refused, null, "{code:02x?} with {selector}");
        }
    }
}

#[test]
fn addresses_that_are_not_canonical() {
    // Into RCX and RDX; whether the instruction is refused at level 0.
    let cases: [(&[u8], u64, u64, bool); 8] = [
        (&SYSRET_64, NOT_CANONICAL, 0, true),
        (&SYSRET_64, NOT_CANONICAL - 1, 0, false),
        (&SYSRET_32, NOT_CANONICAL | ENTRY, 0, false),
        (&SYSEXIT_64, NOT_CANONICAL, ENTRY, true),
        (&SYSEXIT_64, DATA, NOT_CANONICAL, true),
        (&SYSEXIT_64, DATA, ENTRY, false),
        (&SYSEXIT_32, NOT_CANONICAL | DATA, NOT_CANONICAL | ENTRY, false),
        (&SYSRET_64, !0 << 47, 0, false),
    ];
    for (code, rcx, rdx, refused) in cases {
        let mut guest = with_entry(Guest::long_mode());
        guest.set(Register::Rcx, rcx);
        guest.set(Register::Rdx, rdx);
        guest.set(Register::R11, 2);
        let stack = guest.get(Register::Rsp);
        let end = guest.run(code);
        let at_itself = guest.state.rip == CODE && guest.state.cpl() == 0;
        assert_eq!(at_itself, refused, "{code:02x?} to {rcx:#x}, {rdx:#x}");
        if refused {
            assert_eq!(vector(end), Some(Vector::GeneralProtection));
            assert_eq!(guest.get(Register::Rsp), stack);
        } else {
            assert_eq!(guest.state.cpl(), 3);
        }
    }
    // The registers that hold entries take no such address in the first place.
    for msr in [0xc000_0082, 0xc000_0083, 0x175, 0x176, 0xc000_0100, 0xc000_0101, 0xc000_0102] {
        let mut guest = Guest::long_mode();
        guest.set(Register::Rcx, msr);
        guest.set(Register::Rdx, NEVER_CANONICAL >> 32);
        guest.set(Register::Rax, 0);
        assert_eq!(vector(guest.run(&[0x0f, 0x30])), Some(Vector::GeneralProtection), "{msr:#x}");
    }
}

#[test]
fn flags_of_syscall_and_sysret() {
    const ALL: u64 = 0x3c_7fd7;
    let mut guest = with_entry(Guest::user_mode());
    guest.state.rflags = RFlags::from_bits_retain(0x25_0ed7 & !0x200);
    guest.state.msr.fmask = 0x0004_0455;
    guest.run(&SYSCALL);
    let before = 0x25_0cd7_u64;
    // RF is gone with the instruction's start.
    assert_eq!(guest.get(Register::R11) & !0x1_0000, before & !0x1_0000);
    assert_eq!(guest.state.rflags.bits(), before & !0x1_0000 & !0x0004_0455 | 2);
    for (r11, expected) in [(!0, ALL & !0x100), (0, 2), (0x3_0200, 0x202)] {
        let mut guest = with_entry(Guest::long_mode());
        guest.set(Register::Rcx, ENTRY + 1);
        guest.set(Register::R11, r11 & !0x100);
        guest.run(&SYSRET_64);
        assert_eq!((guest.state.rflags.bits(), guest.state.cpl()), (expected, 3), "{r11:#x}");
    }
}

/// A single step of a system call traps behind it, in the kernel, unless the call has cleared TF.
#[test]
fn single_steps() {
    let step = RFlags::TRAP_FLAG;
    for (code, mask, trap) in [
        (&SYSCALL[..], 0, Some(ENTRY)),
        (&SYSCALL, step.bits(), None),
        (&SYSENTER, 0, Some(ENTRY)),
        (&SYSENTER, step.bits(), Some(ENTRY)),
    ] {
        let mut guest = with_entry(Guest::user_mode());
        guest.state.rflags |= step;
        guest.state.msr.fmask = mask;
        let end = guest.run(code);
        match trap {
            Some(at) => {
                assert_eq!(
                    (vector(end), guest.state.rip),
                    (Some(Vector::Debug), at),
                    "{code:02x?}"
                );
                assert_eq!(guest.state.cpl(), 0);
            }
            None => assert_eq!((vector(end), guest.state.rip), (None, ENTRY + 2), "{code:02x?}"),
        }
    }
    // SYSRET that sets TF: the first instruction of the user is stepped.
    let mut guest = with_entry(Guest::long_mode());
    guest.set(Register::Rcx, ENTRY);
    guest.set(Register::R11, step.bits() | 2);
    assert_eq!(vector(guest.run(&SYSRET_64)), Some(Vector::Debug));
    assert_eq!((guest.state.rip, guest.state.cpl()), (ENTRY + 1, 3));
}

#[test]
fn bases_of_fs_and_gs() {
    let ud = Some(Vector::InvalidOpcode);
    let gp = Some(Vector::GeneralProtection);
    // F3 0F AE /0 to /3: RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE of EAX, and with REX.W of RAX.
    for number in 0..4 {
        for wide in [false, true] {
            let rex = if wide { &[0x48][..] } else { &[] };
            let code = [&[0xf3][..], rex, &[0x0f, 0xae, 0xc0 | number << 3]].concat();
            let run = |mut guest: Guest, enabled, rax| {
                guest.state.control.cr4.set(Cr4Flags::FSGSBASE, enabled);
                guest.state.segments[SegmentRegister::Fs].base = 0xffff_8000_1234_5678;
                guest.state.segments[SegmentRegister::Gs].base = 0xffff_8000_1234_5678;
                guest.set(Register::Rax, rax);
                let end = guest.run(&code);
                (vector(end), guest)
            };
            assert_eq!(run(Guest::user_mode(), false, 0).0, ud, "without CR4.FSGSBASE");
            assert_eq!(run(Guest::long_mode(), false, 0).0, ud, "without CR4.FSGSBASE");
            if !wide {
                assert_eq!(run(Guest::compatibility(), true, 0).0, ud);
                assert_eq!(run(Guest::protected(), true, 0).0, ud);
            }
            let writes = number >= 2;
            let (end, guest) = run(Guest::user_mode(), true, NEVER_CANONICAL | 0x77);
            assert_eq!(end, if writes && wide { gp } else { None }, "{code:02x?}");
            let base = guest.state.segments
                [[SegmentRegister::Fs, SegmentRegister::Gs][usize::from(number & 1)]]
            .base;
            match (writes, wide) {
                (true, true) => assert_eq!(base, 0xffff_8000_1234_5678),
                (true, false) => assert_eq!(base, 0x77, "upper half"),
                (false, true) => assert_eq!(guest.get(Register::Rax), 0xffff_8000_1234_5678),
                (false, false) => assert_eq!(guest.get(Register::Rax), 0x1234_5678),
            }
        }
    }
    let swapgs: [u8; 3] = [0x0f, 0x01, 0xf8];
    assert_eq!(vector(Guest::user_mode().run(&swapgs)), gp);
    assert_eq!(vector(Guest::compatibility().run(&swapgs)), ud);
    assert_eq!(vector(Guest::protected().run(&swapgs)), ud);
}
