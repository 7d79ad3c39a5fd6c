//! Segment instructions.

use super::emit::Emit;

/// PUSH of a segment register.
pub(super) fn push_segment(_emit: &mut Emit, _bytes: i32) -> Option<()> {
    None
}
/// POP of a segment register.
pub(super) fn pop_segment(_emit: &mut Emit, _bytes: i32) -> Option<()> {
    None
}
/// JMP to another segment.
pub(super) fn far_jump(_emit: &mut Emit) -> Option<()> {
    None
}
/// CALL to another segment.
pub(super) fn far_call(_emit: &mut Emit) -> Option<()> {
    None
}
