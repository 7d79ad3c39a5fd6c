//! AAA, AAS, AAM, AAD, DAA, DAS, SALC: all values of AL (SDM, "Decimal Arithmetic Instructions").

mod common;

use common::guest::{CODE, End, Guest};
use monovisor_core::state::{Exception, RFlags, Register};

/// AX and CF, AF after `code`.
fn run(guest: &mut Guest, code: &[u8], ax: u64, flags: u64) -> (u64, u64) {
    guest.state.rip = CODE;
    guest.set(Register::Rax, ax);
    guest.state.rflags = RFlags::from_bits_retain(flags | 2);
    assert_eq!(guest.run(code), End::Done);
    (guest.get(Register::Rax), guest.state.rflags.bits() & 0x11)
}

#[test]
fn decimal_sums_and_differences() {
    let mut guest = Guest::compatibility();
    for (left, right) in (0..100_u64).flat_map(|left| [7, 50, 99].map(|right| (left, right))) {
        let bcd = |value: u64| ((value / 10) << 4) | (value % 10);
        // add al, cl; daa, and sub al, cl; das
        for (code, result) in
            [([0x00, 0xc8, 0x27], left + right), ([0x28, 0xc8, 0x2f], (left + 100 - right) % 100)]
        {
            guest.set(Register::Rcx, bcd(right));
            let (ax, flags) = run(&mut guest, &code, bcd(left), 0);
            assert_eq!(ax, bcd(result % 100), "{left} {right}");
            let carry = if code[0] == 0 { left + right > 99 } else { left < right };
            assert_eq!(flags & 1 != 0, carry, "{left} {right}");
        }
    }
}

#[test]
fn unpacked_digits() {
    let mut guest = Guest::compatibility();
    // aaa, aas
    assert_eq!(run(&mut guest, &[0x37], 0x010b, 0), (0x0201, 0x11));
    assert_eq!(run(&mut guest, &[0x37], 0x00ff, 0), (0x0205, 0x11));
    assert_eq!(run(&mut guest, &[0x37], 0x0309, 0), (0x0309, 0));
    assert_eq!(run(&mut guest, &[0x3f], 0x010b, 0), (0x0005, 0x11));
    assert_eq!(run(&mut guest, &[0x3f], 0x0102, 0x10), (0xff0c, 0x11));
    // aam, aad
    assert_eq!(run(&mut guest, &[0xd4, 10], 97, 0).0, 0x0907);
    assert_eq!(run(&mut guest, &[0xd5, 10], 0x0907, 0).0, 97);
    // salc
    assert_eq!(run(&mut guest, &[0xd6], 0x55, 1).0, 0xff);
    assert_eq!(run(&mut guest, &[0xd6], 0x55, 0).0, 0);
    guest.state.rip = CODE;
    assert_eq!(guest.run(&[0xd4, 0]), End::Fault(Exception::DE));
}

/// The manual leaves some flags undefined; processors give those of the addition or subtraction.
#[test]
fn undefined_flags_are_those_of_the_operation() {
    const AF: u64 = 0x10;
    let cases: [(&[u8], u64, u64, u64); 8] = [
        // aaa, aas: 16-bit operations with 0x106
        (&[0x37], 0x007a, 0, 0x11),
        (&[0x37], 0x7f0a, 0, 0x891),
        (&[0x3f], 0x000a, 0, 0x91),
        (&[0x3f], 0x0106, AF, 0x55),
        // daa, das
        (&[0x27], 0x7a, 0, 0x890),
        (&[0x2f], 0xd6, 0, 0x801),
        // aad: 0x10 * 0xff + 0xff; aam
        (&[0xd5, 0xff], 0x10ff, 0, 0x81),
        (&[0xd4, 10], 20, 0x801, 0x44),
    ];
    let mut guest = Guest::compatibility();
    for (code, ax, before, after) in cases {
        run(&mut guest, code, ax, before);
        assert_eq!(guest.state.rflags.bits() & 0x8d5, after, "{code:02x?} {ax:#x}");
    }
}

#[test]
fn sixty_four_bit_mode_has_none_of_them() {
    for code in [0x37, 0x3f, 0x27, 0x2f, 0xd6] {
        assert_eq!(Guest::long_mode().run(&[code]), End::Fault(Exception::UD), "{code:02x}");
    }
}
