//! FXSAVE, FXRSTOR and the x87 control instructions: images by the manual's layout, and what each
//! raises.

mod common;

use common::DATA;
use common::fpu::{AREA, HEADER, OLD, area, done, image, initial, machine, raised, some_fpu};
use common::guest::{self, End, Guest};
use monovisor_core::CpuState;
use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, Exception, Fpu, RFlags, Register, SegmentRegister, Vector,
};

const FXSAVE: &[u8] = &[0x0f, 0xae, 0x06];
const FXSAVE64: &[u8] = &[0x48, 0x0f, 0xae, 0x06];
const FXRSTOR: &[u8] = &[0x0f, 0xae, 0x0e];
const FXRSTOR64: &[u8] = &[0x48, 0x0f, 0xae, 0x0e];
const XSAVE: &[u8] = &[0x0f, 0xae, 0x26];
const XSAVE64: &[u8] = &[0x48, 0x0f, 0xae, 0x26];
const XRSTOR: &[u8] = &[0x0f, 0xae, 0x2e];
const XRSTOR64: &[u8] = &[0x48, 0x0f, 0xae, 0x2e];
const XGETBV: &[u8] = &[0x0f, 0x01, 0xd0];
const XSETBV: &[u8] = &[0x0f, 0x01, 0xd1];
const FNINIT: &[u8] = &[0xdb, 0xe3];
const FNCLEX: &[u8] = &[0xdb, 0xe2];
const FNSTCW: &[u8] = &[0xd9, 0x3e];
const FLDCW: &[u8] = &[0xd9, 0x2e];
const FNSTSW_AX: &[u8] = &[0xdf, 0xe0];
const FNSTSW: &[u8] = &[0xdd, 0x3e];
const FWAIT: &[u8] = &[0x9b];

/// What an image with narrow pointers keeps of `some_fpu`.
fn narrowed() -> Fpu {
    let fpu = some_fpu();
    Fpu {
        instruction_pointer: fpu.instruction_pointer & 0xffff_ffff,
        data_pointer: fpu.data_pointer & 0xffff_ffff,
        ..fpu
    }
}

#[test]
fn fxsave_writes_the_image_and_leaves_what_software_owns() {
    for (code, wide) in [(FXSAVE, false), (FXSAVE64, true)] {
        let mut machine = machine();
        done(&mut machine, code);
        let (found, expected) = (area(&machine), image(wide));
        assert_eq!(found[..416], expected[..416]);
        assert_eq!(found[416..], [OLD; AREA - 416]);
    }
}

#[test]
fn fxrstor_takes_the_image_back() {
    for (code, wide) in [(FXRSTOR, false), (FXRSTOR64, true)] {
        let mut machine = machine();
        machine.ram.write(DATA, &image(wide));
        machine.state.fpu = CpuState::reset(0).fpu;
        let expected = if wide { some_fpu() } else { narrowed() };
        let expected = Fpu { ymm_high: [0; 16], ..expected };
        assert_eq!(done(&mut machine, code).fpu, expected);
    }
}

#[test]
fn reserved_bits_of_mxcsr_are_a_general_protection_fault() {
    for code in [FXRSTOR, XRSTOR] {
        let mut machine = machine();
        machine.ram.write(DATA, &[0; AREA]);
        machine.ram.write(DATA + 24, &0x1_1f80_u32.to_le_bytes());
        assert_eq!(raised(&mut machine, code), Some(Exception::GP0), "{code:x?}");
    }
}

#[test]
fn reserved_bits_of_the_control_word_are_not_restored() {
    for code in [FXRSTOR, FXRSTOR64, XRSTOR, XRSTOR64] {
        for (saved, restored) in [(0xa3a7_u16, 0x367), (0, 0x40), (0xffff, 0x1f7f)] {
            let mut machine = machine();
            let mut bytes = image(true);
            bytes[..2].copy_from_slice(&saved.to_le_bytes());
            bytes[HEADER] = 1;
            machine.ram.write(DATA, &bytes);
            assert_eq!(done(&mut machine, code).fpu.control_word, restored, "{code:x?}");
        }
    }
}

#[test]
fn a_restored_mask_holds_for_the_next_instruction() {
    // fxrstor [rsi]; divss xmm0, xmm1
    let mut machine = machine();
    let mut bytes = image(true);
    bytes[24..28].copy_from_slice(&0x1d80_u32.to_le_bytes());
    bytes[160..192].fill(0);
    bytes[163] = 0x3f;
    machine.ram.write(DATA, &bytes);
    machine.assemble(&[FXRSTOR64, &[0xf3, 0x0f, 0x5e, 0xc1]].concat());
    let exception = machine.execute().raised().map(|exception| exception.vector);
    assert_eq!(exception, Some(Vector::SimdFloatingPoint));
    assert_eq!(machine.vcpu.state().fpu.mxcsr, 0x1d84);
}

#[test]
fn flags_that_arithmetic_has_just_raised_are_saved() {
    // divss xmm0, xmm1; fxsave [rsi]
    let mut machine = machine();
    machine.state.fpu.mxcsr = 0x1f80;
    (machine.state.fpu.xmm[0], machine.state.fpu.xmm[1]) = (0x3f80_0000, 0x4040_0000);
    done(&mut machine, &[&[0xf3, 0x0f, 0x5e, 0xc1], FXSAVE64].concat());
    assert_eq!(area(&machine)[24..28], 0x1fa0_u32.to_le_bytes());
}

#[test]
fn areas_are_aligned_and_present() {
    // Processors look for the last byte of an area first, or behind the first byte, and XRSTOR for the
    // header before that.
    for (code, alignment, missed) in
        [(FXSAVE, 16, 511), (FXRSTOR, 16, 511), (XSAVE, 64, AREA as u64 - 1), (XRSTOR64, 64, 512)]
    {
        let mut machine = machine();
        for offset in [1, 8, alignment / 2] {
            machine.state.gpr[Register::Rsi] = DATA + offset;
            assert_eq!(raised(&mut machine, code), Some(Exception::GP0), "{code:x?}");
        }
        // The second part of the area lies behind the last page.
        machine.state.gpr[Register::Rsi] = (2 << 20) - 256;
        machine.ram.write((2 << 20) - 256, &[OLD; 256]);
        let exception = raised(&mut machine, code).expect("a page fault");
        assert_eq!(
            (exception.vector, exception.payload),
            (Vector::PageFault, (2 << 20) - 256 + missed),
            "{code:x?}"
        );
        let mut bytes = [0; 256];
        machine.ram.read((2 << 20) - 256, &mut bytes);
        assert_eq!(bytes, [OLD; 256], "{code:x?}");
    }
}

#[test]
fn what_the_system_withholds_is_not_available() {
    let x87 = [FXSAVE, FXRSTOR, FNINIT, FNCLEX, FNSTCW, FLDCW, FNSTSW, FNSTSW_AX];
    for code in x87 {
        for flag in [Cr0Flags::TASK_SWITCHED, Cr0Flags::EMULATE_COPROCESSOR] {
            let mut machine = machine();
            machine.state.control.cr0 |= flag;
            assert_eq!(raised(&mut machine, code), Some(Exception::NM), "{code:x?}");
        }
    }
    for code in [XSAVE, XRSTOR, XSAVE64, XRSTOR64] {
        let mut machine = machine();
        machine.state.control.cr0 |= Cr0Flags::TASK_SWITCHED;
        assert_eq!(raised(&mut machine, code), Some(Exception::NM), "{code:x?}");
        machine.state.control.cr4.remove(Cr4Flags::OSXSAVE);
        assert_eq!(raised(&mut machine, code), Some(Exception::UD), "{code:x?}");
    }
    for code in [XGETBV, XSETBV] {
        let mut machine = machine();
        machine.state.control.cr4.remove(Cr4Flags::OSXSAVE);
        assert_eq!(raised(&mut machine, code), Some(Exception::UD), "{code:x?}");
    }
    let mut machine = machine();
    machine.state.control.cr0 |= Cr0Flags::TASK_SWITCHED;
    assert_eq!(raised(&mut machine, FWAIT), None);
    machine.state.control.cr0 |= Cr0Flags::MONITOR_COPROCESSOR;
    assert_eq!(raised(&mut machine, FWAIT), Some(Exception::NM));
}

#[test]
fn x87_words() {
    let mut machine = machine();
    let fpu = done(&mut machine, FNINIT).fpu;
    let mut rotated = some_fpu().st;
    rotated.rotate_left(1);
    assert_eq!(
        fpu,
        // The same registers, counted from another top.
        Fpu {
            st: rotated,
            xmm: some_fpu().xmm,
            ymm_high: some_fpu().ymm_high,
            mxcsr: some_fpu().mxcsr,
            ..initial()
        }
    );

    machine.state.fpu.status_word = 0xbaff;
    assert_eq!(done(&mut machine, FNCLEX).fpu.status_word, 0x3a00);
    machine.state.fpu.status_word = 0x3a41;
    let state = done(&mut machine, FNSTSW_AX);
    assert_eq!(state.gpr[Register::Rax], 0xffff_ffff_ffff_3a41);
    done(&mut machine, FNSTSW);
    assert_eq!(area(&machine)[..3], [0x41, 0x3a, OLD]);
    done(&mut machine, FNSTCW);
    assert_eq!(area(&machine)[..3], [0x7f, 0x03, OLD]);

    // Reserved bits of the control word.
    machine.state.fpu.status_word = 0;
    machine.ram.write(DATA, &0xffbf_u16.to_le_bytes());
    assert_eq!(done(&mut machine, FLDCW).fpu.control_word, 0x1f7f);
}

#[test]
fn a_pending_x87_exception_is_raised_by_the_next_instruction_that_waits() {
    let mut machine = machine();
    // Divide by zero has happened; FLDCW unmasks it.
    machine.state.fpu.status_word = 4;
    machine.ram.write(DATA, &0x37b_u16.to_le_bytes());
    let state = done(&mut machine, FLDCW);
    assert_eq!(state.fpu.status_word, 0x8084);
    machine.state.fpu.status_word = 0x8084;
    machine.state.fpu.control_word = 0x37b;
    for code in [FWAIT, FLDCW] {
        let exception = raised(&mut machine, code);
        assert_eq!(exception, Some(Exception::plain(Vector::X87FloatingPoint)), "{code:x?}");
    }
    for code in [FNSTSW_AX, FNINIT, FNCLEX, FXSAVE, FNSTCW] {
        assert_eq!(raised(&mut machine, code), None, "{code:x?}");
    }
}

#[test]
fn outside_64_bit_mode_there_are_eight_xmm_registers() {
    let mut machine = machine();
    machine.state.segments[SegmentRegister::Cs].access = Access(0xc09b);
    done(&mut machine, FXSAVE);
    let (found, expected) = (area(&machine), image(false));
    assert_eq!(found[..288], expected[..288]);
    assert_eq!(found[288..], [OLD; AREA - 288]);
    machine.ram.write(DATA, &[0; AREA]);
    let fpu = done(&mut machine, FXRSTOR).fpu;
    assert_eq!(fpu.xmm[..8], [0; 8]);
    assert_eq!(fpu.xmm[8..], some_fpu().xmm[8..]);
}

#[test]
fn where_alignment_is_checked_a_doubleword_is_looked_at_first() {
    for code in [FXSAVE, FXRSTOR] {
        for (distance, vector) in [
            (1, Vector::AlignmentCheck),
            (2, Vector::AlignmentCheck),
            (4, Vector::GeneralProtection),
            (8, Vector::GeneralProtection),
        ] {
            let mut guest = Guest::user_mode();
            guest.state.control.cr0 |= Cr0Flags::ALIGNMENT_MASK;
            guest.state.rflags |= RFlags::ALIGNMENT_CHECK;
            guest.set(Register::Rsi, guest::DATA + distance);
            let end = guest.run(code);
            let End::Fault(exception) = end else { panic!("{code:x?} + {distance}: {end:?}") };
            assert_eq!(exception.vector, vector, "{code:x?} + {distance}");
        }
    }
}
