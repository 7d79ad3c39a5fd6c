//! FXSAVE, FXRSTOR, XSAVE, XRSTOR, XGETBV, XSETBV and the x87 control instructions: images by the
//! manual's layout, and what each raises.

mod common;

use common::{CODE, DATA, Machine};
use monovisor_core::CpuState;
use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, Exception, Fpu, Register, SegmentRegister, Vector, XCr0Flags,
};

/// Byte offset of the XSAVE header, and of the area's end.
const HEADER: usize = 512;
const AREA: usize = 576;
const OLD: u8 = 0xee;

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

fn some_fpu() -> Fpu {
    Fpu {
        xmm: std::array::from_fn(|index| {
            0x0101_0101_0101_0101_0101_0101_0101_0101 * (index as u128 + 1)
        }),
        st: std::array::from_fn(|index| 0x1234_5678_9abc_def0_1122 + index as u128),
        mxcsr: 0x3fa1,
        control_word: 0x37f,
        status_word: 0x3800,
        tag_word: 0x81,
        opcode: 0x7a5,
        instruction_pointer: 0x1234_5678_9abc,
        data_pointer: 0x7fff_8765_4321,
    }
}

/// A machine whose state is `some_fpu`, with RSI at the area and everything requested.
fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.state.fpu = some_fpu();
    machine.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE;
    machine.state.gpr[Register::Rsi] = DATA;
    machine.state.gpr[Register::Rax] = u64::MAX;
    machine.state.gpr[Register::Rdx] = u64::MAX;
    machine.ram.write(DATA, &[OLD; AREA]);
    machine
}

/// Executes `code`; what it raised. Then the state is as before.
fn raised(machine: &mut Machine, code: &[u8]) -> Option<Exception> {
    machine.assemble(code);
    let exception = machine.execute().raised();
    if exception.is_some() {
        let state = machine.vcpu.state();
        assert_eq!(state.fpu, machine.state.fpu, "{code:x?}");
        assert_eq!(state.gpr, machine.state.gpr, "{code:x?}");
        assert_eq!(state.rip, CODE);
    }
    exception
}

/// Executes `code`; the state behind it.
fn done<'a>(machine: &'a mut Machine, code: &[u8]) -> &'a CpuState {
    assert_eq!(raised(machine, code), None, "{code:x?}");
    machine.vcpu.state()
}

fn area(machine: &Machine) -> [u8; AREA] {
    let mut bytes = [0; AREA];
    machine.ram.read(DATA, &mut bytes);
    bytes
}

/// The legacy region of `some_fpu`, with pointers of 64 bits or of 32.
fn image(wide: bool) -> [u8; AREA] {
    let fpu = some_fpu();
    let mut bytes = [0; AREA];
    bytes[..2].copy_from_slice(&fpu.control_word.to_le_bytes());
    bytes[2..4].copy_from_slice(&fpu.status_word.to_le_bytes());
    bytes[4] = fpu.tag_word;
    bytes[6..8].copy_from_slice(&fpu.opcode.to_le_bytes());
    let width = if wide { 8 } else { 4 };
    bytes[8..8 + width].copy_from_slice(&fpu.instruction_pointer.to_le_bytes()[..width]);
    bytes[16..16 + width].copy_from_slice(&fpu.data_pointer.to_le_bytes()[..width]);
    bytes[24..28].copy_from_slice(&fpu.mxcsr.to_le_bytes());
    bytes[28..32].copy_from_slice(&0xffff_u32.to_le_bytes());
    for (index, register) in fpu.st.iter().enumerate() {
        bytes[32 + 16 * index..42 + 16 * index].copy_from_slice(&register.to_le_bytes()[..10]);
    }
    for (index, register) in fpu.xmm.iter().enumerate() {
        bytes[160 + 16 * index..176 + 16 * index].copy_from_slice(&register.to_le_bytes());
    }
    bytes
}

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
    for (code, alignment) in [(FXSAVE, 16), (FXRSTOR, 16), (XSAVE, 64), (XRSTOR64, 64)] {
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
            (Vector::PageFault, 2 << 20),
            "{code:x?}"
        );
        let mut bytes = [0; 256];
        machine.ram.read((2 << 20) - 256, &mut bytes);
        assert_eq!(bytes, [OLD; 256], "{code:x?}");
    }
}

#[test]
fn xsave_writes_what_is_requested_and_says_what_is_in_use() {
    let whole = image(true);
    let old = u64::from_le_bytes([OLD; 8]);
    for requested in 0..4_u64 {
        let mut machine = machine();
        machine.state.gpr[Register::Rax] = requested | 0xf0;
        done(&mut machine, XSAVE64);
        let found = area(&machine);
        let saved = |bit: u64, range: std::ops::Range<usize>| {
            if requested & bit != 0 { whole[range].to_vec() } else { vec![OLD; range.len()] }
        };
        assert_eq!(found[..24], saved(1, 0..24));
        assert_eq!(found[24..32], saved(2, 24..32));
        assert_eq!(found[32..160], saved(1, 32..160));
        assert_eq!(found[160..416], saved(2, 160..416));
        assert_eq!(found[416..HEADER], [OLD; 96]);
        let header = (old & !requested | requested).to_le_bytes();
        assert_eq!(found[HEADER..HEADER + 8], header);
        assert_eq!(found[HEADER + 8..], [OLD; 56]);
    }
    // Nothing is in use; MXCSR does not count.
    let mut machine = machine();
    machine.state.fpu = Fpu { mxcsr: 0x1fa0, ..initial() };
    done(&mut machine, XSAVE);
    assert_eq!(area(&machine)[HEADER..HEADER + 8], (old & !3).to_le_bytes());
    // XCR0 keeps SSE out.
    machine.state.control.xcr0 = XCr0Flags::X87;
    machine.ram.write(DATA, &[OLD; AREA]);
    done(&mut machine, XSAVE);
    assert_eq!(area(&machine)[160..416], [OLD; 256]);
}

fn initial() -> Fpu {
    Fpu {
        xmm: [0; 16],
        st: [0; 8],
        mxcsr: 0x1f80,
        control_word: 0x37f,
        status_word: 0,
        tag_word: 0,
        opcode: 0,
        instruction_pointer: 0,
        data_pointer: 0,
    }
}

#[test]
fn xrstor_loads_what_is_present_and_initialises_what_is_not() {
    for requested in 0..4_u64 {
        for present in 0..4_u64 {
            let mut machine = machine();
            let mut bytes = image(true);
            bytes[HEADER] = present as u8;
            machine.ram.write(DATA, &bytes);
            machine.state.gpr[Register::Rax] = requested;
            let before = Fpu { xmm: [7; 16], control_word: 0x27f, mxcsr: 0x1f82, ..initial() };
            machine.state.fpu = before;
            let source = |bit: u64| match (requested & bit != 0, present & bit != 0) {
                (false, _) => before,
                (true, false) => initial(),
                (true, true) => some_fpu(),
            };
            let mxcsr = if requested & 2 != 0 { some_fpu().mxcsr } else { before.mxcsr };
            let expected = Fpu { xmm: source(2).xmm, mxcsr, ..source(1) };
            assert_eq!(done(&mut machine, XRSTOR64).fpu, expected, "{requested} of {present}");
        }
    }
}

#[test]
fn xrstor_checks_the_header() {
    let cases = [
        (HEADER, 4_u8),
        (HEADER + 7, 0x80),
        (HEADER + 8, 1),
        (HEADER + 15, 0x80),
        (HEADER + 16, 1),
        (HEADER + 23, 1),
    ];
    for (offset, value) in cases {
        let mut machine = machine();
        let mut bytes = image(true);
        bytes[offset] = value;
        machine.ram.write(DATA, &bytes);
        assert_eq!(raised(&mut machine, XRSTOR64), Some(Exception::GP0), "{offset}");
    }
    // A component that XCR0 does not enable.
    let mut machine = machine();
    let mut bytes = image(true);
    bytes[HEADER] = 2;
    machine.ram.write(DATA, &bytes);
    machine.state.control.xcr0 = XCr0Flags::X87;
    assert_eq!(raised(&mut machine, XRSTOR64), Some(Exception::GP0));
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
fn xsaveopt_xsavec_and_emms_are_not_offered() {
    let codes: [&[u8]; 4] = [
        &[0x0f, 0xae, 0x36], // xsaveopt [rsi]
        &[0x0f, 0xc7, 0x26], // xsavec [rsi]
        &[0x0f, 0xc7, 0x2e], // xsaves [rsi]
        &[0x0f, 0x77],       // emms
    ];
    for code in codes {
        assert_eq!(raised(&mut machine(), code), Some(Exception::UD), "{code:x?}");
    }
}

#[test]
fn xcr0_is_read_and_written() {
    let mut machine = machine();
    machine.state.gpr[Register::Rcx] = 0xffff_ffff_0000_0000;
    let state = done(&mut machine, XGETBV);
    assert_eq!((state.gpr[Register::Rax], state.gpr[Register::Rdx]), (3, 0));
    machine.state.gpr[Register::Rax] = 1;
    machine.state.gpr[Register::Rdx] = 0;
    assert_eq!(done(&mut machine, XSETBV).control.xcr0, XCr0Flags::X87);
    for (rax, rdx, rcx) in [(0, 0, 0), (2, 0, 0), (7, 0, 0), (3, 1, 0), (3, 0, 1)] {
        machine.state.gpr[Register::Rax] = rax;
        machine.state.gpr[Register::Rdx] = rdx;
        machine.state.gpr[Register::Rcx] = rcx;
        assert_eq!(raised(&mut machine, XSETBV), Some(Exception::GP0), "{rax} {rdx} {rcx}");
    }
    machine.state.gpr[Register::Rcx] = 1;
    assert_eq!(raised(&mut machine, XGETBV), Some(Exception::GP0));
    // At CPL 3.
    machine.state.gpr[Register::Rcx] = 0;
    machine.state.gpr[Register::Rax] = 3;
    for register in [SegmentRegister::Cs, SegmentRegister::Ss] {
        let access = &mut machine.state.segments[register].access;
        access.0 |= 3 << 5;
    }
    assert_eq!(raised(&mut machine, XSETBV), Some(Exception::GP0));
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
        Fpu { st: rotated, xmm: some_fpu().xmm, mxcsr: some_fpu().mxcsr, ..initial() }
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
