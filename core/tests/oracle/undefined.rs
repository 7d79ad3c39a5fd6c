//! What the manuals leave undefined, and what becomes of it.
//!
//! The interpreter follows AMD's processors, which are consistent in nearly all of it; so on those
//! everything is compared but what is listed here. On others, nothing undefined is.

use iced_x86::{Instruction, Mnemonic, RflagsBits};

use crate::silicon::is_amd;

/// CF, PF, AF, ZF, SF, OF.
const CF: u64 = 1;
const PF: u64 = 4;
const AF: u64 = 0x10;
const ZF: u64 = 0x40;
const SF: u64 = 0x80;
const OF: u64 = 0x800;

/// Undefined flags that the interpreter does not have as AMD's processors do: to follow them, each
/// multiplication, division and count of compiled code would have to compute the flags before it.
const NOT_FOLLOWED: &[NotFollowed] = &[
    // AMD keeps these, Intel computes some.
    NotFollowed { mnemonics: &[Mnemonic::Mul, Mnemonic::Imul], flags: SF | ZF | AF | PF },
    // AMD clears it; here it is the result's.
    NotFollowed { mnemonics: &[Mnemonic::Bextr], flags: SF },
    // AMD keeps it, and clears the others.
    NotFollowed { mnemonics: &[Mnemonic::Lzcnt, Mnemonic::Tzcnt], flags: OF },
    // AMD clears these but AF, which it sets.
    NotFollowed { mnemonics: &[Mnemonic::Div, Mnemonic::Idiv], flags: SF | ZF | AF | PF },
];

struct NotFollowed {
    mnemonics: &'static [Mnemonic],
    flags: u64,
}

/// The status flags that `instruction` leaves undefined, and that are not compared.
pub fn flags(instruction: &Instruction) -> u64 {
    if !is_amd() {
        return undefined(instruction);
    }
    let rows = NOT_FOLLOWED.iter().filter(|row| row.mnemonics.contains(&instruction.mnemonic()));
    rows.fold(0, |flags, row| flags | row.flags) & undefined(instruction)
}

/// What the manual leaves undefined, as the decoder knows it.
fn undefined(instruction: &Instruction) -> u64 {
    status_flags(instruction.rflags_undefined())
}

/// Those of the decoder's flags that are status flags, in RFLAGS's places.
pub fn status_flags(flags: u32) -> u64 {
    const PLACES: [(u32, u64); 6] = [
        (RflagsBits::CF, CF),
        (RflagsBits::PF, PF),
        (RflagsBits::AF, AF),
        (RflagsBits::ZF, ZF),
        (RflagsBits::SF, SF),
        (RflagsBits::OF, OF),
    ];
    PLACES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, flag)| flag).sum()
}
