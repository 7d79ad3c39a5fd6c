//! Branches to addresses that cannot be: the fault is the branch's own, which has changed nothing.

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES, STACK};
use monovisor_core::state::{Activity, Exception, RFlags, Register, SegmentRegister};

const NOP: u8 = 0x90;

/// Not canonical: beside the lower half, beside the upper one, and far from both.
const TARGETS: [u64; 4] = [0x8000_0000_0000, 0xffff_7fff_ffff_ffff, 1 << 63, (1 << 63) + 1];

/// What is below the stack.
const PATTERN: [u8; 8] = [0x5a; 8];

/// Executes `branch` behind a NOP, and demands that it fails and that nothing has changed.
fn fails(guest: &mut Guest, branch: &[u8], target: u64) {
    guest.state.rip = CODE;
    guest.ram.write(STACK - 8, &PATTERN);
    guest.ram.write(DATA, &target.to_le_bytes());
    guest.ram.write(STACK, &target.to_le_bytes());
    guest.set(Register::Rax, target);
    guest.set(Register::Rbx, DATA);
    guest.set(Register::Rsp, STACK);
    let before = (guest.state.clone(), guest.vcpu.retired());
    let end = guest.run(&[&[NOP], branch].concat());
    assert_eq!(end, End::Fault(Exception::GP0), "{branch:x?} to {target:#x}");
    assert_eq!(guest.state.rip, CODE + 1, "{branch:x?} to {target:#x}");
    assert_eq!(guest.state.gpr, before.0.gpr, "{branch:x?} to {target:#x}");
    assert_eq!(guest.bytes(STACK - 8, 8), PATTERN, "{branch:x?} to {target:#x} has pushed");
    assert_eq!(guest.vcpu.retired() - before.1, 1, "the NOP alone is complete");
}

#[test]
fn indirect_branches() {
    let mut guest = Guest::long_mode();
    for target in TARGETS {
        fails(&mut guest, &[0xff, 0xe0], target); // jmp rax
        fails(&mut guest, &[0xff, 0x23], target); // jmp [rbx]
        fails(&mut guest, &[0xff, 0xd0], target); // call rax
        fails(&mut guest, &[0xff, 0x13], target); // call [rbx]
        fails(&mut guest, &[0xc3], target); // ret
        fails(&mut guest, &[0xc2, 8, 0], target); // ret 8
    }
}

#[test]
fn a_target_beyond_the_segment() {
    let mut guest = Guest::compatibility();
    guest.state.segments[SegmentRegister::Cs].limit = 0xf_ffff;
    for branch in [&[0xff, 0xe0][..], &[0xff, 0x23], &[0xff, 0xd0], &[0xff, 0x13], &[0xc3]] {
        fails(&mut guest, branch, 0x10_0000);
    }
    guest.state.segments[SegmentRegister::Cs].limit = CODE as u32 + 0xf;
    guest.state.rflags |= RFlags::ZERO_FLAG;
    for branch in [
        &[0xeb, 0x20][..],            // jmp
        &[0xe8, 0x20, 0, 0, 0],       // call
        &[0x74, 0x20],                // je
        &[0x0f, 0x84, 0x20, 0, 0, 0], // je
        &[0xe2, 0x20],                // loop
    ] {
        fails(&mut guest, branch, 0);
    }
    // cmp ecx, ecx; je, which are one operation
    guest.state.rip = CODE;
    assert_eq!(guest.run(&[0x39, 0xc9, 0x74, 0x20]), End::Fault(Exception::GP0));
    assert_eq!(guest.state.rip, CODE + 2);
    // jne, which is not taken
    guest.state.rip = CODE;
    assert_eq!(guest.run(&[0x39, 0xc9, 0x75, 0x20]), End::Done);
}

/// The last page below the hole of addresses that are not canonical.
const LAST_PAGE: u64 = 0x7fff_ffff_f000;

/// Puts `code` at the end of [`LAST_PAGE`] and executes it.
fn run_at_edge(guest: &mut Guest, code: &[u8]) -> End {
    for (table, entry) in [(0x1000 + 255 * 8, 0x2007_u64), (0x2ff8, 0x3007), (0x3ff8, 0x4007)] {
        guest.ram.write(table, &entry.to_le_bytes());
    }
    let offset = 0x1000 - 0x10;
    guest.ram.write(PAGES + 0x1f_f000 + offset, &[code, &[0xf4]].concat());
    guest.vcpu.memory_written(PAGES + 0x1f_f000, 0x1000);
    guest.state.rip = LAST_PAGE + offset;
    guest.state.activity = Activity::Active;
    guest.vcpu.set_state(&guest.state);
    guest.resume(guest.state.rip + code.len() as u64)
}

#[test]
fn direct_branches_over_the_edge() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rcx, 5);
    let zero = RFlags::ZERO_FLAG;
    for (branch, flags, fault) in [
        (&[0xeb, 0x20][..], zero, true),            // jmp
        (&[0xe8, 0x20, 0, 0, 0], zero, true),       // call
        (&[0x74, 0x20], zero, true),                // je
        (&[0x75, 0x20], zero, false),               // jne
        (&[0x0f, 0x84, 0x20, 0, 0, 0], zero, true), // je
        (&[0x39, 0xc9, 0x74, 0x20], zero, true),    // cmp ecx, ecx; je
        (&[0x39, 0xc9, 0x75, 0x20], zero, false),   // cmp ecx, ecx; jne
        (&[0xe2, 0x20], zero, true),                // loop
        (&[0xe0, 0x20], zero, false),               // loopne
        (&[0xe3, 0x20], zero, false),               // jrcxz
    ] {
        guest.state.rflags = RFlags::from_bits_retain(2) | flags;
        guest.set(Register::Rcx, 5);
        guest.set(Register::Rsp, STACK);
        let end = run_at_edge(&mut guest, branch);
        let expected = if fault { End::Fault(Exception::GP0) } else { End::Done };
        assert_eq!(end, expected, "{branch:x?}");
        if fault {
            let compare = if branch[0] == 0x39 { 2 } else { 0 };
            assert_eq!(guest.state.rip, LAST_PAGE + 0xff0 + compare, "{branch:x?}");
            assert_eq!(guest.get(Register::Rcx), 5, "{branch:x?}");
            assert_eq!(guest.get(Register::Rsp), STACK, "{branch:x?}");
        }
    }
}

#[test]
fn a_direct_target_beyond_the_segment() {
    for (branch, fault) in [
        (&[0xe9, 0, 0, 1, 0][..], true),               // jmp
        (&[0xe8, 0, 0, 1, 0], true),                   // call
        (&[0x0f, 0x85, 0, 0, 1, 0], true),             // jne
        (&[0x0f, 0x84, 0, 0, 1, 0], false),            // je
        (&[0x39, 0xc1, 0x0f, 0x85, 0, 0, 1, 0], true), // cmp ecx, eax; jne
    ] {
        let mut guest = Guest::compatibility();
        guest.state.segments[SegmentRegister::Cs].limit = CODE as u32 + 0xffff;
        guest.set(Register::Rcx, 1);
        let expected = if fault { End::Fault(Exception::GP0) } else { End::Done };
        assert_eq!(guest.run(branch), expected, "{branch:x?}");
        if fault {
            let compare = if branch[0] == 0x39 { 2 } else { 0 };
            assert_eq!(guest.state.rip, CODE + compare, "{branch:x?}");
        }
    }
}

#[test]
fn a_call_that_fails_has_pushed_nothing() {
    let mut guest = Guest::long_mode();
    guest.ram.write(STACK - 8, &[0xaa; 8]);
    for target in TARGETS {
        guest.state.rip = CODE;
        guest.set(Register::Rax, target);
        assert_eq!(guest.run(&[0xff, 0xd0]), End::Fault(Exception::GP0));
        assert_eq!(guest.bytes(STACK - 8, 8), [0xaa; 8]);
    }
}
