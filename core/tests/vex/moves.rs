//! Upper halves: what clears them, what keeps them, and what moves them.

use monovisor_core::state::{Access, SegmentRegister};

use crate::harness::{machine, step};

#[test]
fn legacy_encodings_keep_upper_halves() {
    let mut machine = machine();
    let before = machine.state.fpu.ymm_high;
    step(&mut machine, &[0x0f, 0x58, 0xc1]); // addps xmm0, xmm1
    step(&mut machine, &[0x66, 0x0f, 0xef, 0xd2]); // pxor xmm2, xmm2
    step(&mut machine, &[0x0f, 0x28, 0x1e]); // movaps xmm3, [rsi]
    assert_eq!(machine.state.fpu.ymm_high, before);
    step(&mut machine, &[0xc5, 0xf0, 0x58, 0xc1]); // vaddps xmm0, xmm1, xmm1
    assert_eq!(machine.state.fpu.ymm_high[0], 0);
    assert_eq!(machine.state.fpu.ymm_high[1..], before[1..]);
}

#[test]
fn zeroing_is_of_the_registers_that_the_mode_has() {
    for (code, all) in [([0xc5, 0xf8, 0x77], false), ([0xc5, 0xfc, 0x77], true)] {
        for (access, count) in [(0xa09b, 16), (0xc09b, 8)] {
            let mut machine = machine();
            machine.state.segments[SegmentRegister::Cs].access = Access(access);
            let before = machine.state.fpu;
            step(&mut machine, &code);
            let after = machine.state.fpu;
            assert_eq!(after.ymm_high[..count], [0; 16][..count]);
            assert_eq!(after.ymm_high[count..], before.ymm_high[count..]);
            let lower = if all { [0; 16] } else { before.xmm };
            assert_eq!(after.xmm[..count], lower[..count]);
            assert_eq!(after.xmm[count..], before.xmm[count..]);
        }
    }
}

#[test]
fn halves_move() {
    let mut machine = machine();
    let before = machine.state.fpu;
    step(&mut machine, &[0xc4, 0xe3, 0x7d, 0x19, 0xc8, 1]); // vextractf128 xmm0, ymm1, 1
    assert_eq!((machine.state.fpu.xmm[0], machine.state.fpu.ymm_high[0]), (before.ymm_high[1], 0));
    step(&mut machine, &[0xc4, 0xe3, 0x75, 0x18, 0xd0, 1]); // vinsertf128 ymm2, ymm1, xmm0, 1
    let fpu = machine.state.fpu;
    assert_eq!((fpu.xmm[2], fpu.ymm_high[2]), (before.xmm[1], before.ymm_high[1]));
    step(&mut machine, &[0xc4, 0xe3, 0x6d, 0x06, 0xd9, 0x21]); // vperm2f128 ymm3, ymm2, ymm1, 0x21
    let fpu = machine.state.fpu;
    assert_eq!((fpu.xmm[3], fpu.ymm_high[3]), (before.ymm_high[1], before.xmm[1]));
}
