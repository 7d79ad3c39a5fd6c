//! The interrupt descriptor table: 256 interrupt gates to the stubs, open to user mode where tests
//! use them from there.

use super::entry::stub;
use super::frame::vector;
use crate::segment::{DescriptorTablePointer, IST_COMMON, IST_DOUBLE_FAULT, IST_NMI, KERNEL_CODE};
use core::arch::asm;
use core::ptr::{addr_of, addr_of_mut};

/// A gate of the IDT (SDM, 64-Bit Mode IDT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Linear address of the handler's first instruction.
    pub offset: u64,
    /// Code segment of the handler.
    pub selector: u16,
    /// Entry of the interrupt stack table, 0 for none.
    pub ist: u8,
    /// 14 for an interrupt gate, 15 for a trap gate.
    pub kind: u8,
    /// The highest CPL from which INT n may use the gate.
    pub dpl: u8,
    /// Without it, use of the gate is #NP.
    pub present: bool,
}

impl Gate {
    /// The interrupt gate that the runtime makes for `vector`.
    pub fn to_stub(vector: u8) -> Self {
        let ist = match vector {
            vector::NMI => IST_NMI,
            vector::DF => IST_DOUBLE_FAULT,
            _ => IST_COMMON,
        };
        // INT3 and the vectors above the exceptions can be raised by user mode.
        let dpl = if vector == vector::BP || vector >= 0x80 { 3 } else { 0 };
        let offset = stub(vector);
        Self { offset, selector: KERNEL_CODE, ist, kind: 14, dpl, present: true }
    }

    fn bits(self) -> u128 {
        let offset = u128::from(self.offset);
        offset & 0xffff
            | u128::from(self.selector) << 16
            | u128::from(self.ist) << 32
            | u128::from(self.kind) << 40
            | u128::from(self.dpl) << 45
            | u128::from(self.present) << 47
            | (offset >> 16) << 48
    }

    fn from_bits(bits: u128) -> Self {
        Self {
            offset: (bits & 0xffff | bits >> 48 << 16) as u64,
            selector: (bits >> 16) as u16,
            ist: (bits >> 32) as u8 & 7,
            kind: (bits >> 40) as u8 & 0xf,
            dpl: (bits >> 45) as u8 & 3,
            present: bits >> 47 & 1 != 0,
        }
    }
}

static mut IDT: [u128; 256] = [0; 256];

/// The gate of `vector`.
pub fn gate(vector: u8) -> Gate {
    // SAFETY: the table is only written by `set_gate`, on the same processor.
    Gate::from_bits(unsafe { (*addr_of!(IDT))[usize::from(vector)] })
}

/// Replaces the gate of `vector`.
pub fn set_gate(vector: u8, gate: Gate) {
    // SAFETY: as above.
    unsafe { (*addr_of_mut!(IDT))[usize::from(vector)] = gate.bits() };
}

/// Loads IDTR with the runtime's table, cut behind `limit` bytes: 0xfff is all of it.
pub fn load_idt(limit: u16) {
    let pointer = DescriptorTablePointer { limit, base: addr_of!(IDT) as u64 };
    // SAFETY: the table is the runtime's; what lies behind the limit can't be used, as asked.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack)) };
}

pub(super) fn init() {
    (0..=255).for_each(|vector| set_gate(vector, Gate::to_stub(vector)));
    load_idt(0xfff);
}
