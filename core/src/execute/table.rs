//! The instruction table: which row emits a mnemonic. It is put together from the groups' own rows
//! when the crate is compiled.

use iced_x86::Mnemonic;

use super::emit::EmitFn;

/// One mnemonic and what emits it.
pub(crate) type Row = (Mnemonic, EmitFn);

/// The rows of every instruction group, and where in this folder they are.
const GROUPS: &[(&str, &[Row])] = &[
    ("arithmetic", super::arithmetic::ROWS),
    ("arithmetic/carry_chain", super::arithmetic::carry_chain::ROWS),
    ("arithmetic/multiply_divide", super::arithmetic::multiply_divide::ROWS),
    ("arithmetic/unary", super::arithmetic::unary::ROWS),
    ("bit_byte", super::bit_byte::ROWS),
    ("bit_count", super::bit_count::ROWS),
    ("bit_manipulation/multiply", super::bit_manipulation::multiply::ROWS),
    ("bit_manipulation/operations", super::bit_manipulation::operations::ROWS),
    ("checksum", super::checksum::ROWS),
    ("control_transfer", super::control_transfer::ROWS),
    ("control_transfer/branch", super::control_transfer::branch::ROWS),
    ("control_transfer/call", super::control_transfer::call::ROWS),
    ("control_transfer/condition", super::control_transfer::condition::ROWS),
    ("data_transfer", super::data_transfer::ROWS),
    ("data_transfer/extend", super::data_transfer::extend::ROWS),
    ("data_transfer/stack", super::data_transfer::stack::ROWS),
    ("data_transfer/swap", super::data_transfer::swap::ROWS),
    ("decimal", super::decimal::ROWS),
    ("exchange", super::exchange::ROWS),
    ("extended_state", super::extended_state::ROWS),
    ("far_transfer", super::far_transfer::ROWS),
    ("flag_control", super::flag_control::ROWS),
    ("fpu_state", super::fpu_state::ROWS),
    ("io", super::io::ROWS),
    ("logical", super::logical::ROWS),
    ("miscellaneous", super::miscellaneous::ROWS),
    ("mmx/convert", super::mmx::convert::ROWS),
    ("mmx/moves", super::mmx::moves::ROWS),
    ("segment", super::segment::ROWS),
    ("shift_rotate", super::shift_rotate::ROWS),
    ("sse/aes", super::sse::aes::ROWS),
    ("sse/arithmetic", super::sse::arithmetic::ROWS),
    ("sse/carry_less", super::sse::carry_less::ROWS),
    ("sse/compare", super::sse::compare::ROWS),
    ("sse/control", super::sse::control::FENCE_ROWS),
    ("sse/control", super::sse::control::ROWS),
    ("sse/convert", super::sse::convert::ROWS),
    ("sse/element", super::sse::element::ROWS),
    ("sse/integer", super::sse::integer::ROWS),
    ("sse/moves", super::sse::moves::ROWS),
    ("sse/moves", super::sse::moves::STORE_ROWS),
    ("sse/pack", super::sse::pack::ROWS),
    ("sse/sha", super::sse::sha::ROWS),
    ("sse/shift", super::sse::shift::ROWS),
    ("sse/shuffle", super::sse::shuffle::ROWS),
    ("sse/signs", super::sse::signs::ROWS),
    ("sse/sse3", super::sse::sse3::ROWS),
    ("sse/sse4_1", super::sse::sse4_1::ROWS),
    ("sse/sse4_1/blend", super::sse::sse4_1::blend::ROWS),
    ("sse/sse4_1/float", super::sse::sse4_1::float::ROWS),
    ("sse/sse4_2", super::sse::sse4_2::ROWS),
    ("sse/ssse3", super::sse::ssse3::ROWS),
    ("sse/text", super::sse::text::ROWS),
    ("string", super::string::ROWS),
    ("system", super::system::ROWS),
    ("translation", super::translation::ROWS),
    ("vex/aes", super::vex::aes::ROWS),
    ("vex/arithmetic", super::vex::arithmetic::ROWS),
    ("vex/broadcast", super::vex::broadcast::ROWS),
    ("vex/coded", super::vex::coded::ROWS),
    ("vex/compare", super::vex::compare::ROWS),
    ("vex/control", super::vex::control::ROWS),
    ("vex/convert", super::vex::convert::ROWS),
    ("vex/extend", super::vex::extend::ROWS),
    ("vex/fma", super::vex::fma::ROWS),
    ("vex/gather", super::vex::gather::ROWS),
    ("vex/integer", super::vex::integer::ROWS),
    ("vex/mask_move", super::vex::mask_move::ROWS),
    ("vex/moves", super::vex::moves::ROWS),
    ("vex/permute", super::vex::permute::ROWS),
    ("vex/shift", super::vex::shift::ROWS),
    ("vex/shuffle", super::vex::shuffle::ROWS),
    ("vex/text", super::vex::text::ROWS),
    ("vex/variable_shift", super::vex::variable_shift::ROWS),
    ("x87/arithmetic", super::x87::arithmetic::ROWS),
    ("x87/comparison", super::x87::comparison::ROWS),
    ("x87/constants", super::x87::constants::ROWS),
    ("x87/control", super::x87::control::ROWS),
    ("x87/data_transfer", super::x87::data_transfer::ROWS),
    ("x87/environment", super::x87::environment::ROWS),
    ("x87/transcendental", super::x87::transcendental::ROWS),
];

const SIZE: usize = 2048;

static TABLE: [Option<EmitFn>; SIZE] = {
    let mut table = [None; SIZE];
    let mut group = 0;
    while group < GROUPS.len() {
        let mut row = 0;
        while row < GROUPS[group].1.len() {
            let (mnemonic, emit) = GROUPS[group].1[row];
            assert!(table[mnemonic as usize].is_none(), "a mnemonic has two rows");
            table[mnemonic as usize] = Some(emit);
            row += 1;
        }
        group += 1;
    }
    table
};

/// What emits `mnemonic`; `None` raises #UD.
pub(crate) fn emit_function(mnemonic: Mnemonic) -> Option<EmitFn> {
    TABLE.get(mnemonic as usize).copied().flatten()
}

/// The group of instructions that implements `mnemonic`, as the path of its file in this crate's
/// `execute` folder, or `None` if the interpreter raises #UD for it. For listings and tests.
pub fn instruction_group(mnemonic: Mnemonic) -> Option<&'static str> {
    let has = |rows: &[Row]| rows.iter().any(|(row, _)| *row == mnemonic);
    GROUPS.iter().find(|(_, rows)| has(rows)).map(|(name, _)| *name)
}
