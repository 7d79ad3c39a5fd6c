//! Segment descriptors in the global and the local descriptor table.

use super::access;
use crate::paging::Mmu;
use crate::state::{Access, CpuState, Exception, Segment, SegmentRegister, Vector};

/// A selector's requested privilege level.
pub(super) const fn rpl(selector: u16) -> u8 {
    (selector & 3) as u8
}

/// Whether a selector is NULL: the first entry of the GDT, with any RPL.
pub(super) const fn is_null(selector: u16) -> bool {
    selector & !3 == 0
}

/// Whether a selector refers to the local descriptor table.
pub(super) const fn is_local(selector: u16) -> bool {
    selector & 4 != 0
}

/// The bit that tells the type of a busy TSS from that of an available one.
pub(super) const BUSY: u8 = 2;

/// Types of system descriptors (SDM, "System Descriptor Types").
pub(super) mod kind {
    /// Available 16-bit TSS.
    pub const TSS_16: u8 = 1;
    /// Local descriptor table.
    pub const LDT: u8 = 2;
    /// Busy 16-bit TSS.
    pub const TSS_16_BUSY: u8 = 3;
    /// 16-bit call gate.
    pub const CALL_GATE_16: u8 = 4;
    /// Task gate.
    pub const TASK_GATE: u8 = 5;
    /// 16-bit interrupt gate.
    pub const INTERRUPT_GATE_16: u8 = 6;
    /// 16-bit trap gate.
    pub const TRAP_GATE_16: u8 = 7;
    /// Available 32-bit TSS; in IA-32e mode a 64-bit one.
    pub const TSS: u8 = 9;
    /// Busy 32-bit or 64-bit TSS.
    pub const TSS_BUSY: u8 = 0xb;
    /// 32-bit or 64-bit call gate.
    pub const CALL_GATE: u8 = 0xc;
    /// 32-bit or 64-bit interrupt gate.
    pub const INTERRUPT_GATE: u8 = 0xe;
    /// 32-bit or 64-bit trap gate.
    pub const TRAP_GATE: u8 = 0xf;
}

/// The eight bytes of a descriptor, and where they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    /// The two doublewords.
    pub raw: u64,
    /// Linear address.
    pub address: u64,
}

impl Descriptor {
    /// Reads the descriptor that `selector` refers to; `None` if it is beyond its table's limit.
    pub fn find(
        state: &CpuState,
        mmu: &mut Mmu,
        selector: u16,
        external: bool,
    ) -> Result<Option<Self>, Exception> {
        let Some(address) = locate(state, selector, 8) else { return Ok(None) };
        let raw = access::read_system(state, mmu, address, external)?;
        Ok(Some(Self { raw, address }))
    }

    /// As [`find`](Self::find); beyond the limit is `vector` with the selector.
    pub fn read(
        state: &CpuState,
        mmu: &mut Mmu,
        selector: u16,
        vector: Vector,
        external: bool,
    ) -> Result<Self, Exception> {
        Self::find(state, mmu, selector, external)?.ok_or(access::fault(vector, selector, external))
    }

    /// The second half of a 16-byte system descriptor (SDM, "Segment Descriptor Tables in IA-32e
    /// Mode"). Beyond the table's limit, or with a type that is not zero, it is #GP(selector).
    pub fn upper(&self, state: &CpuState, mmu: &mut Mmu, selector: u16) -> Result<u64, Exception> {
        locate(state, selector, 16).ok_or(Exception::gp(selector))?;
        let address = self.address.wrapping_add(8);
        let upper: u64 = access::read_system(state, mmu, address, false)?;
        if upper >> 40 & 0x1f != 0 {
            return Err(Exception::gp(selector));
        }
        Ok(upper & 0xffff_ffff)
    }

    /// The linear address of the byte with type, DPL and P.
    pub fn type_address(&self) -> u64 {
        self.address.wrapping_add(5)
    }

    /// Access rights.
    pub fn access(&self) -> Access {
        Access::from_descriptor_high((self.raw >> 32) as u32)
    }

    /// Base address; of a 16-byte descriptor the lower half.
    pub fn base(&self) -> u64 {
        self.raw >> 16 & 0xff_ffff | self.raw >> 56 << 24
    }

    /// The limit in bytes, granularity applied.
    pub fn limit(&self) -> u32 {
        let limit = (self.raw & 0xffff | self.raw >> 32 & 0xf_0000) as u32;
        if self.access().granular() { limit << 12 | 0xfff } else { limit }
    }

    /// What a segment register holds when this descriptor is loaded into it.
    pub fn segment(&self, selector: u16) -> Segment {
        Segment { base: self.base(), limit: self.limit(), access: self.access(), selector }
    }

    /// Sets the accessed bit, in memory only if it is clear there: tables may be in read-only
    /// memory (SDM, "Code- and Data-Segment Descriptor Types").
    pub fn mark_accessed(
        &mut self,
        state: &CpuState,
        mmu: &mut Mmu,
        external: bool,
    ) -> Result<(), Exception> {
        if self.access().kind() & 1 == 0 {
            access::set_type_bits(state, mmu, self.type_address(), 1, external)?;
            self.raw |= 1 << 40;
        }
        Ok(())
    }
}

/// The linear address of a descriptor of `size` bytes; `None` beyond the table's limit.
fn locate(state: &CpuState, selector: u16, size: u32) -> Option<u64> {
    let (base, limit) = if is_local(selector) {
        let ldtr = &state.segments[SegmentRegister::Ldtr];
        if ldtr.access.unusable() || !ldtr.access.present() {
            return None;
        }
        (ldtr.base, ldtr.limit)
    } else {
        (state.gdtr.base, u32::from(state.gdtr.limit))
    };
    let offset = u32::from(selector & !7);
    (offset + size - 1 <= limit).then(|| access::table_address(state, base, u64::from(offset)))
}
