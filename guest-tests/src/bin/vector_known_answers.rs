//! AES, SHA, PCLMULQDQ and SSE4.2 on what their publications print: FIPS 197, appendix C.1; FIPS 180-4's
//! "abc"; the CRC of "123456789"; strings. What CPUID does not offer is left out.

#![no_std]
#![no_main]

use core::arch::x86_64::*;
use guest_tests::check_eq;
use guest_tests::cpu::cpuid;

guest_tests::entry!(main);

const SSSE3: u32 = 1 << 9;
const PCLMULQDQ: u32 = 1 << 1;
const SSE4_1: u32 = 1 << 19;
const SSE4_2: u32 = 1 << 20;
const AES: u32 = 1 << 25;
/// In leaf 7.
const SHA: u32 = 1 << 29;

fn vector(bytes: [u8; 16]) -> __m128i {
    // SAFETY: sixteen bytes of plain data.
    unsafe { core::mem::transmute(bytes) }
}

fn bits(vector: __m128i) -> u128 {
    // SAFETY: as above.
    unsafe { core::mem::transmute(vector) }
}

#[target_feature(enable = "aes")]
fn aes_128() {
    let bytes = |step: u8| vector(core::array::from_fn(|index| index as u8 * step));
    let mut keys = [bytes(1); 11];
    macro_rules! expand {
        ($($place:literal: $constant:literal)*) => {
            $(let assist = _mm_aeskeygenassist_si128::<$constant>(keys[$place - 1]);
            let first = keys[$place - 1];
            let sum = _mm_xor_si128(first, _mm_slli_si128::<4>(first));
            let sum = _mm_xor_si128(sum, _mm_slli_si128::<8>(sum));
            keys[$place] = _mm_xor_si128(sum, _mm_shuffle_epi32::<0xff>(assist));)*
        };
    }
    expand!(1: 1 2: 2 3: 4 4: 8 5: 16 6: 32 7: 64 8: 128 9: 0x1b 10: 0x36);
    let plain = bytes(0x11);
    let mut state = _mm_xor_si128(plain, keys[0]);
    for key in &keys[1..10] {
        state = _mm_aesenc_si128(state, *key);
    }
    state = _mm_aesenclast_si128(state, keys[10]);
    let expected = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a_u128;
    check_eq!(bits(state).swap_bytes(), expected, "FIPS 197, C.1");

    state = _mm_xor_si128(state, keys[10]);
    for key in keys[1..10].iter().rev() {
        state = _mm_aesdec_si128(state, _mm_aesimc_si128(*key));
    }
    state = _mm_aesdeclast_si128(state, keys[0]);
    check_eq!(bits(state), bits(plain), "and back");
}

/// "abc" with its padding, as one block.
fn message() -> [[u32; 4]; 4] {
    let mut words = [[0; 4]; 4];
    words[0][0] = u32::from_be_bytes(*b"abc\x80");
    words[3][3] = 24;
    words
}

/// The first words of message schedules, each four with the first in the highest place or in the lowest.
fn schedule<const N: usize>(reversed: bool) -> [__m128i; N] {
    let words = message();
    core::array::from_fn(|index| {
        let mut four = words.get(index).copied().unwrap_or_default();
        if reversed {
            four.reverse();
        }
        vector(core::array::from_fn(|byte| four[byte / 4].to_le_bytes()[byte % 4]))
    })
}

fn lanes(vector: __m128i) -> [u32; 4] {
    core::array::from_fn(|place| (bits(vector) >> (32 * place)) as u32)
}

#[target_feature(enable = "sha,sse4.1")]
fn sha_1() {
    let start =
        _mm_set_epi32(0x6745_2301, 0xefcd_ab89_u32 as i32, 0x98ba_dcfe_u32 as i32, 0x1032_5476);
    let last = _mm_set_epi32(0xc3d2_e1f0_u32 as i32, 0, 0, 0);
    let mut words: [__m128i; 20] = schedule(true);
    let (mut state, mut before) = (start, start);
    for group in 0..20 {
        if group >= 4 {
            let mixed = _mm_sha1msg1_epu32(words[group - 4], words[group - 3]);
            let mixed = _mm_xor_si128(mixed, words[group - 2]);
            words[group] = _mm_sha1msg2_epu32(mixed, words[group - 1]);
        }
        let with_e = match group {
            0 => _mm_add_epi32(last, words[0]),
            _ => _mm_sha1nexte_epu32(before, words[group]),
        };
        before = state;
        state = match group / 5 {
            0 => _mm_sha1rnds4_epu32::<0>(state, with_e),
            1 => _mm_sha1rnds4_epu32::<1>(state, with_e),
            2 => _mm_sha1rnds4_epu32::<2>(state, with_e),
            _ => _mm_sha1rnds4_epu32::<3>(state, with_e),
        };
    }
    let [d, c, b, a] = lanes(_mm_add_epi32(state, start));
    let [.., e] = lanes(_mm_sha1nexte_epu32(before, last));
    let expected = [0xa999_3e36, 0x4706_816a, 0xba3e_2571, 0x7850_c26c, 0x9cd0_d89d];
    check_eq!([a, b, c, d, e], expected, "SHA-1 of \"abc\"");
}

const PRIMES: [u128; 64] = {
    let (mut primes, mut count, mut number) = ([0; 64], 0, 2);
    while count < 64 {
        let (mut divisor, mut prime) = (2, true);
        while divisor * divisor <= number {
            prime &= number % divisor != 0;
            divisor += 1;
        }
        if prime {
            primes[count] = number;
            count += 1;
        }
        number += 1;
    }
    primes
};

/// FIPS 180-4, SHA-256 Constants: the first 32 bits of the fractions of the cube roots of primes.
const CONSTANTS: [u32; 64] = {
    let (mut constants, mut index) = ([0; 64], 0);
    while index < 64 {
        let (mut root, mut bit) = (0_u128, 1 << 35);
        while bit != 0 {
            let larger = root | bit;
            if larger * larger * larger <= PRIMES[index] << 96 {
                root = larger;
            }
            bit >>= 1;
        }
        constants[index] = root as u32;
        index += 1;
    }
    constants
};

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sha_256() {
    // The same of the square roots of the first eight.
    let [a, b, c, d, e, f, g, h] =
        core::array::from_fn(|index| (PRIMES[index] << 64).isqrt() as u32 as i32);
    let (start_1, start_2) = (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h));
    let (mut abef, mut cdgh) = (start_1, start_2);
    let mut words: [__m128i; 16] = schedule(false);
    for group in 0..16 {
        if group >= 4 {
            let mixed = _mm_sha256msg1_epu32(words[group - 4], words[group - 3]);
            let window = _mm_alignr_epi8::<4>(words[group - 1], words[group - 2]);
            words[group] = _mm_sha256msg2_epu32(_mm_add_epi32(mixed, window), words[group - 1]);
        }
        let [k0, k1, k2, k3] = core::array::from_fn(|place| CONSTANTS[4 * group + place] as i32);
        let sums = _mm_add_epi32(words[group], _mm_set_epi32(k3, k2, k1, k0));
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sums);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(sums));
    }
    let [f, e, b, a] = lanes(_mm_add_epi32(abef, start_1));
    let [h, g, d, c] = lanes(_mm_add_epi32(cdgh, start_2));
    let expected = [
        0xba78_16bf,
        0x8f01_cfea,
        0x4141_40de,
        0x5dae_2223,
        0xb003_61a3,
        0x9617_7a9c,
        0xb410_ff61,
        0xf200_15ad,
    ];
    check_eq!([a, b, c, d, e, f, g, h], expected, "SHA-256 of \"abc\"");
}

/// Gueron and Kounavis, "Intel Carry-Less Multiplication Instruction", the instruction's examples.
#[target_feature(enable = "pclmulqdq")]
fn carry_less() {
    let left = vector(0x7b5b_5465_7374_5665_6374_6f72_5d53_475d_u128.to_le_bytes());
    let right = vector(0x4869_2853_6861_7929_5b47_7565_726f_6e5d_u128.to_le_bytes());
    let expected = 0x1d4d_84c8_5c34_40c0_9296_33d5_d36f_0451;
    check_eq!(bits(_mm_clmulepi64_si128::<0x00>(left, right)), expected, "both low");
    let expected = 0x1d1e_1f2c_592e_7c45_d66e_e03e_410f_d4ed;
    check_eq!(bits(_mm_clmulepi64_si128::<0x11>(left, right)), expected, "both high");
}

#[target_feature(enable = "sse4.2")]
fn strings() {
    let check = b"123456789";
    let crc = !check.iter().fold(u32::MAX, |crc, byte| _mm_crc32_u8(crc, *byte));
    check_eq!(crc, 0xe306_9283, "CRC-32C of \"123456789\"");

    let text = vector(*b"needle haystack\0");
    let word = vector(*b"hay\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let place = _mm_cmpistri::<{ _SIDD_CMP_EQUAL_ORDERED }>(word, text);
    check_eq!(place, 7, "the place of \"hay\"");
    let ranges = vector(*b"an\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let mask = _mm_cmpistrm::<{ _SIDD_CMP_RANGES | _SIDD_BIT_MASK }>(ranges, text);
    // n e e d l e _ h a y s t a c k
    check_eq!(bits(mask), 0b0111_0001_1011_1111, "letters from a to n");
    let other = vector(*b"needle haystock\0");
    let differs =
        _mm_cmpestri::<{ _SIDD_CMP_EQUAL_EACH | _SIDD_NEGATIVE_POLARITY }>(text, 15, other, 15);
    check_eq!(differs, 12, "where the two differ");
    let same =
        _mm_cmpestri::<{ _SIDD_CMP_EQUAL_EACH | _SIDD_NEGATIVE_POLARITY }>(text, -12, other, 12);
    check_eq!(same, 16, "the first twelve are the same");
}

fn main() {
    let (basic, extended) = (cpuid(1, 0).ecx, cpuid(7, 0).ebx);
    // SAFETY: CPUID offers what each needs; so below.
    unsafe {
        if basic & AES != 0 {
            aes_128();
        }
        if basic & (SSSE3 | SSE4_1) == SSSE3 | SSE4_1 && extended & SHA != 0 {
            sha_1();
            sha_256();
        }
        if basic & PCLMULQDQ != 0 {
            carry_less();
        }
        if basic & SSE4_2 != 0 {
            strings();
        }
    }
}
