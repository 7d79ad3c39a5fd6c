//! The XSAVE family, XGETBV and XSETBV: areas by the manual's layout in both formats, what is saved of what
//! is in use, and what each rule of the header raises.

mod common;

use common::DATA;
use common::fpu::{
    AREA, EXTENDED, HEADER, OLD, area, done, image, initial, machine, raised, some_fpu,
};
use monovisor_core::cpuid::Model;
use monovisor_core::state::{
    Access, Cr4Flags, Exception, Fpu, Register, SegmentRegister, Vector, XCr0Flags,
};

const XSAVE: &[u8] = &[0x0f, 0xae, 0x26];
const XSAVE64: &[u8] = &[0x48, 0x0f, 0xae, 0x26];
const XSAVEOPT64: &[u8] = &[0x48, 0x0f, 0xae, 0x36];
const XSAVEC64: &[u8] = &[0x48, 0x0f, 0xc7, 0x26];
const XSAVES64: &[u8] = &[0x48, 0x0f, 0xc7, 0x2e];
const XRSTOR64: &[u8] = &[0x48, 0x0f, 0xae, 0x2e];
const XRSTORS64: &[u8] = &[0x48, 0x0f, 0xc7, 0x1e];
const XGETBV: &[u8] = &[0x0f, 0x01, 0xd0];
const XSETBV: &[u8] = &[0x0f, 0x01, 0xd1];

/// The bit of XCOMP_BV that says that the area is compacted.
const COMPACTED: u64 = 1 << 63;

/// The components that an FPU of `some_fpu` has in its initial configuration where `used` has no bit.
fn used(used: u64) -> Fpu {
    let (some, initial) = (some_fpu(), initial());
    let x87 = if used & 1 != 0 { some } else { initial };
    Fpu {
        xmm: if used & 2 != 0 { some.xmm } else { initial.xmm },
        ymm_high: if used & 4 != 0 { some.ymm_high } else { initial.ymm_high },
        mxcsr: some.mxcsr,
        ..x87
    }
}

/// Where each part of the area belongs to, by components: x87, XMM registers, AVX.
const PARTS: [(u64, std::ops::Range<usize>); 4] =
    [(1, 0..24), (1, 32..160), (2, 160..416), (4, EXTENDED..AREA)];

/// Asserts that `found` has the parts of `saved` and nothing else of the components.
fn assert_saved(found: &[u8; AREA], saved: u64, mxcsr: bool) {
    let whole = image(true);
    let part = |there: bool, range: std::ops::Range<usize>| {
        if there { whole[range].to_vec() } else { vec![OLD; range.len()] }
    };
    for (component, range) in PARTS {
        let expected = part(saved & component != 0, range.clone());
        assert_eq!(found[range.clone()], expected, "{saved:#x} {range:?}");
    }
    assert_eq!(found[24..32], part(mxcsr, 24..32), "{saved:#x}");
    assert_eq!(found[416..HEADER], [OLD; 96]);
    assert_eq!(found[HEADER + 16..EXTENDED], [OLD; 48]);
}

fn word(found: &[u8; AREA], at: usize) -> u64 {
    u64::from_le_bytes(found[at..at + 8].try_into().expect("eight bytes"))
}

#[test]
fn xsave_writes_what_is_requested_and_says_what_is_in_use() {
    let old = u64::from_le_bytes([OLD; 8]);
    for (requested, in_use) in
        (0..8).flat_map(|requested| (0..8).map(move |used| (requested, used)))
    {
        for (code, optimized) in [(XSAVE64, false), (XSAVEOPT64, true)] {
            let mut machine = machine();
            machine.state.gpr[Register::Rax] = requested | 0xf0;
            machine.state.fpu = used(in_use);
            done(&mut machine, code);
            let found = area(&machine);
            if optimized || requested & !in_use == 0 {
                assert_saved(&found, requested & in_use, requested & 6 != 0);
            }
            assert_eq!(word(&found, HEADER), old & !requested | requested & in_use);
            assert_eq!(word(&found, HEADER + 8), old);
        }
    }
    // XCR0 keeps AVX and SSE out.
    let mut machine = machine();
    machine.state.control.xcr0 = XCr0Flags::X87;
    done(&mut machine, XSAVE);
    assert_eq!(area(&machine)[160..416], [OLD; 256]);
    assert_eq!(area(&machine)[EXTENDED..], [OLD; 256]);
}

#[test]
fn the_compacted_format_has_what_is_in_use() {
    for (requested, in_use) in
        (0..8).flat_map(|requested| (0..8).map(move |used| (requested, used)))
    {
        for code in [XSAVEC64, XSAVES64] {
            let mut machine = machine();
            machine.state.gpr[Register::Rax] = requested | 0xf0;
            machine.state.fpu = used(in_use);
            done(&mut machine, code);
            let found = area(&machine);
            // MXCSR is not as after reset, so SSE is saved in any case.
            let saved = requested & (in_use | 2);
            let mut expected = found;
            if requested & 2 & !in_use != 0 {
                assert_eq!(found[160..416], [0; 256]);
                expected[160..416].copy_from_slice(&image(true)[160..416]);
            }
            assert_saved(&expected, saved, requested & 2 != 0);
            assert_eq!(word(&found, HEADER), saved, "{requested} of {in_use}");
            assert_eq!(word(&found, HEADER + 8), requested | COMPACTED);
        }
    }
    let mut machine = machine();
    machine.state.fpu = initial();
    done(&mut machine, XSAVEC64);
    assert_eq!(word(&area(&machine), HEADER), 0);
}

#[test]
fn xrstor_loads_what_is_present_and_initialises_what_is_not() {
    for (requested, present) in
        (0..8).flat_map(|requested| (0..8).map(move |bits| (requested, bits)))
    {
        for (code, compacted) in [(XRSTOR64, false), (XRSTOR64, true), (XRSTORS64, true)] {
            let mut machine = machine();
            let mut bytes = image(true);
            bytes[HEADER] = present as u8;
            if compacted {
                bytes[HEADER + 8] = present as u8;
                bytes[HEADER + 15] = 0x80;
            }
            machine.ram.write(DATA, &bytes);
            machine.state.gpr[Register::Rax] = requested;
            let before = Fpu {
                xmm: [7; 16],
                ymm_high: [8; 16],
                control_word: 0x27f,
                mxcsr: 0x1f82,
                ..initial()
            };
            machine.state.fpu = before;
            let source = |bit: u64| match (requested & bit != 0, present & bit != 0) {
                (false, _) => before,
                (true, false) => initial(),
                (true, true) => some_fpu(),
            };
            let mxcsr = match compacted {
                false if requested & 6 != 0 => some_fpu().mxcsr,
                false => before.mxcsr,
                true => source(2).mxcsr,
            };
            let (xmm, ymm_high) = (source(2).xmm, source(4).ymm_high);
            let expected = Fpu { xmm, ymm_high, mxcsr, ..source(1) };
            assert_eq!(done(&mut machine, code).fpu, expected, "{requested} of {present}");
        }
    }
}

#[test]
fn the_header_is_checked() {
    // Where a byte is changed, in standard format and in compacted format with all components.
    let standard = [(0, 8_u8), (7, 0x80), (8, 1), (14, 0x80), (16, 1), (23, 1)];
    let compacted =
        [(0, 8_u8), (7, 0x80), (8, 8 | 7), (8, 3), (14, 0x80), (16, 1), (23, 1), (24, 1), (63, 1)];
    let cases =
        standard.iter().map(|case| (case, 0)).chain(compacted.iter().map(|case| (case, 0x80)));
    for (&(offset, value), format) in cases {
        for code in [XRSTOR64, XRSTORS64] {
            let mut machine = machine();
            let mut bytes = image(true);
            bytes[HEADER] = 7;
            bytes[HEADER + 8] = if format == 0 { 0 } else { 7 };
            bytes[HEADER + 15] = format;
            bytes[HEADER + offset] = value;
            machine.ram.write(DATA, &bytes);
            assert_eq!(raised(&mut machine, code), Some(Exception::GP0), "{offset} {format}");
        }
    }
    // The standard format ignores the rest of the header, but XRSTORS does not take that format.
    let mut machine = machine();
    let mut bytes = image(true);
    bytes[HEADER + 24..EXTENDED].fill(0xff);
    machine.ram.write(DATA, &bytes);
    assert_eq!(raised(&mut machine, XRSTOR64), None);
    assert_eq!(raised(&mut machine, XRSTORS64), Some(Exception::GP0));
    // A component that XCR0 does not enable.
    for (format, component) in [(0, 2), (0x80, 0), (0x80, 2)] {
        let mut bytes = image(true);
        (bytes[HEADER], bytes[HEADER + 8]) = (component, if format == 0 { 0 } else { 2 });
        bytes[HEADER + 15] = format;
        machine.ram.write(DATA, &bytes);
        machine.state.control.xcr0 = XCr0Flags::X87;
        assert_eq!(raised(&mut machine, XRSTOR64), Some(Exception::GP0));
    }
}

#[test]
fn areas_end_with_their_last_component() {
    // Behind these bytes nothing is mapped.
    let end = 2 << 20;
    for (code, components, bytes) in [
        (XSAVE64, 7, AREA),
        (XSAVE64, 3, EXTENDED),
        (XSAVEC64, 3, EXTENDED),
        (XSAVEC64, 7, AREA),
        (XRSTOR64, 3, EXTENDED),
        (XRSTOR64, 7, AREA),
    ] {
        let mut machine = machine();
        let mut content = image(true);
        content[HEADER] = components;
        let start = end - bytes as u64;
        machine.ram.write(start, &content[..bytes]);
        machine.state.gpr[Register::Rax] = components.into();
        machine.state.gpr[Register::Rsi] = start;
        assert_eq!(raised(&mut machine, code), None, "{code:x?} {components}");
        machine.state.gpr[Register::Rsi] = start + 64;
        machine.ram.write(start + 64, &content[..bytes - 64]);
        let exception = raised(&mut machine, code).expect("a page fault");
        // What is missed is the last byte, unless it is the header.
        let missed = if code == XRSTOR64 && components == 3 { end } else { end + 63 };
        assert_eq!((exception.vector, exception.payload), (Vector::PageFault, missed), "{code:x?}");
    }
}

#[test]
fn supervisor_forms_are_for_privilege_level_0() {
    for code in [XSAVES64, XRSTORS64] {
        let mut machine = machine();
        for register in [SegmentRegister::Cs, SegmentRegister::Ss] {
            machine.state.segments[register].access.0 |= 3 << 5;
        }
        assert_eq!(raised(&mut machine, code), Some(Exception::GP0), "{code:x?}");
        machine.state.control.cr4.remove(Cr4Flags::OSXSAVE);
        assert_eq!(raised(&mut machine, code), Some(Exception::UD), "{code:x?}");
    }
}

#[test]
fn outside_64_bit_mode_there_are_eight_registers() {
    let mut machine = machine();
    machine.state.segments[SegmentRegister::Cs].access = Access(0xc09b);
    done(&mut machine, XSAVE);
    let (found, expected) = (area(&machine), image(false));
    assert_eq!(found[EXTENDED..EXTENDED + 128], expected[EXTENDED..EXTENDED + 128]);
    assert_eq!(found[EXTENDED + 128..], [OLD; 128]);
    // The others do not count as in use.
    machine.state.fpu.ymm_high[..8].fill(0);
    machine.state.gpr[Register::Rcx] = 1;
    assert_eq!(done(&mut machine, XGETBV).gpr[Register::Rax], 3);
}

#[test]
fn xcr0_is_read_and_written() {
    let mut machine = machine();
    machine.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE;
    machine.state.gpr[Register::Rcx] = 0xffff_ffff_0000_0000;
    let state = done(&mut machine, XGETBV);
    assert_eq!((state.gpr[Register::Rax], state.gpr[Register::Rdx]), (3, 0));
    machine.state.gpr[Register::Rax] = 1;
    machine.state.gpr[Register::Rdx] = 0;
    assert_eq!(done(&mut machine, XSETBV).control.xcr0, XCr0Flags::X87);
    for (rax, rdx, rcx) in [(0, 0, 0), (2, 0, 0), (5, 0, 0), (15, 0, 0), (3, 1, 0), (3, 0, 1)] {
        machine.state.gpr[Register::Rax] = rax;
        machine.state.gpr[Register::Rdx] = rdx;
        machine.state.gpr[Register::Rcx] = rcx;
        assert_eq!(raised(&mut machine, XSETBV), Some(Exception::GP0), "{rax} {rdx} {rcx}");
    }
    machine.state.gpr[Register::Rcx] = 2;
    assert_eq!(raised(&mut machine, XGETBV), Some(Exception::GP0));
    // What is in use of what is enabled.
    machine.state.gpr[Register::Rcx] = 1;
    machine.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
    for in_use in 0..8 {
        machine.state.fpu = used(in_use);
        assert_eq!(done(&mut machine, XGETBV).gpr[Register::Rax], in_use);
    }
    // At CPL 3.
    machine.state.gpr[Register::Rcx] = 0;
    machine.state.gpr[Register::Rax] = 3;
    for register in [SegmentRegister::Cs, SegmentRegister::Ss] {
        let access = &mut machine.state.segments[register].access;
        access.0 |= 3 << 5;
    }
    assert_eq!(raised(&mut machine, XSETBV), Some(Exception::GP0));
}

/// PKRU, component 9: behind AVX state in standard format, and in compacted format where AVX state is not
/// a part right behind the header.
#[test]
fn protection_keys_are_a_component() {
    const PKRU: u64 = 1 << 9;
    let with_keys = |requested: u64, value: u32| {
        let mut machine = machine();
        machine.state.control.xcr0 |= XCr0Flags::MPK;
        machine.state.control.pkru = value;
        machine.state.gpr[Register::Rax] = requested;
        machine.ram.write(DATA, &[OLD; AREA + 8]);
        machine.ram.write(DATA + HEADER as u64, &[0; EXTENDED - HEADER]);
        machine
    };
    let read = |machine: &common::Machine, at: usize| {
        let mut bytes = [0; 8];
        machine.ram.read(DATA + at as u64, &mut bytes);
        u64::from_le_bytes(bytes)
    };
    let rows = [
        (XSAVE64, PKRU, AREA),
        (XSAVE64, PKRU | 4, AREA),
        (XSAVEOPT64, PKRU, AREA),
        (XSAVEC64, PKRU, EXTENDED),
        (XSAVEC64, PKRU | 4, AREA),
        (XSAVES64, PKRU | 2, EXTENDED),
    ];
    for (code, requested, place) in rows {
        let mut machine = with_keys(requested, 0x1234_5678);
        done(&mut machine, code);
        assert_eq!(read(&machine, place), 0x1234_5678, "{code:x?} {requested:#x}");
        assert_eq!(read(&machine, HEADER) & PKRU, PKRU);
        for loaded in [true, false] {
            let kept = if loaded { requested } else { requested & !PKRU };
            let present = read(&machine, HEADER) & kept;
            machine.ram.write(DATA + HEADER as u64, &present.to_le_bytes());
            machine.state.control.pkru = 0xffff;
            let after = done(&mut machine, XRSTOR64).control.pkru;
            assert_eq!(after, if loaded { 0x1234_5678 } else { 0 }, "{code:x?} {requested:#x}");
        }
    }
    // Zero is its initial configuration, and so not saved by XSAVEC.
    let mut machine = with_keys(PKRU, 0);
    done(&mut machine, XSAVEC64);
    assert_eq!((read(&machine, HEADER), read(&machine, HEADER + 8)), (0, PKRU | COMPACTED));
    assert_eq!(read(&machine, EXTENDED), u64::from_le_bytes([OLD; 8]));
}

/// Where the model says that the standard format has it, there it is; the compacted format does not care.
#[test]
fn protection_keys_are_where_cpuid_says() {
    const PKRU: u64 = 1 << 9;
    let mut machine = machine();
    let at = AREA + 64;
    machine.vcpu.set_model(Model::default().with_pkru_at(at as u32));
    machine.state.control.xcr0 |= XCr0Flags::MPK;
    machine.state.control.pkru = 0x1234_5678;
    machine.state.gpr[Register::Rax] = PKRU;
    machine.ram.write(DATA, &[0; AREA + 128]);
    for (code, place) in [(XSAVE64, at), (XSAVEC64, EXTENDED)] {
        done(&mut machine, code);
        let mut saved = [0; 8];
        machine.ram.read(DATA + place as u64, &mut saved);
        assert_eq!(u64::from_le_bytes(saved), 0x1234_5678, "{code:x?}");
        let before = std::mem::take(&mut machine.state.control.pkru);
        assert_eq!(done(&mut machine, XRSTOR64).control.pkru, before, "{code:x?}");
        machine.state.control.pkru = before;
    }
}
