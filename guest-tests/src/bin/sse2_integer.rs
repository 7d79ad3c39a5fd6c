//! Packed integers of SSE2: saturation, multiplication, shuffles, packing, shifts and comparisons, each
//! against a result worked out from the manual's definition.

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

macro_rules! run {
    ($code:literal, $a:expr, $b:expr) => {{
        let (mut a, b): (u128, u128) = ($a, $b);
        // SAFETY: a local is read and written.
        unsafe {
            asm!(
                "movdqu xmm0, [{a}]",
                "movdqu xmm1, [{b}]",
                $code,
                "movdqu [{a}], xmm0",
                a = in(reg) &raw mut a,
                b = in(reg) &raw const b,
                out("xmm0") _,
                out("xmm1") _,
            )
        };
        a
    }};
}

/// Applies `f` to lanes of `bits` bits.
fn lanes(bits: u32, a: u128, b: u128, f: impl Fn(i64, i64) -> i64) -> u128 {
    let mask = (1_u128 << bits) - 1;
    let signed = |value: u128| (((value & mask) as u64) << (64 - bits)) as i64 >> (64 - bits);
    (0..128 / bits).fold(0, |result, lane| {
        let at = lane * bits;
        result | (f(signed(a >> at), signed(b >> at)) as u128 & mask) << at
    })
}

const A: u128 = 0x7fff_8000_0001_ffff_1234_80ff_7f01_0080;
const B: u128 = 0x0001_ffff_8000_0100_4321_7f80_8180_ff7f;

fn main() {
    let u8s = |value: i64| value & 0xff;
    let u16s = |value: i64| value & 0xffff;
    let holds = |condition: bool| -i64::from(condition);
    check_eq!(run!("paddb xmm0, xmm1", A, B), lanes(8, A, B, |a, b| a + b));
    check_eq!(run!("paddw xmm0, xmm1", A, B), lanes(16, A, B, |a, b| a + b));
    check_eq!(run!("psubd xmm0, xmm1", A, B), lanes(32, A, B, |a, b| a - b));
    check_eq!(run!("paddsb xmm0, xmm1", A, B), lanes(8, A, B, |a, b| (a + b).clamp(-128, 127)));
    check_eq!(
        run!("psubsw xmm0, xmm1", A, B),
        lanes(16, A, B, |a, b| (a - b).clamp(-32768, 32767))
    );
    check_eq!(run!("paddusb xmm0, xmm1", A, B), lanes(8, A, B, |a, b| (u8s(a) + u8s(b)).min(255)));
    check_eq!(run!("psubusw xmm0, xmm1", A, B), lanes(16, A, B, |a, b| (u16s(a) - u16s(b)).max(0)));
    check_eq!(run!("pmullw xmm0, xmm1", A, B), lanes(16, A, B, |a, b| a * b));
    check_eq!(run!("pmulhw xmm0, xmm1", A, B), lanes(16, A, B, |a, b| (a * b) >> 16));
    check_eq!(run!("pmulhuw xmm0, xmm1", A, B), lanes(16, A, B, |a, b| (u16s(a) * u16s(b)) >> 16));
    check_eq!(run!("pavgb xmm0, xmm1", A, B), lanes(8, A, B, |a, b| (u8s(a) + u8s(b) + 1) >> 1));
    check_eq!(run!("pmaxub xmm0, xmm1", A, B), lanes(8, A, B, |a, b| u8s(a).max(u8s(b))));
    check_eq!(run!("pminsw xmm0, xmm1", A, B), lanes(16, A, B, i64::min));
    check_eq!(run!("pcmpgtb xmm0, xmm1", A, B), lanes(8, A, B, |a, b| holds(a > b)));
    check_eq!(
        run!("pcmpeqw xmm0, xmm1", A, A ^ 0xff00),
        lanes(16, A, A ^ 0xff00, |a, b| holds(a == b))
    );
    check_eq!(run!("pandn xmm0, xmm1", A, B), !A & B);
    check_eq!(run!("pmuludq xmm0, xmm1", A, B), {
        let low = |value: u128, at: u32| u128::from((value >> at) as u32);
        (low(A, 0) * low(B, 0)) | (low(A, 64) * low(B, 64)) << 64
    });
    check_eq!(run!("psraw xmm0, 3", A, B), lanes(16, A, B, |a, _| a >> 3));
    check_eq!(run!("psrld xmm0, 31", A, B), lanes(32, A, B, |a, _| (a as u32 >> 31).into()));
    check_eq!(run!("psllq xmm0, 64", A, B), 0, "a count above the width");
    check_eq!(
        run!("psraw xmm0, 200", A, B),
        lanes(16, A, B, |a, _| a >> 15),
        "a count above the width"
    );
    check_eq!(run!("pslldq xmm0, 5", A, B), A << 40);
    check_eq!(run!("psrldq xmm0, 16", A, B), 0);
    check_eq!(run!("pshufd xmm0, xmm1, 0x1b", A, B), 0x8180_ff7f_4321_7f80_8000_0100_0001_ffff);
    check_eq!(run!("pshuflw xmm0, xmm1, 0x1b", A, B), 0x0001_ffff_8000_0100_ff7f_8180_7f80_4321);
    check_eq!(run!("punpcklbw xmm0, xmm1", A, B), 0x4312_2134_7f80_80ff_817f_8001_ff00_7f80);
    check_eq!(run!("punpckhdq xmm0, xmm1", A, B), 0x0001_ffff_7fff_8000_8000_0100_0001_ffff);
    check_eq!(
        run!("packsswb xmm0, xmm1", 0x7fff_8000_0001_ffff_0080_ff7f_007f_ff80, 0),
        0x7f80_01ff_7f80_7f80
    );
    check_eq!(
        run!("packuswb xmm0, xmm1", 0x7fff_8000_0001_ffff_0100_00ff_007f_ff80, 0),
        0xff00_0100_ffff_7f00
    );
    check_eq!(run!("psadbw xmm0, xmm1", 0xff, 0x0100), 0xff + 1);
    check_eq!(run!("pmaddwd xmm0, xmm1", 0x0002_0003, 0xffff_0004), 12 - 2);

    let mask: u64;
    // SAFETY: only the named registers change.
    unsafe {
        asm!("movdqu xmm0, [{}]", "pmovmskb {:e}, xmm0", in(reg) &A, out(reg) mask, out("xmm0") _)
    };
    check_eq!(
        mask,
        (0..16).fold(0, |mask, byte| mask | ((A >> (byte * 8 + 7) & 1) as u64) << byte)
    );
}
