//! The approximations, which no host's instruction has to agree with: the manual's bound and its
//! special values. Everything else is compared with the host's own in `core/tests/sse`.

use super::{Environment, SINGLE, reciprocal, reciprocal_root};

/// SDM, RCPPS: relative error.
const BOUND: f64 = 1.5 / 4096.0;

fn check(
    operation: fn(&mut Environment, super::Format, u64, u64) -> u64,
    special: &[(u32, u32)],
    exact: fn(f64) -> f64,
) {
    let mut mxcsr = 0;
    let mut approximate =
        |source: u32| operation(&mut Environment(&mut mxcsr), SINGLE, 0, source.into()) as u32;
    for &(source, result) in special {
        assert_eq!(approximate(source), result, "{source:#x}");
    }
    // Normal numbers whose reciprocals are normal.
    for source in (0x0100_0000..0x7e00_0000_u32).step_by(0xf_4243) {
        let found = f64::from(f32::from_bits(approximate(source)));
        let expected = exact(f32::from_bits(source).into());
        assert!((found / expected - 1.0).abs() <= BOUND, "{source:#x}: {found} for {expected}");
    }
    assert_eq!(mxcsr, 0, "an approximation raised an exception");
}

#[test]
fn reciprocals() {
    let special = [
        (0, 0x7f80_0000),
        (0x8000_0000, 0xff80_0000),
        (1, 0x7f80_0000),
        (0x807f_ffff, 0xff80_0000),
        (0x7f80_0000, 0),
        (0xff80_0000, 0x8000_0000),
        (0x7f7f_ffff, 0),
        (0x7f80_0001, 0x7fc0_0001),
        (0xffc0_0003, 0xffc0_0003),
    ];
    check(reciprocal, &special, |source| 1.0 / source);
}

#[test]
fn reciprocals_of_roots() {
    let special = [
        (0, 0x7f80_0000),
        (0x8000_0000, 0xff80_0000),
        (1, 0x7f80_0000),
        (0x807f_ffff, 0xff80_0000),
        (0x7f80_0000, 0),
        (0xff80_0000, 0xffc0_0000),
        (0xbf80_0000, 0xffc0_0000),
        (0x7f80_0001, 0x7fc0_0001),
    ];
    check(reciprocal_root, &special, |source| 1.0 / source.sqrt());
}
