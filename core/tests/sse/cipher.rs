//! AES, PCLMULQDQ and SHA.

use crate::harness::{Both, compare_all, compare_immediates};

#[test]
fn aes() {
    compare_all(
        &[
            ("aesimc", &[0x66, 0x0f, 0x38, 0xdb], Both),
            ("aesenc", &[0x66, 0x0f, 0x38, 0xdc], Both),
            ("aesenclast", &[0x66, 0x0f, 0x38, 0xdd], Both),
            ("aesdec", &[0x66, 0x0f, 0x38, 0xde], Both),
            ("aesdeclast", &[0x66, 0x0f, 0x38, 0xdf], Both),
        ],
        3000,
    );
    let immediates: Vec<u8> = (0..=255).collect();
    compare_immediates(&[("aeskeygenassist", &[0x66, 0x0f, 0x3a, 0xdf], Both)], &immediates, 8);
}

#[test]
fn carry_less_products() {
    let immediates: Vec<u8> = (0..=255).collect();
    compare_immediates(&[("pclmulqdq", &[0x66, 0x0f, 0x3a, 0x44], Both)], &immediates, 10);
}

#[test]
fn sha() {
    compare_all(
        &[
            ("sha1nexte", &[0x0f, 0x38, 0xc8], Both),
            ("sha1msg1", &[0x0f, 0x38, 0xc9], Both),
            ("sha1msg2", &[0x0f, 0x38, 0xca], Both),
            ("sha256rnds2", &[0x0f, 0x38, 0xcb], Both),
            ("sha256msg1", &[0x0f, 0x38, 0xcc], Both),
            ("sha256msg2", &[0x0f, 0x38, 0xcd], Both),
        ],
        2000,
    );
    let immediates: Vec<u8> = (0..=255).collect();
    compare_immediates(&[("sha1rnds4", &[0x0f, 0x3a, 0xcc], Both)], &immediates, 16);
}
