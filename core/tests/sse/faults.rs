//! What SSE instructions raise besides #XM: alignment, and what the system has not enabled.

use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, Exception, Register, SegmentRegister, Vector,
};

use crate::common::{CODE, DATA, Machine};

/// Executes `code` with RSI = `rsi`, and tells what it raised. Then nothing must have changed.
fn raised(machine: &mut Machine, code: &[u8], rsi: u64) -> Option<Exception> {
    machine.assemble(code);
    machine.state.rip = CODE;
    machine.state.gpr[Register::Rsi] = rsi;
    machine.state.fpu.xmm = [0x1234_5678_9abc_def0_0fed_cba9_8765_4321; 16];
    let exception = machine.execute().raised();
    let state = machine.vcpu.state();
    if exception.is_some() {
        assert_eq!(state.fpu, machine.state.fpu, "{code:x?}");
        assert_eq!(state.gpr, machine.state.gpr, "{code:x?}");
        assert_eq!(state.rip, CODE, "{code:x?}");
    }
    exception
}

/// With a 16-byte operand at [RSI] that must be aligned.
const ALIGNED: &[&[u8]] = &[
    &[0x0f, 0x28, 0x06],             // movaps xmm0, [rsi]
    &[0x0f, 0x29, 0x06],             // movaps [rsi], xmm0
    &[0x66, 0x0f, 0x6f, 0x06],       // movdqa xmm0, [rsi]
    &[0x66, 0x0f, 0x7f, 0x06],       // movdqa [rsi], xmm0
    &[0x66, 0x0f, 0xe7, 0x06],       // movntdq [rsi], xmm0
    &[0x0f, 0x2b, 0x06],             // movntps [rsi], xmm0
    &[0x0f, 0x58, 0x06],             // addps xmm0, [rsi]
    &[0x66, 0x0f, 0x5e, 0x06],       // divpd xmm0, [rsi]
    &[0x66, 0x0f, 0x51, 0x06],       // sqrtpd xmm0, [rsi]
    &[0x66, 0x0f, 0xfe, 0x06],       // paddd xmm0, [rsi]
    &[0x66, 0x0f, 0x64, 0x06],       // pcmpgtb xmm0, [rsi]
    &[0x66, 0x0f, 0x70, 0x06, 0x1b], // pshufd xmm0, [rsi], 0x1b
    &[0x0f, 0xc6, 0x06, 0x1b],       // shufps xmm0, [rsi], 0x1b
    &[0x0f, 0xc2, 0x06, 0x01],       // cmpltps xmm0, [rsi]
    &[0x0f, 0x5b, 0x06],             // cvtdq2ps xmm0, [rsi]
    &[0xf2, 0x0f, 0xe6, 0x06],       // cvtpd2dq xmm0, [rsi]
    &[0x66, 0x0f, 0xf3, 0x06],       // psllq xmm0, [rsi]
    &[0x66, 0x0f, 0x57, 0x06],       // xorpd xmm0, [rsi]
];

/// With an operand at [RSI] that may be at any address.
const UNALIGNED: &[&[u8]] = &[
    &[0x0f, 0x10, 0x06],             // movups xmm0, [rsi]
    &[0x0f, 0x11, 0x06],             // movups [rsi], xmm0
    &[0x66, 0x0f, 0x10, 0x06],       // movupd xmm0, [rsi]
    &[0xf3, 0x0f, 0x6f, 0x06],       // movdqu xmm0, [rsi]
    &[0xf3, 0x0f, 0x7f, 0x06],       // movdqu [rsi], xmm0
    &[0xf2, 0x0f, 0x58, 0x06],       // addsd xmm0, [rsi]
    &[0xf3, 0x0f, 0x5e, 0x06],       // divss xmm0, [rsi]
    &[0x0f, 0x12, 0x06],             // movlps xmm0, [rsi]
    &[0x0f, 0x17, 0x06],             // movhps [rsi], xmm0
    &[0xf3, 0x0f, 0xe6, 0x06],       // cvtdq2pd xmm0, [rsi]
    &[0x0f, 0x5a, 0x06],             // cvtps2pd xmm0, [rsi]
    &[0x66, 0x0f, 0x2e, 0x06],       // ucomisd xmm0, [rsi]
    &[0xf2, 0x48, 0x0f, 0x2a, 0x06], // cvtsi2sd xmm0, qword [rsi]
    &[0x66, 0x0f, 0xc4, 0x06, 0x03], // pinsrw xmm0, [rsi], 3
];

#[test]
fn a_misaligned_operand_of_16_bytes_is_a_general_protection_fault() {
    let mut machine = Machine::new();
    for code in ALIGNED {
        assert_eq!(raised(&mut machine, code, DATA), None, "{code:x?}");
        for offset in [1, 4, 8, 15, 0xff8] {
            let exception = raised(&mut machine, code, DATA + offset);
            assert_eq!(exception, Some(Exception::GP0), "{code:x?} at {offset:#x}");
        }
        // Before the page is looked at.
        assert_eq!(raised(&mut machine, code, (1 << 40) + 8), Some(Exception::GP0), "{code:x?}");
    }
}

#[test]
fn other_operands_may_be_at_any_address() {
    let mut machine = Machine::new();
    for code in UNALIGNED {
        for offset in [0, 1, 8, 0xfff, 0xffd, 0xff9, 0xff1] {
            assert_eq!(raised(&mut machine, code, DATA + offset), None, "{code:x?} at {offset:#x}");
        }
    }
}

#[test]
fn an_absent_page_and_an_address_that_is_not_canonical_change_nothing() {
    let mut machine = Machine::new();
    for code in ALIGNED.iter().chain(UNALIGNED) {
        let absent = raised(&mut machine, code, 1 << 40).map(|exception| exception.vector);
        assert_eq!(absent, Some(Vector::PageFault), "{code:x?}");
        assert_eq!(raised(&mut machine, code, 1 << 63), Some(Exception::GP0), "{code:x?}");
    }
}

#[test]
fn what_the_system_has_not_enabled_is_undefined_or_not_available() {
    let codes = ALIGNED.iter().chain(UNALIGNED).copied();
    let more: [&[u8]; 4] = [
        &[0x0f, 0xae, 0x16],       // ldmxcsr [rsi]
        &[0x0f, 0xae, 0x1e],       // stmxcsr [rsi]
        &[0x66, 0x0f, 0xf7, 0xc1], // maskmovdqu xmm0, xmm1
        &[0x0f, 0x50, 0xc1],       // movmskps eax, xmm1
    ];
    for code in codes.chain(more) {
        let mut machine = Machine::new();
        machine.state.control.cr0 |= Cr0Flags::TASK_SWITCHED;
        assert_eq!(raised(&mut machine, code, DATA + 8), Some(Exception::NM), "{code:x?}");
        machine.state.control.cr0 |= Cr0Flags::EMULATE_COPROCESSOR;
        assert_eq!(raised(&mut machine, code, DATA + 8), Some(Exception::UD), "{code:x?}");
        let mut machine = Machine::new();
        machine.state.control.cr4.remove(Cr4Flags::OSFXSR);
        assert_eq!(raised(&mut machine, code, DATA + 8), Some(Exception::UD), "{code:x?}");
    }
}

#[test]
fn fences_hints_and_movnti_need_nothing_enabled() {
    let codes: [&[u8]; 10] = [
        &[0x0f, 0xae, 0xe8], // lfence
        &[0x0f, 0xae, 0xf0], // mfence
        &[0x0f, 0xae, 0xf8], // sfence
        &[0xf3, 0x90],       // pause
        &[0x0f, 0xae, 0x3e], // clflush [rsi]
        &[0x0f, 0x18, 0x06], // prefetchnta [rsi]
        &[0x0f, 0x18, 0x0e], // prefetcht0 [rsi]
        &[0x0f, 0x18, 0x16], // prefetcht1 [rsi]
        &[0x0f, 0x18, 0x1e], // prefetcht2 [rsi]
        &[0x0f, 0xc3, 0x06], // movnti [rsi], eax
    ];
    for code in codes {
        let mut machine = Machine::new();
        machine.state.control.cr0 |= Cr0Flags::TASK_SWITCHED | Cr0Flags::EMULATE_COPROCESSOR;
        assert_eq!(raised(&mut machine, code, DATA), None, "{code:x?}");
    }
    let mut machine = Machine::new();
    let prefetch = [0x0f, 0x18, 0x06];
    assert_eq!(raised(&mut machine, &prefetch, 1 << 40), None, "a hint faults nowhere");
    let flush = raised(&mut machine, &[0x0f, 0xae, 0x3e], 1 << 40);
    assert_eq!(flush.map(|exception| exception.vector), Some(Vector::PageFault));
}

#[test]
fn what_is_not_offered_is_undefined() {
    let codes: [&[u8]; 3] = [
        &[0xf2, 0x0f, 0x79, 0xc1, 0x00, 0x00], // insertq of SSE4a
        &[0x66, 0x0f, 0x38, 0xcf, 0xc1],       // gf2p8mulb xmm0, xmm1
        &[0xf0, 0x0f, 0x58, 0xc1],             // lock addps xmm0, xmm1
    ];
    let mut machine = Machine::new();
    for code in codes {
        assert_eq!(raised(&mut machine, code, DATA), Some(Exception::UD), "{code:x?}");
    }
}

#[test]
fn an_unmasked_exception_is_undefined_unless_the_system_handles_it() {
    // sqrtps xmm0, xmm1 of negative numbers
    let code = [0x0f, 0x51, 0xc1];
    for (handled, vector) in [(true, Vector::SimdFloatingPoint), (false, Vector::InvalidOpcode)] {
        let mut machine = Machine::new();
        machine.state.control.cr4.set(Cr4Flags::OSXMMEXCPT_ENABLE, handled);
        machine.state.fpu.mxcsr = 0x1f00;
        machine.state.fpu.xmm[1] = 0xbf80_0000;
        machine.assemble(&code);
        let exception = machine.execute().raised();
        assert_eq!(exception, Some(Exception::plain(vector)));
        let state = machine.vcpu.state();
        assert_eq!(state.fpu.mxcsr, 0x1f01);
        assert_eq!(state.fpu.xmm, machine.state.fpu.xmm);
    }
}

#[test]
fn mxcsr_is_loaded_stored_and_checked() {
    let (load, store) = ([0x0f, 0xae, 0x16], [0x0f, 0xae, 0x1e]);
    let mut machine = Machine::new();
    machine.ram.write(DATA, &0x1_0000_u32.to_le_bytes());
    assert_eq!(raised(&mut machine, &load, DATA), Some(Exception::GP0), "a reserved bit");

    // ldmxcsr [rsi]; divss xmm0, xmm1; stmxcsr [rsi + 4]
    let code = [0x0f, 0xae, 0x16, 0xf3, 0x0f, 0x5e, 0xc1, 0x0f, 0xae, 0x5e, 0x04];
    machine.assemble(&code);
    machine.state.gpr[Register::Rsi] = DATA;
    for (rounding, third) in
        [(0x1f80_u32, 0x3eaa_aaab), (0x3f80, 0x3eaa_aaaa), (0x5f80, 0x3eaa_aaab)]
    {
        machine.ram.write(DATA, &rounding.to_le_bytes());
        (machine.state.fpu.xmm[0], machine.state.fpu.xmm[1]) = (0x3f80_0000, 0x4040_0000);
        machine.state.rip = CODE;
        assert_eq!(machine.execute().raised(), None);
        assert_eq!(machine.vcpu.state().fpu.xmm[0], third, "{rounding:#x}");
        let mut stored = [0; 4];
        machine.ram.read(DATA + 4, &mut stored);
        assert_eq!(u32::from_le_bytes(stored), rounding | 0x20, "inexact");
        assert_eq!(machine.vcpu.state().fpu.mxcsr, rounding | 0x20);
    }
    assert_eq!(raised(&mut machine, &store, DATA), None);

    // ldmxcsr [rsi] with divide-by-zero unmasked; divss xmm0, xmm1 in the same run
    machine.ram.write(DATA, &0x1d80_u32.to_le_bytes());
    machine.state.fpu.mxcsr = 0x1f80;
    machine.assemble(&code);
    (machine.state.fpu.xmm[0], machine.state.fpu.xmm[1]) = (0x3f80_0000, 0);
    machine.state.rip = CODE;
    let exception = machine.execute().raised().map(|exception| exception.vector);
    assert_eq!(exception, Some(Vector::SimdFloatingPoint));
    assert_eq!(machine.vcpu.state().fpu.mxcsr, 0x1d84);
}

#[test]
fn masked_bytes_are_stored_and_all_of_them_can_fault() {
    // maskmovdqu xmm0, xmm1
    let code = [0x66, 0x0f, 0xf7, 0xc1];
    let mut machine = Machine::new();
    machine.assemble(&code);
    machine.ram.write(DATA, &[0xee; 32]);
    machine.state.gpr[Register::Rdi] = DATA + 3;
    machine.state.fpu.xmm[0] = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;
    machine.state.fpu.xmm[1] = 0x80_7f00_0000_0000_0000_ff00_80ff;
    assert_eq!(machine.execute().raised(), None);
    let mut bytes = [0; 32];
    machine.ram.read(DATA, &mut bytes);
    let mut expected = [0xee; 32];
    for index in [0, 1, 3, 12] {
        expected[3 + index] = index as u8;
    }
    assert_eq!(bytes, expected);

    // Memory ends at 2 MiB.
    machine.state.gpr[Register::Rdi] = (2 << 20) - 16;
    assert_eq!(machine.execute().raised(), None);
    machine.state.gpr[Register::Rdi] = (2 << 20) - 15;
    let exception = machine.execute().raised().map(|exception| exception.vector);
    assert_eq!(exception, Some(Vector::PageFault));
}

#[test]
fn alignment_is_the_linear_address_s_in_segments_with_base_and_limit() {
    let expand_down = Access(0xc097);
    let narrow = Access(0x4093);
    for access in [narrow, expand_down] {
        for code in ALIGNED {
            let mut machine = Machine::new();
            machine.state.segments[SegmentRegister::Cs].access = Access(0xc09b);
            let data = &mut machine.state.segments[SegmentRegister::Ds];
            (data.base, data.access) = (DATA - 0x2008, access);
            data.limit = if access == narrow { 0x2fff } else { 0x1fff };
            assert_eq!(raised(&mut machine, code, 0x2008), None, "{code:x?}");
            assert_eq!(raised(&mut machine, code, 0x2010), Some(Exception::GP0), "{code:x?}");
            // The last byte is the first outside.
            let outside = if access == narrow { 0x2ff8 } else { 0x1ff8 };
            assert_eq!(raised(&mut machine, code, outside), Some(Exception::GP0), "{code:x?}");
            let inside = if access == narrow { 0x2fe8 } else { 0x2008 };
            assert_eq!(raised(&mut machine, code, inside), None, "{code:x?}");
        }
        for code in UNALIGNED.iter().filter(|code| code[1] != 0x48) {
            let mut machine = Machine::new();
            machine.state.segments[SegmentRegister::Cs].access = Access(0xc09b);
            let data = &mut machine.state.segments[SegmentRegister::Ds];
            (data.base, data.access) = (DATA - 0x2008, access);
            data.limit = if access == narrow { 0x2fff } else { 0x1fff };
            assert_eq!(raised(&mut machine, code, 0x2003), None, "{code:x?}");
            let outside = if access == narrow { 0x2fff } else { 0x1fff };
            assert_eq!(raised(&mut machine, code, outside), Some(Exception::GP0), "{code:x?}");
        }
    }
}

#[test]
fn results_outside_64_bit_mode_are_the_same() {
    // addps xmm0, [rsi]; movaps [rsi], xmm0
    let code = [0x0f, 0x58, 0x06, 0x0f, 0x29, 0x06];
    let mut machine = Machine::new();
    machine.state.segments[SegmentRegister::Cs].access = Access(0xc09b);
    machine.state.gpr[Register::Rsi] = DATA;
    machine.state.fpu.xmm[0] = 0x3f80_0000_4000_0000_4040_0000_4080_0000;
    machine.ram.write(DATA, &0x3f80_0000_3f80_0000_3f80_0000_3f80_0000_u128.to_le_bytes());
    machine.assemble(&code);
    assert_eq!(machine.execute().raised(), None);
    let mut sum = [0; 16];
    machine.ram.read(DATA, &mut sum);
    assert_eq!(u128::from_le_bytes(sum), 0x4000_0000_4040_0000_4080_0000_40a0_0000);
}
