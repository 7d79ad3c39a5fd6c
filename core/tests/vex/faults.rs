//! What instructions raise besides #XM: alignment, what the system or the mode has not enabled, and
//! prefixes and fields that are not allowed.

use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, Exception, RFlags, Register, SegmentRegister, Vector, XCr0Flags,
};

use crate::common::{DATA, Machine};
use crate::harness::{machine, raised};

/// With an operand at [RSI] that must be aligned to 16 or to 32 bytes.
const ALIGNED: &[(u64, &[u8])] = &[
    (16, &[0xc5, 0xf8, 0x28, 0x06]),       // vmovaps xmm0, [rsi]
    (32, &[0xc5, 0xfc, 0x28, 0x06]),       // vmovaps ymm0, [rsi]
    (32, &[0xc5, 0xfc, 0x29, 0x06]),       // vmovaps [rsi], ymm0
    (32, &[0xc5, 0xfd, 0x6f, 0x06]),       // vmovdqa ymm0, [rsi]
    (32, &[0xc5, 0xfd, 0x7f, 0x06]),       // vmovdqa [rsi], ymm0
    (32, &[0xc5, 0xfd, 0xe7, 0x06]),       // vmovntdq [rsi], ymm0
    (16, &[0xc5, 0xf8, 0x2b, 0x06]),       // vmovntps [rsi], xmm0
    (32, &[0xc4, 0xe2, 0x7d, 0x2a, 0x06]), // vmovntdqa ymm0, [rsi]
];

/// With an operand at [RSI] that may be at any address.
const UNALIGNED: &[&[u8]] = &[
    &[0xc5, 0xfc, 0x10, 0x06],       // vmovups ymm0, [rsi]
    &[0xc5, 0xfc, 0x11, 0x06],       // vmovups [rsi], ymm0
    &[0xc5, 0xf4, 0x58, 0x06],       // vaddps ymm0, ymm1, [rsi]
    &[0xc5, 0xf5, 0xef, 0x06],       // vpxor ymm0, ymm1, [rsi]
    &[0xc5, 0xf1, 0xf3, 0x06],       // vpsllq xmm0, xmm1, [rsi]
    &[0xc4, 0xe2, 0x75, 0x00, 0x06], // vpshufb ymm0, ymm1, [rsi]
    &[0xc4, 0xe2, 0x75, 0xb8, 0x06], // vfmadd231ps ymm0, ymm1, [rsi]
    &[0xc5, 0xfb, 0xf0, 0x06],       // vlddqu xmm0, [rsi]
];

#[test]
fn only_aligned_moves_want_alignment() {
    let mut machine = machine();
    for &(alignment, code) in ALIGNED {
        for offset in [0, 1, 8, 16, 32, 0xff0] {
            machine.state.gpr[Register::Rsi] = DATA + offset;
            let expected = (offset % alignment != 0).then_some(Exception::GP0);
            assert_eq!(raised(&mut machine, code), expected, "{code:x?} at {offset:#x}");
        }
    }
    for code in UNALIGNED {
        // The last one across two pages.
        for offset in [1, 4, 0xfe9] {
            machine.state.gpr[Register::Rsi] = DATA + offset;
            assert_eq!(raised(&mut machine, code), None, "{code:x?} at {offset:#x}");
        }
    }
}

#[test]
fn a_fault_in_either_page_changes_nothing() {
    let mut machine = machine();
    for code in UNALIGNED {
        // The second page is not there.
        machine.state.gpr[Register::Rsi] = (2 << 20) - 4;
        let exception = raised(&mut machine, code).expect("a page fault");
        assert_eq!(
            (exception.vector, exception.payload),
            (Vector::PageFault, 2 << 20),
            "{code:x?}"
        );
        assert_eq!(machine.vcpu.state().fpu, machine.state.fpu, "{code:x?}");
    }
}

/// With an operand at [RSI] of more than a byte.
const WIDE: &[&[u8]] = &[
    &[0x8b, 0x06],                   // mov eax, [rsi]
    &[0xf3, 0xad],                   // rep lodsd
    &[0xf3, 0xa7],                   // repe cmpsd
    &[0xf3, 0xa5],                   // rep movsd
    &[0xc5, 0xfc, 0x10, 0x06],       // vmovups ymm0, [rsi]
    &[0xc4, 0xe2, 0x71, 0x8c, 0x06], // vpmaskmovd xmm0, xmm1, [rsi]
    &[0xc4, 0xe2, 0x71, 0x8e, 0x06], // vpmaskmovd [rsi], xmm1, xmm0
];

#[test]
fn what_is_not_canonical_comes_before_what_is_not_there() {
    let mut machine = machine();
    machine.state.fpu.xmm[1] = u128::MAX;
    machine.state.gpr[Register::Rsi] = (1 << 47) - 1;
    for code in WIDE {
        machine.state.gpr[Register::Rcx] = 15;
        machine.state.gpr[Register::Rdi] = DATA;
        assert_eq!(raised(&mut machine, code), Some(Exception::GP0), "{code:x?}");
    }
}

#[test]
fn both_halves_are_canonical_before_either_is_there() {
    const YMM: &[&[u8]] = &[
        &[0xc5, 0xfc, 0x10, 0x06],          // vmovups ymm0, [rsi]
        &[0xc5, 0xfc, 0x11, 0x06],          // vmovups [rsi], ymm0
        &[0xc5, 0xf4, 0x59, 0x06],          // vmulps ymm0, ymm1, [rsi]
        &[0xc4, 0xe3, 0xfd, 0x00, 0x06, 0], // vpermq ymm0, [rsi], 0
    ];
    let mut machine = machine();
    for code in YMM {
        for before in [8, 16, 24] {
            machine.state.gpr[Register::Rsi] = (1 << 47) - before;
            assert_eq!(raised(&mut machine, code), Some(Exception::GP0), "{code:x?} {before}");
        }
    }
}

/// vaddps ymm0, ymm1, ymm2
const ADD: &[u8] = &[0xc5, 0xf4, 0x58, 0xc2];
/// vzeroupper
const ZERO_UPPER: &[u8] = &[0xc5, 0xf8, 0x77];

#[test]
fn what_the_system_has_not_enabled_does_not_exist() {
    let changes: [fn(&mut Machine); 3] = [
        |machine| machine.state.control.cr4.remove(Cr4Flags::OSXSAVE),
        |machine| machine.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE,
        |machine| machine.state.control.xcr0 = XCr0Flags::X87,
    ];
    for code in [ADD, ZERO_UPPER] {
        assert_eq!(raised(&mut machine(), code), None, "{code:x?}");
        for change in changes {
            let mut machine = machine();
            change(&mut machine);
            // Before that the task has been switched.
            machine.state.control.cr0 |= Cr0Flags::TASK_SWITCHED;
            assert_eq!(raised(&mut machine, code), Some(Exception::UD), "{code:x?}");
        }
        let mut machine = machine();
        machine.state.control.cr0 |= Cr0Flags::TASK_SWITCHED;
        assert_eq!(raised(&mut machine, code), Some(Exception::NM), "{code:x?}");
        // SSE's switches do not matter.
        machine.state.control.cr0.remove(Cr0Flags::TASK_SWITCHED);
        machine.state.control.cr0 |= Cr0Flags::EMULATE_COPROCESSOR;
        machine.state.control.cr4.remove(Cr4Flags::OSFXSR);
        assert_eq!(raised(&mut machine, code), None, "{code:x?}");
    }
}

#[test]
fn real_and_virtual_8086_mode_have_none() {
    let changes: [fn(&mut Machine); 2] = [
        |machine| {
            let control = &mut machine.state.control;
            control.cr0.remove(Cr0Flags::PAGING | Cr0Flags::PROTECTED_MODE_ENABLE);
            control.efer = monovisor_core::state::EferFlags::empty();
        },
        |machine| machine.state.rflags |= RFlags::VIRTUAL_8086_MODE,
    ];
    for (change, expected) in changes.into_iter().zip([Exception::UD; 2]) {
        let mut machine = machine();
        machine.state.segments[SegmentRegister::Cs].access = Access(0x9b);
        change(&mut machine);
        assert_eq!(raised(&mut machine, ADD), Some(expected));
    }
    // 16-bit protected mode has them.
    let mut machine = machine();
    machine.state.segments[SegmentRegister::Cs].access = Access(0x9b);
    machine.state.segments[SegmentRegister::Cs].base = crate::common::CODE;
    machine.state.control.efer = monovisor_core::state::EferFlags::empty();
    machine.state.control.cr0.remove(Cr0Flags::PAGING);
    machine.assemble(ADD);
    machine.state.rip = 0;
    assert_eq!(machine.execute().raised(), None);
}

#[test]
fn fields_that_must_be_empty_are() {
    let rows: &[&[u8]] = &[
        &[0x66, 0xc5, 0xf4, 0x58, 0xc2], // a prefix in front
        &[0xf2, 0xc5, 0xf4, 0x58, 0xc2],
        &[0xf3, 0xc5, 0xf4, 0x58, 0xc2],
        &[0xf0, 0xc5, 0xf4, 0x58, 0xc2],
        &[0x48, 0xc5, 0xf4, 0x58, 0xc2],
        &[0xc5, 0xf4, 0x28, 0xc2],          // vmovaps with a second source
        &[0xc4, 0xe2, 0x71, 0x18, 0xc2],    // vbroadcastss with a second source
        &[0xc4, 0xe2, 0x79, 0x19, 0xc2],    // vbroadcastsd of 128 bits
        &[0xc4, 0xe3, 0x71, 0x06, 0xc2, 0], // vperm2f128 of 128 bits
        &[0xc4, 0xe3, 0xf5, 0x06, 0xc2, 0], // vperm2f128 with W
        &[0xc4, 0xe2, 0x7d, 0x92, 0x04, 0x0e], // vgatherdps ymm0, [rsi + ymm1], ymm0
        &[0xc4, 0xe2, 0x75, 0x92, 0x0c, 0x16], // vgatherdps ymm1, [rsi + ymm2], ymm1
        &[0xc4, 0xe2, 0x75, 0xdc, 0xc2],    // vaesenc of 256 bits, which is VAES
    ];
    let mut machine = machine();
    for code in rows {
        assert_eq!(raised(&mut machine, code), Some(Exception::UD), "{code:x?}");
    }
}
