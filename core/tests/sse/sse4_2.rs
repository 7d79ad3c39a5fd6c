//! SSE4.2, but for string comparisons.

use crate::harness::{Both, compare_all};

#[test]
fn comparisons() {
    compare_all(&[("pcmpgtq", &[0x66, 0x0f, 0x38, 0x37], Both)], 3000);
}
