//! The PDPTE registers of PAE paging: the four entries of the top structure, which are loaded when
//! software writes a control register, and are not looked up in memory by walks (SDM, "PDPTE
//! Registers"). So a change of them in memory is not seen before the next load.

use x86_64::structures::paging::PageTableFlags;

use super::Mmu;
use super::mode::{POINTER_RESERVED, PagingMode};
use super::translate::read_entry;
use crate::CpuState;
use crate::state::Exception;

/// The bits of CR3 that say where the entries are.
const TABLE: u64 = 0xffff_ffe0;

impl Mmu {
    /// Loads the registers of `state` from where `cr3` says, as MOV to CR3 does, and MOV to CR0 and CR4
    /// where they change how translation works.
    ///
    /// # Errors
    /// #GP(0) if a present entry has a reserved bit set; the registers are then as they were.
    pub(crate) fn load_pointers(
        &mut self,
        state: &mut CpuState,
        cr3: u64,
    ) -> Result<(), Exception> {
        let pointers = self.read_pointers(cr3);
        let present = |entry: u64| entry & PageTableFlags::PRESENT.bits() != 0;
        if pointers.iter().any(|&entry| present(entry) && entry & POINTER_RESERVED != 0) {
            return Err(Exception::GP0);
        }
        state.control.pdptes = Some(pointers);
        Ok(())
    }

    /// Loads the registers for a state that does not tell them: without a check. Walks fault at an
    /// entry with reserved bits.
    pub(crate) fn adopt_pointers(&mut self, state: &mut CpuState) {
        if PagingMode::of(state) == PagingMode::Pae && state.control.pdptes.is_none() {
            state.control.pdptes = Some(self.read_pointers(state.control.cr3));
        }
    }

    fn read_pointers(&mut self, cr3: u64) -> [u64; 4] {
        let Self { regions, memory, .. } = self;
        let table = cr3 & TABLE;
        core::array::from_fn(|index| read_entry(regions, &**memory, table + 8 * index as u64, 8))
    }
}
