//! SHA: rounds and message schedules of SHA-1 and SHA-256 (FIPS 180-4), as the manual divides them
//! into instructions. Words count down: the first of each four is the highest.

use super::super::host_vector::HostVector;
use super::handler::{emit_by_immediate, on_host, operation, with_xmm0};
use super::vector::{Aligned, Lanes, Vector};
use super::{Operation, ThreeSources, accelerated, rows};

rows! {
    Sha1rnds4 => |e| emit_by_immediate::<Sha1rnds4>(e, ROUNDS, |immediate| immediate & 3),
    Sha1nexte => operation::<Sha1nexte>,
    Sha1msg1 => operation::<Sha1msg1>,
    Sha1msg2 => operation::<Sha1msg2>,
    Sha256rnds2 => with_xmm0::<Sha256rnds2>,
    Sha256msg1 => operation::<Sha256msg1>,
    Sha256msg2 => operation::<Sha256msg2>,
}

const ROUNDS: &[super::super::op::Handler] = &[
    on_host::<HostSha1rnds4<0>>(),
    on_host::<HostSha1rnds4<1>>(),
    on_host::<HostSha1rnds4<2>>(),
    on_host::<HostSha1rnds4<3>>(),
];

/// FIPS 180-4, SHA-224 and SHA-256 Functions: the small sigmas.
fn sigma0(word: u32) -> u32 {
    word.rotate_right(7) ^ word.rotate_right(18) ^ word >> 3
}

fn sigma1(word: u32) -> u32 {
    word.rotate_right(17) ^ word.rotate_right(19) ^ word >> 10
}

fn choose(x: u32, y: u32, z: u32) -> u32 {
    x & y ^ !x & z
}

fn majority(x: u32, y: u32, z: u32) -> u32 {
    x & y ^ x & z ^ y & z
}

accelerated! {
    NEEDS = HostVector::SHA;
    Sha1nexte: Aligned, "sha1nexte", [u32; 4], |[.., a], [w3, w2, w1, w0]| {
        [w3, w2, w1, w0.wrapping_add(a.rotate_left(30))]
    };
    Sha1msg1: Aligned, "sha1msg1", [u32; 4], |[w3, w2, w1, w0], [.., w5, w4]| {
        [w5 ^ w3, w4 ^ w2, w3 ^ w1, w2 ^ w0]
    };
    Sha1msg2: Aligned, "sha1msg2", [u32; 4], |[d, c, b, a], [w15, w14, w13, _]| {
        let w16 = (a ^ w13).rotate_left(1);
        [(d ^ w16).rotate_left(1), (c ^ w15).rotate_left(1), (b ^ w14).rotate_left(1), w16]
    };
    Sha256msg1: Aligned, "sha256msg1", [u32; 4], |[w0, w1, w2, w3], [w4, ..]| {
        [(w0, w1), (w1, w2), (w2, w3), (w3, w4)].map(|(word, next)| word.wrapping_add(sigma0(next)))
    };
    Sha256msg2: Aligned, "sha256msg2", [u32; 4], |[a, b, c, d], [.., w14, w15]| {
        let (w16, w17) = (a.wrapping_add(sigma1(w14)), b.wrapping_add(sigma1(w15)));
        [w16, w17, c.wrapping_add(sigma1(w16)), d.wrapping_add(sigma1(w17))]
    };
}

/// SHA1RNDS4: four rounds, with the function and constant that the immediate names. The first word of
/// the source has E added.
pub(in crate::execute) struct Sha1rnds4;

impl Operation for Sha1rnds4 {
    type Source = Aligned;
    const FLOATS: bool = false;
    const NEEDS: HostVector = HostVector::SHA;

    fn compute(_: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        let ([mut d, mut c, mut b, mut a], words) =
            (<[u32; 4]>::of(destination), <[u32; 4]>::of(source));
        let mut e = 0_u32;
        for word in words.into_iter().rev() {
            let (mixed, constant) = match immediate & 3 {
                0 => (choose(b, c, d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => (majority(b, c, d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum =
                [mixed, a.rotate_left(5), word, constant].into_iter().fold(e, u32::wrapping_add);
            (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
        }
        [d, c, b, a].vector()
    }
}

/// The same with the immediate in the code of the host's instruction.
pub(in crate::execute) struct HostSha1rnds4<const IMMEDIATE: u8>;

impl<const IMMEDIATE: u8> Operation for HostSha1rnds4<IMMEDIATE> {
    type Source = Aligned;
    const FLOATS: bool = false;
    const NEEDS: HostVector = HostVector::SHA;

    fn compute(mxcsr: &mut u32, destination: Vector, source: Vector, immediate: u8) -> Vector {
        Sha1rnds4::compute(mxcsr, destination, source, immediate)
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn apply(_: &mut u32, destination: Vector, source: Vector, _: u8) -> Vector {
        super::pure!("sha1rnds4 {0}, {1}, {2}", destination, source, const IMMEDIATE)
    }
}

/// SHA256RNDS2: two rounds. The destination has C, D, G, H, the source A, B, E, F; the third vector's
/// low half has the words with their constants added.
pub(in crate::execute) struct Sha256rnds2;

impl ThreeSources for Sha256rnds2 {
    type Source = Aligned;
    const FLOATS: bool = false;
    const NEEDS: HostVector = HostVector::SHA;

    fn compute(_: &mut u32, destination: Vector, source: Vector, third: Vector) -> Vector {
        let [mut h, mut g, mut d, mut c] = <[u32; 4]>::of(destination);
        let [mut f, mut e, mut b, mut a] = <[u32; 4]>::of(source);
        let [first, second, ..] = <[u32; 4]>::of(third);
        for word in [first, second] {
            let large1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let large0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let sum = [choose(e, f, g), large1, word].into_iter().fold(h, u32::wrapping_add);
            (h, g, f, e) = (g, f, e, d.wrapping_add(sum));
            let next = sum.wrapping_add(large0).wrapping_add(majority(a, b, c));
            (d, c, b, a) = (c, b, a, next);
        }
        [f, e, b, a].vector()
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn apply(_: &mut u32, destination: Vector, source: Vector, third: Vector) -> Vector {
        super::with_xmm0!("sha256rnds2 {0}, {1}", destination, source, third)
    }
}
