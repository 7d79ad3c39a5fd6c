//! SSSE3.

use crate::harness::{Both, compare_all, compare_immediates};

#[test]
fn operations() {
    let opcodes = [
        ("pshufb", 0x00),
        ("phaddw", 0x01),
        ("phaddd", 0x02),
        ("phaddsw", 0x03),
        ("pmaddubsw", 0x04),
        ("phsubw", 0x05),
        ("phsubd", 0x06),
        ("phsubsw", 0x07),
        ("psignb", 0x08),
        ("psignw", 0x09),
        ("psignd", 0x0a),
        ("pmulhrsw", 0x0b),
        ("pabsb", 0x1c),
        ("pabsw", 0x1d),
        ("pabsd", 0x1e),
    ];
    for (name, opcode) in opcodes {
        compare_all(&[(name, &[0x66, 0x0f, 0x38, opcode], Both)], 1000);
    }
}

#[test]
fn windows() {
    let immediates: Vec<u8> = (0..=255).collect();
    compare_immediates(&[("palignr", &[0x66, 0x0f, 0x3a, 0x0f], Both)], &immediates, 4);
}
