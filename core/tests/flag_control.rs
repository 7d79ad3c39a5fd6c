//! CLC, STC, CMC, CLD, STD, CLI, STI, LAHF, SAHF, PUSHF, POPF, CLAC, STAC.

mod common;

use common::guest::{End, Guest, STACK};
use monovisor_core::state::{Exception, RFlags, Register};

const POPFQ: u8 = 0x9d;
const IOPL: u64 = 0x3000;
const IF: u64 = 0x200;

#[cfg(target_arch = "x86_64")]
#[test]
fn status_flags_are_the_hosts() {
    use common::native::{ALL, compare_all};
    compare_all(
        &[
            ("clc", &[0xf8], ALL),
            ("stc", &[0xf9], ALL),
            ("cmc", &[0xf5], ALL),
            ("lahf", &[0x9f], ALL),
            ("sahf", &[0x9e], ALL),
            ("add eax, ecx; cmc", &[0x01, 0xc8, 0xf5], ALL),
            ("add eax, ecx; lahf", &[0x01, 0xc8, 0x9f], ALL),
            (
                "add eax, ecx; pushfq; pop rdx; and edx, 0x8d5",
                &[0x01, 0xc8, 0x9c, 0x5a, 0x81, 0xe2, 0xd5, 8, 0, 0],
                0x8c5,
            ),
            (
                "push rdx; and qword [rsp], 0x8d5; popfq",
                &[0x52, 0x48, 0x81, 0x24, 0x24, 0xd5, 8, 0, 0, 0x9d],
                ALL,
            ),
        ],
        200,
    );
}

/// POPFQ of `image` over `before` at privilege level `cpl`.
fn popped(cpl: u8, before: u64, image: u64, code: &[u8]) -> u64 {
    let mut guest = if cpl == 0 { Guest::long_mode() } else { Guest::user_mode() };
    guest.state.rflags = RFlags::from_bits_retain(before | 2);
    guest.ram.write(STACK, &image.to_le_bytes());
    assert_eq!(guest.run(code), End::Done);
    guest.state.rflags.bits()
}

/// SDM, POPF, "Effect of POPF/POPFD on the EFLAGS Register".
#[test]
fn popf_changes_what_the_privilege_level_may() {
    // All that can be set but TF, which would trap.
    const STATUS_AND_SYSTEM: u64 = 0x8d5 | 0x400 | 0x4000 | 0x4_0000 | 0x20_0000;
    let everything = !0x100_u64;
    assert_eq!(popped(0, 0, everything, &[POPFQ]), STATUS_AND_SYSTEM | IOPL | IF | 2);
    assert_eq!(popped(3, 0, everything, &[POPFQ]), STATUS_AND_SYSTEM | 2);
    assert_eq!(popped(3, IOPL, everything, &[POPFQ]), STATUS_AND_SYSTEM | IOPL | IF | 2);
    assert_eq!(popped(3, IOPL | IF, 0, &[POPFQ]), IOPL | 2);
    assert_eq!(popped(3, IF, 0, &[POPFQ]), IF | 2);
    // POPF of 16 bits keeps AC and ID.
    assert_eq!(popped(0, 0x24_0000, 0, &[0x66, POPFQ]), 0x24_0002);
    // VIF and VIP are unaffected at any level.
    for (cpl, flags) in [(0, 0x08_0000), (0, 0x10_0000), (3, 0x18_0000)] {
        assert_eq!(popped(cpl, flags, 0, &[POPFQ]), flags | 2, "at level {cpl}");
        assert_eq!(popped(cpl, 0, flags, &[POPFQ]), 2, "at level {cpl}");
    }
}

#[test]
fn pushf_hides_rf_and_vm() {
    let mut guest = Guest::long_mode();
    guest.state.rflags = RFlags::from_bits_retain(0x3_0ed7);
    assert_eq!(guest.run(&[0x9c]), End::Done);
    assert_eq!(guest.get(Register::Rsp), STACK - 8);
    assert_eq!(guest.bytes(STACK - 8, 8), 0xed7_u64.to_le_bytes());
}

#[test]
fn cli_and_sti_need_the_io_privilege_level() {
    for code in [0xfa, 0xfb] {
        let mut guest = Guest::user_mode();
        assert_eq!(guest.run(&[code]), End::Fault(Exception::GP0));
        let mut guest = Guest::user_mode();
        guest.state.rflags = RFlags::from_bits_retain(IOPL | 2);
        assert_eq!(guest.run(&[code]), End::Done);
        assert_eq!(guest.state.rflags.bits() & IF != 0, code == 0xfb);
    }
}

#[test]
fn clac_and_stac_are_undefined_for_user_mode() {
    let (clac, stac) = ([0x0f, 0x01, 0xca], [0x0f, 0x01, 0xcb]);
    let mut guest = Guest::long_mode();
    assert_eq!(guest.run(&stac), End::Done);
    assert!(guest.state.rflags.contains(RFlags::ALIGNMENT_CHECK));
    guest.state.rip = common::guest::CODE;
    assert_eq!(guest.run(&clac), End::Done);
    assert!(!guest.state.rflags.contains(RFlags::ALIGNMENT_CHECK));
    assert_eq!(Guest::user_mode().run(&stac), End::Fault(Exception::UD));
}

/// An interrupt that waits is taken after the instruction behind STI, not before; behind CLI not at
/// all.
#[test]
fn sti_lets_interrupts_in_one_instruction_later() {
    for (code, taken_at) in [(&[0xfb, 0x90, 0x90, 0x90][..], Some(2)), (&[0xfb, 0xfa, 0x90], None)]
    {
        let mut guest = Guest::long_mode();
        guest.state.pending.interrupt = Some(0x40);
        let end = guest.run(code);
        match taken_at {
            // Without a descriptor table the delivery fails where the interrupt was taken.
            Some(offset) => {
                assert_ne!(end, End::Done);
                assert_eq!(guest.state.rip, common::guest::CODE + offset);
            }
            None => assert_eq!(end, End::Done),
        }
    }
}

/// With TF set a debug trap follows each instruction, but for the one that loads SS.
#[test]
fn single_step_traps_after_one_instruction() {
    let cases: [(&[u8], u64); 3] = [
        (&[0x90, 0x90], 1),
        (&[0x48, 0xff, 0xc0, 0x90], 3),
        // mov ss, ax with a NULL selector, then nop.
        (&[0x8e, 0xd0, 0x90, 0x90], 3),
    ];
    for (code, trapped_at) in cases {
        let mut guest = Guest::long_mode();
        guest.state.rflags |= RFlags::TRAP_FLAG;
        assert_ne!(guest.run(code), End::Done);
        assert_eq!(guest.state.rip, common::guest::CODE + trapped_at, "{code:02x?}");
        assert_eq!(guest.state.debug.dr6 & 0x4000, 0x4000);
    }
}
