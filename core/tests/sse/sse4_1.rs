//! SSE4.1.

use crate::harness::{Both, compare_all};

#[test]
fn blends_by_a_mask() {
    compare_all(
        &[
            ("pblendvb", &[0x66, 0x0f, 0x38, 0x10], Both),
            ("blendvps", &[0x66, 0x0f, 0x38, 0x14], Both),
            ("blendvpd", &[0x66, 0x0f, 0x38, 0x15], Both),
        ],
        1000,
    );
}
