//! Whether fifteen bytes that are no instruction are an undefined opcode, or the start of an
//! instruction that is too long: #UD or #GP (SDM, "Instruction Format"). The decoder gives up at the
//! fifteenth byte in both cases alike.

use iced_x86::{Decoder, DecoderError, DecoderOptions};

/// How instructions are decoded: hints that need a feature which is not there (CET, MPX) are the reserved
/// NOPs that they were made of.
pub(super) const DECODER: u32 = DecoderOptions::FORCE_RESERVED_NOP;

/// Bytes of the longest instruction.
pub(super) const LONGEST: usize = 15;

/// Whether more than `bytes` would be needed to tell what instruction they begin.
///
/// Without the prefixes that change nothing, an opcode that ends with the last byte ends earlier. The
/// decoder wants a ModR/M byte behind most undefined opcodes, for which a zero stands.
pub(super) fn is_too_long(bitness: u32, bytes: &[u8; LONGEST]) -> bool {
    let prefixes = bytes.iter().position(|&byte| group(bitness, byte).is_none());
    let prefixes = &bytes[..prefixes.unwrap_or(LONGEST)];
    let mut shorter = [0; LONGEST + 1];
    let mut length = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !is_redundant(bitness, prefixes, at) {
            shorter[length] = byte;
            length += 1;
        }
    }
    let mut decoder = Decoder::new(bitness, &shorter[..=length], DECODER);
    let _ = decoder.decode();
    let undefined = decoder.last_error() == DecoderError::InvalidInstruction;
    // With fifteen bytes at hand a lack of more is told as if it were an undefined opcode.
    !undefined || length < LONGEST && decoder.position() == LONGEST
}

/// Whether the byte at `at` is a prefix that does not change which instruction it is: a segment
/// override, or one of which a later one takes the place.
fn is_redundant(bitness: u32, prefixes: &[u8], at: usize) -> bool {
    let Some(&byte) = prefixes.get(at) else { return false };
    let this = group(bitness, byte);
    let again = || prefixes[at + 1..].iter().any(|&later| group(bitness, later) == this);
    this == Some(SEGMENT) || again()
}

/// One of the prefixes of which only one counts; `None` for what is no prefix.
fn group(bitness: u32, byte: u8) -> Option<u8> {
    Some(match byte {
        0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 => SEGMENT,
        0xf2 | 0xf3 => 0xf3,
        0x66 | 0x67 | 0xf0 => byte,
        0x40..=0x4f if bitness == 64 => 0x40,
        _ => return None,
    })
}

/// The group of segment overrides.
const SEGMENT: u8 = 0x2e;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn too_long(bitness: u32, prefixes: &[u8], opcode: &[u8]) -> bool {
        let mut bytes: Vec<u8> = prefixes.repeat(LONGEST);
        bytes.truncate(LONGEST - opcode.len());
        bytes.extend(opcode);
        is_too_long(bitness, bytes.as_array().expect("fifteen"))
    }

    #[test]
    fn an_undefined_opcode_that_ends_with_the_last_byte_is_undefined() {
        for prefixes in [&[0x66][..], &[0x2e, 0x65], &[0xf2, 0x66], &[0x26, 0x67, 0xf3]] {
            assert!(!too_long(64, prefixes, &[0x06]), "push es");
            assert!(!too_long(64, prefixes, &[0x0f, 0x0a]), "no opcode");
            assert!(!too_long(32, prefixes, &[0x8d, 0xc0]), "lea eax, eax");
        }
    }

    #[test]
    fn few_prefixes_can_be_too_long() {
        // fs xacquire lock add qword [eax + eax + disp32], and three bytes of the constant
        let bytes = [0x64, 0xf2, 0xf0, 0x67, 0x48, 0x81, 0x84, 0, 1, 2, 3, 4, 5, 6, 7];
        assert!(is_too_long(64, &bytes));
    }

    #[test]
    fn what_goes_on_is_too_long() {
        for prefixes in [&[0x66][..], &[0x2e, 0x65], &[0xf2, 0x66], &[0x26, 0x67, 0xf3]] {
            assert!(too_long(64, prefixes, &[]), "nothing but prefixes");
            assert!(too_long(64, prefixes, &[0x0f]), "half an opcode");
            assert!(too_long(32, prefixes, &[0x81, 0xc0, 0]), "add with a piece of its constant");
        }
    }
}
