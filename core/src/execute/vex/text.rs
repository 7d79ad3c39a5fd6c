//! String comparisons of SSE4.2 in their VEX encoding: those that make a mask clear the upper half of the
//! register that it goes to.

use super::super::emit::Emit;
use super::super::sse::text;
use super::control::clear_upper_of;
use super::rows;

rows! {
    Vpcmpestri => text::PCMPESTRI, Vpcmpestri64 => text::PCMPESTRI64,
    Vpcmpistri => text::PCMPISTRI,
    Vpcmpestrm => |e| with_mask(e, text::PCMPESTRM), Vpcmpestrm64 => |e| with_mask(e, text::PCMPESTRM64),
    Vpcmpistrm => |e| with_mask(e, text::PCMPISTRM),
}

fn with_mask(emit: &mut Emit, comparison: super::EmitFn) -> Option<()> {
    comparison(emit)?;
    clear_upper_of(emit, 0);
    Some(())
}
