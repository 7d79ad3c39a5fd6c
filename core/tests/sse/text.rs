//! String comparisons of SSE4.2.

use crate::harness::{Both, Row, compare_immediates};

const COMPARISONS: &[Row] = &[
    ("pcmpestrm", &[0x66, 0x0f, 0x3a, 0x60], Both),
    ("pcmpestri", &[0x66, 0x0f, 0x3a, 0x61], Both),
    ("pcmpistrm", &[0x66, 0x0f, 0x3a, 0x62], Both),
    ("pcmpistri", &[0x66, 0x0f, 0x3a, 0x63], Both),
    ("pcmpestrm", &[0x66, 0x48, 0x0f, 0x3a, 0x60], Both),
    ("pcmpestri", &[0x66, 0x48, 0x0f, 0x3a, 0x61], Both),
];

#[test]
fn comparisons() {
    let immediates: Vec<u8> = (0..=255).collect();
    compare_immediates(COMPARISONS, &immediates, 40);
}
