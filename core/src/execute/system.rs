//! System instructions.

use iced_x86::Register as Name;

use super::emit::Emit;

/// MOV with a segment, control or debug register as operand `position`.
pub(super) fn mov_special(_emit: &mut Emit, _special: Name, _position: u32) -> Option<()> {
    None
}
