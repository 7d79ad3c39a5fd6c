//! A reader of DWARF that runs out: of reads, so that no debug information costs more time or
//! memory than [`READS`] allow, however its parts refer to one another; and of stack, because
//! addr2line follows nested inlined functions by recursion.
//!
//! Invariant: whatever gimli does with a section, it does through a read, and a read beyond either
//! limit is the end of the section.

use std::borrow::Cow;
use std::cell::Cell;

use addr2line::gimli::{EndianSlice, Error, Reader, ReaderOffsetId, Result, RunTimeEndian};

/// Reads that all look-ups together may make; a string counts for its bytes. A
/// Rust program of 70 MB with full debug information takes half, a small kernel a two-hundredth.
const READS: u64 = 4 << 20;

/// What is left for the readers that share it.
#[derive(Debug)]
pub(super) struct Meter {
    reads: Cell<u64>,
    stack_start: usize,
    stack_bytes: usize,
}

impl Meter {
    /// A full meter for a thread that may use about `stack_bytes` of stack beyond its caller's.
    pub(super) fn new(stack_bytes: usize) -> Self {
        Self { reads: Cell::new(READS), stack_start: stack_pointer(), stack_bytes }
    }

    fn take(&self, reads: usize) -> bool {
        let left = self.reads.get().checked_sub(reads as u64);
        self.reads.set(left.unwrap_or(0));
        left.is_some() && self.stack_start.abs_diff(stack_pointer()) < self.stack_bytes
    }
}

/// About where the stack ends.
#[inline(always)]
fn stack_pointer() -> usize {
    let local = 0u8;
    (&raw const local).addr()
}

/// A section, or a part of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metered<'data, 'meter> {
    bytes: EndianSlice<'data, RunTimeEndian>,
    meter: &'meter Meter,
}

impl<'data, 'meter> Metered<'data, 'meter> {
    pub(super) fn new(bytes: &'data [u8], endian: RunTimeEndian, meter: &'meter Meter) -> Self {
        Self { bytes: EndianSlice::new(bytes, endian), meter }
    }

    fn take(&self, reads: usize) -> Result<()> {
        self.meter.take(reads).then_some(()).ok_or(Error::UnexpectedEof(self.offset_id()))
    }
}

impl Reader for Metered<'_, '_> {
    type Endian = RunTimeEndian;
    type Offset = usize;

    fn endian(&self) -> RunTimeEndian {
        self.bytes.endian()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn empty(&mut self) {
        Reader::empty(&mut self.bytes);
    }

    fn truncate(&mut self, length: usize) -> Result<()> {
        self.bytes.truncate(length)
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.bytes.offset_from(base.bytes)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        Reader::offset_id(&self.bytes)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.bytes.lookup_offset_id(id)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let found = Reader::find(&self.bytes, byte);
        self.take(1 + found.as_ref().map_or(self.bytes.len(), |&length| length))?;
        found
    }

    fn skip(&mut self, length: usize) -> Result<()> {
        self.take(1)?;
        self.bytes.skip(length)
    }

    fn split(&mut self, length: usize) -> Result<Self> {
        self.take(1)?;
        Ok(Self { bytes: self.bytes.split(length)?, meter: self.meter })
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.take(1 + self.bytes.len())?;
        Reader::to_slice(&self.bytes)
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        self.take(1 + self.bytes.len())?;
        Reader::to_string(&self.bytes)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        self.take(1 + self.bytes.len())?;
        Reader::to_string_lossy(&self.bytes)
    }

    fn read_slice(&mut self, out: &mut [u8]) -> Result<()> {
        self.take(1)?;
        Reader::read_slice(&mut self.bytes, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_run_out() {
        let bytes = vec![0x80; READS as usize + 1];
        let meter = Meter::new(1 << 20);
        let mut reader = Metered::new(&bytes, RunTimeEndian::Little, &meter);
        while reader.read_u8().is_ok() {}
        assert_eq!(reader.len(), 1);
        assert!(reader.read_u8().is_err() && reader.find(0).is_err() && reader.to_slice().is_err());
    }

    #[test]
    fn a_deep_stack_ends_all_reading() {
        let meter = Meter { reads: Cell::new(10), stack_start: 0, stack_bytes: 1 << 20 };
        let mut reader = Metered::new(&[1, 2], RunTimeEndian::Little, &meter);
        assert!(reader.read_u8().is_err());
    }
}
