//! The instruction table: which row emits a mnemonic. It is put together from the groups' own rows
//! when the crate is compiled.

use iced_x86::Mnemonic;

use super::emit::EmitFn;

/// One mnemonic and what emits it.
pub(crate) type Row = (Mnemonic, EmitFn);

/// The rows of every instruction group.
const GROUPS: &[&[Row]] = &[
    super::arithmetic::ROWS,
    super::arithmetic::multiply_divide::ROWS,
    super::arithmetic::unary::ROWS,
    super::bit_byte::ROWS,
    super::control_transfer::ROWS,
    super::control_transfer::branch::ROWS,
    super::control_transfer::call::ROWS,
    super::control_transfer::condition::ROWS,
    super::data_transfer::ROWS,
    super::data_transfer::extend::ROWS,
    super::data_transfer::stack::ROWS,
    super::decimal::ROWS,
    super::exchange::ROWS,
    super::far_transfer::ROWS,
    super::flag_control::ROWS,
    super::fpu_state::ROWS,
    super::io::ROWS,
    super::logical::ROWS,
    super::miscellaneous::ROWS,
    super::segment::ROWS,
    super::shift_rotate::ROWS,
    super::sse::arithmetic::ROWS,
    super::sse::compare::ROWS,
    super::sse::control::FENCE_ROWS,
    super::sse::control::ROWS,
    super::sse::convert::ROWS,
    super::sse::integer::ROWS,
    super::sse::moves::ROWS,
    super::sse::moves::STORE_ROWS,
    super::sse::pack::ROWS,
    super::sse::shift::ROWS,
    super::sse::shuffle::ROWS,
    super::sse::signs::ROWS,
    super::string::ROWS,
    super::system::ROWS,
];

const SIZE: usize = 2048;

static TABLE: [Option<EmitFn>; SIZE] = {
    let mut table = [None; SIZE];
    let mut group = 0;
    while group < GROUPS.len() {
        let mut row = 0;
        while row < GROUPS[group].len() {
            let (mnemonic, emit) = GROUPS[group][row];
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
