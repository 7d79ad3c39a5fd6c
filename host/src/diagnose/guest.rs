//! Guest memory as the guest's own code sees it: read through the paging structures, without
//! permission checks and without a trace in the guest.

use monovisor_core::CpuState;
use monovisor_core::memory::PAGE_SIZE;
use monovisor_core::paging::{Outcome, explain};
use monovisor_core::state::SegmentRegister;

use crate::memory::GuestRam;

/// A guest that has stopped.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    pub state: &'a CpuState,
    pub ram: &'a GuestRam,
}

impl Guest<'_> {
    /// The linear address of an offset in the code segment.
    pub fn code_address(&self, rip: u64) -> u64 {
        if self.state.mode_64bit() {
            return rip;
        }
        let base = self.state.segments[SegmentRegister::Cs].base;
        base.wrapping_add(rip) & u64::from(u32::MAX)
    }

    /// The linear address of an offset in the stack segment.
    pub fn stack_address(&self, offset: u64) -> u64 {
        match self.state.stack_bitness() {
            64 => offset,
            bits => {
                let base = self.state.segments[SegmentRegister::Ss].base;
                base.wrapping_add(offset & (u64::MAX >> (64 - bits))) & u64::from(u32::MAX)
            }
        }
    }

    /// The physical address of a linear one, if it is mapped.
    pub fn translate(&self, linear: u64) -> Option<u64> {
        match explain(self.state, self.ram, linear).outcome {
            Outcome::Mapped { physical, .. } => Some(physical),
            _ => None,
        }
    }

    /// The bytes from `linear` on up to the first that is not in RAM, at most `length` of them.
    pub fn read(&self, linear: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let Some(address) = linear.checked_add(bytes.len() as u64) else { break };
            let Some(physical) = self.translate(address) else { break };
            let rest_of_page = (PAGE_SIZE - address % PAGE_SIZE) as usize;
            let mut piece = vec![0; rest_of_page.min(length - bytes.len())];
            if self.ram.read(physical, &mut piece).is_err() {
                break;
            }
            bytes.append(&mut piece);
        }
        bytes
    }

    /// The bytes around `linear`: those before it (in its page and the one before, as far as they
    /// are in RAM) and those from it on. With the address of the first.
    pub fn read_around(&self, linear: u64, before: usize, after: usize) -> (u64, Vec<u8>) {
        let mut start = linear;
        let mut bytes = self.read(linear, after);
        while !bytes.is_empty() && linear - start < before as u64 {
            let page = start.saturating_sub(1) & !(PAGE_SIZE - 1);
            let from = page.max(linear.saturating_sub(before as u64));
            let length = (start - from) as usize;
            let mut piece = self.read(from, length);
            if length == 0 || piece.len() < length {
                break;
            }
            piece.append(&mut bytes);
            bytes = piece;
            start = from;
        }
        (start, bytes)
    }

    /// The stack's word at `linear`: a return address where there is one.
    pub fn word(&self, linear: u64) -> Option<u64> {
        let width = (self.state.bitness() / 8) as usize;
        let bytes = self.read(linear, width);
        let mut word = [0; 8];
        word.get_mut(..width)?.copy_from_slice(bytes.get(..width)?);
        Some(u64::from_le_bytes(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_end_where_ram_ends() {
        let ram = GuestRam::new(2 << 20).unwrap();
        ram.write(0x1ffffe, &[1, 2]).unwrap();
        let state = CpuState::reset(0);
        let guest = Guest { state: &state, ram: &ram };
        assert_eq!(guest.read(0x1f_fffe, 100), [1, 2]);
        assert!(guest.read(0x20_0000, 100).is_empty());
        assert!(guest.read(u64::MAX, 100).is_empty());
        assert_eq!(guest.word(0x1f_fffe), Some(0x0201));
        assert_eq!(guest.word(0x1f_ffff), None);
    }

    #[test]
    fn reads_around_stop_at_the_edges() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let state = CpuState::reset(0);
        let guest = Guest { state: &state, ram: &ram };
        for (linear, start, length) in [
            (0x5000, 0x4000, 0x1010),
            (0x10, 0, 0x20),
            (0, 0, 0x10),
            (0x1f_fff8, 0x1f_eff8, 0x1008),
        ] {
            let (address, bytes) = guest.read_around(linear, 0x1000, 0x10);
            assert_eq!((address, bytes.len()), (start, length), "{linear:#x}");
        }
        assert!(guest.read_around(0x4000_0000, 0x1000, 0x10).1.is_empty());
    }

    #[test]
    fn real_mode_addresses_have_segment_bases() {
        let ram = GuestRam::new(2 << 20).unwrap();
        let state = CpuState::reset(0);
        let guest = Guest { state: &state, ram: &ram };
        assert_eq!(guest.code_address(0xfff0), 0xffff_fff0);
        assert_eq!(guest.stack_address(0x1_2345), 0x2345);
    }
}
