//! The buffers of a request, as its descriptors told when it was taken: bytes that the device reads, or
//! bytes that it writes, one after the other whatever buffers they are in.
//!
//! Invariant: all of them are RAM, so a transfer that begins does not end in its middle.

use std::slice;

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// What is left of a request's buffers in one direction.
pub struct Buffers<'a> {
    memory: &'a GuestMemoryMmap,
    descriptors: slice::Iter<'a, Descriptor>,
    written: bool,
    /// The buffer at hand: what is left of it.
    at: GuestAddress,
    length: u64,
    left: u64,
}

/// The buffers are not all RAM, or too short for what was wanted.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit;

impl<'a> Buffers<'a> {
    /// What the device reads.
    pub fn readable(
        memory: &'a GuestMemoryMmap,
        descriptors: &'a [Descriptor],
    ) -> Result<Self, Unfit> {
        Self::new(memory, descriptors, false)
    }

    /// What the device writes.
    pub fn writable(
        memory: &'a GuestMemoryMmap,
        descriptors: &'a [Descriptor],
    ) -> Result<Self, Unfit> {
        Self::new(memory, descriptors, true)
    }

    fn new(
        memory: &'a GuestMemoryMmap,
        descriptors: &'a [Descriptor],
        written: bool,
    ) -> Result<Self, Unfit> {
        let mut left = 0;
        for one in descriptors.iter().filter(|one| one.is_write_only() == written) {
            if one.len() > 0 && !memory.check_range(one.addr(), one.len() as usize) {
                return Err(Unfit);
            }
            left += u64::from(one.len());
        }
        let (at, length) = (GuestAddress(0), 0);
        Ok(Self { memory, descriptors: descriptors.iter(), written, at, length, left })
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Leaves out the last `bytes`.
    pub fn shorten(&mut self, bytes: u64) -> Result<(), Unfit> {
        self.left = self.left.checked_sub(bytes).ok_or(Unfit)?;
        Ok(())
    }

    /// Fills `bytes` with the next ones.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<(), Unfit> {
        let mut done = 0;
        while done < bytes.len() {
            let (at, length) = self.next(bytes.len() - done)?;
            self.memory.read_slice(&mut bytes[done..done + length], at).map_err(|_| Unfit)?;
            done += length;
        }
        Ok(())
    }

    /// The next bytes.
    pub fn read_array<const N: usize>(&mut self) -> Result<[u8; N], Unfit> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    /// Puts `bytes` into the next ones.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Unfit> {
        let mut done = 0;
        while done < bytes.len() {
            let (at, length) = self.next(bytes.len() - done)?;
            self.memory.write_slice(&bytes[done..done + length], at).map_err(|_| Unfit)?;
            done += length;
        }
        Ok(())
    }

    /// Takes the next bytes that are in one buffer, at most `wanted`.
    fn next(&mut self, wanted: usize) -> Result<(GuestAddress, usize), Unfit> {
        while self.length == 0 {
            let next = self.descriptors.find(|one| one.is_write_only() == self.written);
            let next = next.ok_or(Unfit)?;
            (self.at, self.length) = (next.addr(), next.len().into());
        }
        let taken = self.length.min(self.left).min(wanted as u64);
        if taken == 0 {
            return Err(Unfit);
        }
        let at = self.at;
        self.at = at.unchecked_add(taken);
        self.length -= taken;
        self.left -= taken;
        Ok((at, taken as usize))
    }
}

#[cfg(test)]
mod tests {
    use virtio_bindings::virtio_ring::VRING_DESC_F_WRITE;

    use super::*;

    fn descriptor(address: u64, length: u32, written: bool) -> Descriptor {
        let flags = if written { VRING_DESC_F_WRITE as u16 } else { 0 };
        Descriptor::new(address, length, flags, 0)
    }

    #[test]
    fn buffers_are_one_row_of_bytes_in_each_direction() {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        memory.write_slice(b"abcdef", GuestAddress(0x10)).unwrap();
        let descriptors = [
            descriptor(0x10, 2, false),
            descriptor(0x100, 3, true),
            descriptor(0x12, 0, false),
            descriptor(0x13, 3, false),
            descriptor(0x200, 2, true),
        ];
        let mut input = Buffers::readable(&memory, &descriptors).unwrap();
        assert_eq!((input.left(), input.read_array::<4>()), (5, Ok(*b"abde")));
        assert_eq!((input.left(), input.read_array::<2>()), (1, Err(Unfit)));

        let mut output = Buffers::writable(&memory, &descriptors).unwrap();
        output.shorten(1).unwrap();
        output.write(b"1234").unwrap();
        assert_eq!((output.left(), output.write(b"5")), (0, Err(Unfit)));
        let mut found = [0; 3];
        memory.read_slice(&mut found, GuestAddress(0x100)).unwrap();
        assert_eq!((found, memory.read_obj(GuestAddress(0x200)).unwrap()), (*b"123", *b"4\0"));
        assert_eq!(output.shorten(1), Err(Unfit));
    }

    #[test]
    fn a_buffer_beyond_ram_is_found_before_anything_is_moved() {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        for (address, length) in [(0xfff, 2), (u64::MAX, 1), (u64::MAX - 1, u32::MAX), (0x1000, 1)]
        {
            let descriptors = [descriptor(0x10, 2, false), descriptor(address, length, false)];
            assert!(Buffers::readable(&memory, &descriptors).is_err(), "{address:#x}");
            assert!(Buffers::writable(&memory, &descriptors).is_ok_and(|none| none.left() == 0));
        }
    }
}
