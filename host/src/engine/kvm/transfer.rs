//! A device access on its way: KVM exits once for all items of a string instruction, and with
//! accesses of any length; the host is asked item by item, in 1, 2, 4 or 8 bytes.
//!
//! Invariant: the data are those that KVM has in the pages it shares with us, so an answer is there
//! when the vCPU runs again.

use std::ptr::NonNull;

use kvm_bindings::{KVM_EXIT_IO, KVM_EXIT_IO_OUT, KVM_EXIT_MMIO};
use kvm_ioctls::VcpuFd;
use monovisor_core::{Access, Exit, Space};

/// What is left of an exit's device access.
#[derive(Debug)]
pub(super) struct Transfer {
    space: Space,
    write: bool,
    address: u64,
    /// Bytes of a port's item; memory's are as large as they can be.
    item_bytes: usize,
    data: NonNull<u8>,
    length: usize,
    done: usize,
    /// The item that was read last: its place and its size.
    asked: Option<(usize, usize)>,
}

// SAFETY: the pointer leads into pages that the vCPU's descriptor keeps mapped, and a vCPU and its
// transfer move together.
unsafe impl Send for Transfer {}

impl Transfer {
    /// The access that the last exit is about, if it is about one.
    pub fn of_exit(fd: &mut VcpuFd) -> Option<Self> {
        let run = fd.get_kvm_run();
        let start = NonNull::from(&mut *run).cast::<u8>();
        match run.exit_reason {
            KVM_EXIT_IO => {
                // SAFETY: the exit's reason says that this field of the union is valid.
                let io = unsafe { run.__bindgen_anon_1.io };
                // SAFETY: KVM's offset is within the pages that it shares with us.
                let data = unsafe { start.add(io.data_offset as usize) };
                Some(Self {
                    space: Space::Port,
                    write: u32::from(io.direction) == KVM_EXIT_IO_OUT,
                    address: io.port.into(),
                    item_bytes: io.size.into(),
                    data,
                    length: usize::from(io.size) * io.count as usize,
                    done: 0,
                    asked: None,
                })
            }
            KVM_EXIT_MMIO => {
                // SAFETY: the exit's reason says that this field of the union is valid.
                let mmio = unsafe { &mut run.__bindgen_anon_1.mmio };
                Some(Self {
                    space: Space::Memory,
                    write: mmio.is_write != 0,
                    address: mmio.phys_addr,
                    item_bytes: 8,
                    data: NonNull::from(&mut mmio.data).cast(),
                    length: (mmio.len as usize).min(mmio.data.len()),
                    done: 0,
                    asked: None,
                })
            }
            _ => None,
        }
    }

    /// The address of the next item in memory; of none for a port.
    pub fn memory_address(&self) -> Option<u64> {
        (self.space == Space::Memory).then(|| self.address.wrapping_add(self.done as u64))
    }

    /// The next item; none if all have been told. A read has the answer "all ones" until there is
    /// another.
    pub fn next(&mut self) -> Option<Exit> {
        let left = self.length - self.done;
        if left == 0 {
            return None;
        }
        let size = match self.space {
            Space::Port => self.item_bytes.min(left),
            Space::Memory => 1 << left.min(8).ilog2(),
        };
        let offset = match self.space {
            Space::Port => 0,
            Space::Memory => self.done as u64,
        };
        let address = self.address.wrapping_add(offset);
        let access = Access { space: self.space, address, size: size as u8 };
        let place = (self.done, size);
        self.done += size;
        if self.write {
            return Some(Exit::Write(access, self.get(place)));
        }
        self.asked = Some(place);
        self.answer(u64::MAX);
        self.asked = Some(place);
        Some(Exit::Read(access))
    }

    /// Completes the read that was told last.
    pub fn answer(&mut self, data: u64) {
        let Some((start, size)) = self.asked.take() else { return };
        for (index, byte) in data.to_le_bytes().into_iter().take(size).enumerate() {
            // SAFETY: within the data of this exit, which KVM has shared with us.
            unsafe { self.data.add(start + index).write_volatile(byte) };
        }
    }

    fn get(&self, (start, size): (usize, usize)) -> u64 {
        (0..size).rev().fold(0, |value, index| {
            // SAFETY: within the data of this exit, which KVM has shared with us.
            let byte = unsafe { self.data.add(start + index).read_volatile() };
            value << 8 | u64::from(byte)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(space: Space, write: bool, item_bytes: usize, data: &mut [u8]) -> Transfer {
        let length = data.len();
        let data = NonNull::from(data).cast();
        let address = 0x3f8;
        Transfer { space, write, address, item_bytes, data, length, done: 0, asked: None }
    }

    #[test]
    fn a_string_goes_to_its_port_item_by_item() {
        let mut data = *b"\x01\x02\x03\x04";
        let mut transfer = transfer(Space::Port, true, 2, &mut data);
        let access = Access { space: Space::Port, address: 0x3f8, size: 2 };
        assert_eq!(transfer.next(), Some(Exit::Write(access, 0x0201)));
        assert_eq!(transfer.next(), Some(Exit::Write(access, 0x0403)));
        assert_eq!(transfer.next(), None);
    }

    #[test]
    fn odd_lengths_are_split_and_unanswered_reads_give_ones() {
        let mut data = [0; 7];
        let mut transfer = transfer(Space::Memory, false, 8, &mut data);
        let access = |address, size| Access { space: Space::Memory, address, size };
        assert_eq!(transfer.next(), Some(Exit::Read(access(0x3f8, 4))));
        transfer.answer(0x4433_2211);
        assert_eq!(transfer.next(), Some(Exit::Read(access(0x3fc, 2))));
        assert_eq!(transfer.next(), Some(Exit::Read(access(0x3fe, 1))));
        transfer.answer(0x77);
        transfer.answer(0x99);
        assert_eq!(transfer.next(), None);
        assert_eq!(data, [0x11, 0x22, 0x33, 0x44, 0xff, 0xff, 0x77]);
    }
}
