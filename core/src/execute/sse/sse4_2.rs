//! SSE4.2 on vectors: PCMPGTQ. String comparisons are in `text`; CRC32 has nothing to do with vectors.

use super::super::host_vector::HostVector;
use super::handler::operation;
use super::sse4_1::pairs;
use super::vector::{Aligned, Lanes, Vector};
use super::{accelerated, rows};

rows! {
    Pcmpgtq => operation::<Pcmpgtq>,
}

accelerated! {
    NEEDS = HostVector::SSE4_2;
    Pcmpgtq: Aligned, "pcmpgtq", [i64; 2], |left, right| pairs(left, right, |a, b| -i64::from(a > b));
}
