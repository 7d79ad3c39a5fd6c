//! Gates: descriptors that name an entry point in another segment (SDM, "Call Gates", "IDT
//! Descriptors").

use super::descriptor::kind;
use crate::state::Access;

/// A call, interrupt, trap or task gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// Type, DPL and P.
    pub access: Access,
    /// The code segment that it leads to; for a task gate, the TSS.
    pub selector: u16,
    /// The entry point.
    pub offset: u64,
    /// Width of what is pushed: 16, 32 or 64.
    pub bits: u32,
    /// The byte beside the type: a call gate's number of parameters, a 64-bit interrupt gate's IST.
    pub extra: u8,
}

impl Gate {
    /// A gate of a descriptor table's eight bytes, outside IA-32e mode.
    pub fn legacy(raw: u64) -> Self {
        let mut gate = Self::long(raw, 0);
        if matches!(
            gate.access.kind(),
            kind::CALL_GATE_16 | kind::INTERRUPT_GATE_16 | kind::TRAP_GATE_16
        ) {
            gate.bits = 16;
            gate.offset &= 0xffff;
        } else {
            gate.bits = 32;
        }
        gate
    }

    /// A gate of sixteen bytes, of which `upper` is the second half.
    pub fn long(raw: u64, upper: u64) -> Self {
        Self {
            access: Access::from_descriptor_high((raw >> 32) as u32),
            selector: (raw >> 16) as u16,
            offset: raw & 0xffff | raw >> 32 & 0xffff_0000 | upper << 32,
            bits: 64,
            extra: (raw >> 32) as u8,
        }
    }

    /// The type, if it is a system descriptor's.
    pub fn kind(&self) -> Option<u8> {
        (!self.access.code_or_data()).then(|| self.access.kind())
    }

    /// Interrupt gates clear IF.
    pub fn is_interrupt_gate(&self) -> bool {
        matches!(self.kind(), Some(kind::INTERRUPT_GATE | kind::INTERRUPT_GATE_16))
    }

    /// The entry of the interrupt stack table that a 64-bit gate names; 0 for none.
    pub fn interrupt_stack(&self) -> u8 {
        self.extra & 7
    }

    /// How many parameters a call gate copies to the inner stack.
    pub fn parameters(&self) -> usize {
        usize::from(self.extra & 0x1f)
    }
}
