//! Decoding: a walk over the opcode maps, with every prefix that belongs to an opcode, each ModRM
//! byte, LOCK, and lengths up to one byte too many. Both processors must agree on what is an
//! instruction and how long it is.
//!
//! The length is told twice: by RIP behind the instruction, and by the page fault that it raises when
//! its last byte is missing.

use crate::case::{Case, MOST_CODE};
use crate::generate::Generator;
use crate::generate::encoding::{Free, Head, LONGEST, Prefix, decode};
use crate::incomparable;
use crate::layout::Mode;
use monovisor_core::instruction_group;

const LOCK: u8 = 0xf0;
/// A prefix that means nothing to most instructions, and nothing at all in 64-bit mode.
const PADDING: u8 = 0x26;

/// An opcode of a map, with all that can be before and behind it.
pub type Row = Vec<Head>;

/// The opcodes of a mode.
pub fn rows(mode: Mode) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![Vec::new(); 8 * 256];
    for head in Head::all(mode).filter(|head| !head.is_escape(mode)) {
        let vex = matches!(head.prefix, Prefix::Vex { .. });
        let map = usize::from(head.map) + if vex { 4 } else { 0 };
        rows[map * 256 + usize::from(head.opcode)].push(head);
    }
    rows.retain(|row| !row.is_empty());
    rows
}

/// The cases of a head: as it is, locked, cut off and drawn out.
pub fn cases(head: &Head, mode: Mode, generator: &mut Generator, into: &mut Vec<Case>) {
    let plain = head.bytes(&Free::default(), head.modrm);
    let mut padded = plain.clone();
    padded.resize(LONGEST, 0);
    let Ok(instruction) = decode(mode, &padded, 0) else {
        // Whatever follows: there is no instruction that begins so.
        into.extend(generator.case(mode, &padded));
        return;
    };
    if incomparable::asks_system(&instruction) {
        return;
    }
    if matches!(head.prefix, Prefix::Legacy { .. }) {
        let locked = Free { prefixes: vec![LOCK], ..Free::default() };
        let mut bytes = head.bytes(&locked, head.modrm);
        bytes.resize(LONGEST, 0);
        if let Ok(locked) = decode(mode, &bytes, 0) {
            bytes.truncate(locked.len());
        }
        into.extend(generator.case(mode, &bytes));
    }
    let implemented = instruction_group(instruction.mnemonic()).is_some();
    if !implemented || incomparable::reason(&instruction).is_some() {
        return;
    }
    let mut whole = plain;
    whole.resize(LONGEST, 0);
    whole.truncate(instruction.len());
    into.extend(generator.case(mode, &whole));
    into.extend(generator.case(mode, &whole[..whole.len() - 1]));
    for length in [LONGEST, MOST_CODE] {
        let mut long = vec![PADDING; length - whole.len()];
        long.extend(&whole);
        into.extend(generator.case(mode, &long));
    }
}
