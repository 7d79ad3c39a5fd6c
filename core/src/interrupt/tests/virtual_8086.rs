//! Virtual-8086 mode: the ways in and out, transfers and loads within it, and its extensions.

use super::fixture::*;
use crate::interrupt::{
    SoftwareInterrupt, external, far_call, far_jump, far_return, iret, load_segment, raise,
    software,
};
use crate::state::{Access, Cr4Flags, Exception, RFlags, Register, SegmentRegister};

use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss, Tr};

/// Segments of the program.
const SEGMENTS: [(SegmentRegister, u16); 6] =
    [(Cs, 0x100), (Ss, 0x900), (Ds, 0x200), (Es, 0x300), (Fs, 0x400), (Gs, 0x500)];
const SP: u64 = 0xfff0;
/// Flags of the program: VM, and IOPL.
const VM: u64 = 1 << 17;
const IOPL_3: u64 = 3 << 12;
const VIF: u64 = 1 << 19;
const VIP: u64 = 1 << 20;
const IF: u64 = 1 << 9;
const TF: u64 = 1 << 8;

/// A program in virtual-8086 mode with these flags beside VM.
fn program(flags: u64) -> Machine {
    let mut machine = Machine::protected(0);
    for (register, selector) in SEGMENTS {
        machine.state.segments[register] = super::super::virtual_8086::segment(selector);
    }
    machine.state.gpr[Register::Rsp] = SP;
    machine.state.rflags = RFlags::from_bits_retain(flags | VM | 2);
    machine.mmu.update_mode(&machine.state);
    machine
}

/// Where the program's stack is.
fn stack_linear(pointer: u64) -> u64 {
    0x9000 + pointer
}

#[test]
fn iretd_enters() {
    let mut machine = Machine::protected(0);
    let flags = 0x003a_3247_u32;
    let frame = [RIP as u32, 0x100, flags, 0x1_fff0, 0x900, 0x300, 0x200, 0x400, 0x500];
    machine.set_frame(&frame);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 32).unwrap();
    assert_eq!(state.rflags.bits(), flags.into());
    assert_eq!((state.cpl(), state.bitness(), state.stack_bitness()), (3, 16, 16));
    assert_eq!((state.rip, state.gpr[Register::Rsp]), (RIP, 0x1_fff0));
    for (register, selector) in SEGMENTS {
        let segment = state.segments[register];
        assert_eq!((segment.selector, segment.base), (selector, u64::from(selector) * 16));
        assert_eq!((segment.limit, segment.access), (0xffff, Access(0xf3)));
    }
    let mut machine = Machine::protected(0);
    machine.set_frame(&[0x1_0000, 0x100, VM as u32, 0, 0, 0, 0, 0, 0]);
    machine.assert_raises(Exception::GP0, |state, mmu| iret(state, mmu, 32));
    // VM in the image means nothing at another privilege level.
    let mut machine = Machine::protected(3);
    machine.set_frame(&[RIP as u32, USER_CODE_32.into(), VM as u32 | 2]);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 32).unwrap();
    assert!(!state.virtual_8086());
}

#[test]
fn events_leave_with_all_segments_on_the_stack() {
    let mut machine = program(IF | IOPL_3);
    let before = machine.state.clone();
    let Machine { state, mmu, log, .. } = &mut machine;
    external(state, mmu, 0x40, log).unwrap();
    assert_eq!((state.cpl(), state.rflags.bits(), state.rip), (0, 2 | IOPL_3, HANDLER));
    for register in [Ds, Es, Fs, Gs] {
        assert!(state.segments[register].access.unusable());
        assert_eq!(state.segments[register].selector, 0);
    }
    assert_eq!(state.gpr[Register::Rsp], STACK_0 - 36);
    let frame = [RIP, 0x100, before.rflags.bits(), SP, 0x900, 0x300, 0x200, 0x400, 0x500];
    assert_eq!(machine.frame::<u32, 9>(), frame);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 32).unwrap();
    assert_eq!(*state, before);

    let mut machine = program(0);
    let Machine { state, mmu, log, .. } = &mut machine;
    raise(state, mmu, Exception::gp(0x1234), log).unwrap();
    assert_eq!(state.gpr[Register::Rsp], STACK_0 - 40);
    assert_eq!(machine.frame::<u32, 2>(), [0x1234, RIP]);
}

#[test]
fn handlers_have_privilege_level_0() {
    for kind in [CONFORMING, CODE | DPL_3] {
        let mut machine = program(IOPL_3);
        machine.free(flat(kind, FLAT_32), 0);
        machine.idt(0x80, gate(FREE, HANDLER, 0xee, 0));
        machine.assert_raises(Exception::gp(FREE), |state, mmu| {
            software(state, mmu, 0x80, SoftwareInterrupt::IntN, RIP)
        });
    }
}

#[test]
fn transfers_and_loads_are_those_of_real_mode() {
    let mut machine = program(0);
    let Machine { state, mmu, .. } = &mut machine;
    load_segment(state, mmu, Ds, 0x1111).unwrap();
    load_segment(state, mmu, Ss, 0x0900).unwrap();
    assert_eq!((state.segments[Ds].base, state.segments[Ds].access), (0x1_1110, Access(0xf3)));
    far_jump(state, mmu, 0x0123, 0x4567).unwrap();
    assert_eq!((state.segments[Cs].base, state.rip), (0x1230, 0x4567));
    far_call(state, mmu, 0x0234, 0x89, 16, 0x4569).unwrap();
    assert_eq!((state.segments[Cs].base, state.rip), (0x2340, 0x89));
    assert_eq!(state.gpr[Register::Rsp], SP - 4);
    far_return(state, mmu, 16, 2).unwrap();
    assert_eq!((state.segments[Cs].base, state.rip), (0x1230, 0x4569));
    assert_eq!((state.gpr[Register::Rsp], state.cpl()), (SP + 2, 3));
    machine.assert_raises(Exception::GP0, |state, mmu| far_jump(state, mmu, 0, 0x1_0000));
}

#[test]
fn iret_within() {
    const CF: u64 = 1;
    let cases = [
        // IOPL 3: IF is the program's, IOPL, VIF and VIP are not.
        (IOPL_3, false, 16, IF | CF, Ok(IOPL_3 | IF | CF)),
        (IOPL_3 | IF, false, 32, VIF | VIP | CF | 1 << 18, Ok(IOPL_3 | CF | 1 << 18)),
        (0, false, 16, 0, Err(())),
        (0, false, 32, 0, Err(())),
        // With the extensions, VIF is.
        (0, true, 16, IF | CF | IOPL_3, Ok(VIF | CF)),
        (VIF | IF, true, 16, CF, Ok(IF | CF)),
        (VIP, true, 16, IF, Err(())),
        (VIP | VIF, true, 16, CF, Ok(VIP | CF)),
        (0, true, 16, TF, Err(())),
        (0, true, 32, 0, Err(())),
    ];
    for (flags, extended, bits, image, expected) in cases {
        let mut machine = program(flags);
        machine.state.control.cr4.set(Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS, extended);
        let stack = stack_linear(SP);
        for (index, item) in (0..).zip([RIP, 0x700, image]) {
            match bits {
                16 => machine.poke(stack + index * 2, item as u16),
                _ => machine.poke(stack + index * 4, item as u32),
            }
        }
        match expected {
            Ok(after) => {
                let Machine { state, mmu, .. } = &mut machine;
                iret(state, mmu, bits).unwrap();
                assert_eq!(state.rflags.bits(), after | VM | 2, "{flags:#x} {image:#x}");
                assert_eq!((state.segments[Cs].base, state.cpl()), (0x7000, 3));
            }
            Err(()) => {
                machine.assert_raises(Exception::GP0, |state, mmu| iret(state, mmu, bits));
            }
        }
    }
}

#[test]
fn software_interrupts() {
    /// What becomes of INT n.
    #[derive(Debug, PartialEq)]
    enum End {
        Denied,
        Handler,
        /// Within the program, with these flags in the image and afterwards.
        Within(u64, u64),
    }
    let cases = [
        (IOPL_3, None, End::Handler),
        (0, None, End::Denied),
        (0, Some(true), End::Denied),
        (IOPL_3, Some(true), End::Handler),
        (IOPL_3 | IF | TF, Some(false), End::Within(IOPL_3 | IF | TF, IOPL_3)),
        (IF | VIF, Some(false), End::Within(IOPL_3 | IF, IF)),
        (IF, Some(false), End::Within(IOPL_3, IF)),
    ];
    for (flags, bit, expected) in cases {
        let mut machine = program(flags);
        machine.idt(0x21, gate(CODE_32, HANDLER, 0xee, 0));
        machine.poke(0x21 * 4, 0x0666_0777_u32);
        machine.state.control.cr4.set(Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS, bit.is_some());
        // The bitmap of 32 bytes ends where that of ports begins.
        machine.state.segments[Tr].limit = 0x200;
        machine.poke(TSS + 0x66, 0x100_u16);
        machine.poke(TSS + 0xe0 + 4, u8::from(bit == Some(true)) << 1);
        let before = machine.state.clone();
        let Machine { state, mmu, .. } = &mut machine;
        let result = software(state, mmu, 0x21, SoftwareInterrupt::IntN, RIP + 2);
        let end = match (result, state.cpl()) {
            (Err(exception), _) => {
                assert_eq!((exception, &*state), (Exception::GP0, &before));
                End::Denied
            }
            (Ok(()), 0) => End::Handler,
            (Ok(()), _) => {
                assert_eq!((state.segments[Cs].selector, state.rip), (0x666, 0x777));
                assert_eq!(state.gpr[Register::Rsp], SP - 6);
                let flags = state.rflags.bits() & !VM & !2;
                let at = stack_linear(SP - 6);
                assert_eq!(
                    [machine.peek::<u16>(at), machine.peek(at + 2)],
                    [RIP as u16 + 2, 0x100]
                );
                End::Within(u64::from(machine.peek::<u16>(at + 4)) & !2, flags)
            }
        };
        assert_eq!(end, expected, "{flags:#x} {bit:?}");
    }
    // INT3 does not look at IOPL.
    let mut machine = program(0);
    machine.idt(3, gate(CODE_32, HANDLER, 0xee, 0));
    let Machine { state, mmu, .. } = &mut machine;
    software(state, mmu, 3, SoftwareInterrupt::Int3, RIP + 1).unwrap();
    assert_eq!(state.cpl(), 0);
}

#[test]
fn the_redirection_bitmap_is_within_the_segment() {
    for (limit, base) in [(0x66, 0x100), (0x200, 0x300), (0x67, 0)] {
        let mut machine = program(IOPL_3);
        machine.state.control.cr4 |= Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS;
        machine.state.segments[Tr].limit = limit;
        machine.poke::<u16>(TSS + 0x66, base);
        machine.assert_raises(Exception::GP0, |state, mmu| {
            software(state, mmu, 0x21, SoftwareInterrupt::IntN, RIP)
        });
    }
}
