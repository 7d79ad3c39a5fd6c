//! What both versions of Multiboot have in common: address fields of files that are loaded without their
//! program headers, and the memory below the first hole.

use super::error::Reason;
use super::image::Image;
use super::placement::{Owner, Placement};
use crate::memory::layout;

/// How much of the boot structures section headers may take.
pub const MAX_SECTION_HEADER_BYTES: usize = 12 << 10;

/// Where to load what is not, or not only, ELF.
#[derive(Clone, Copy)]
pub struct AddressFields {
    pub header: u64,
    pub load: u64,
    /// 0: the file's end.
    pub load_end: u64,
    /// 0: where what is loaded ends.
    pub bss_end: u64,
    pub entry: u64,
}

impl AddressFields {
    /// Loads the image whose header is at `header` in the file, and returns its entry point.
    pub fn load(
        &self,
        protocol: &'static str,
        image: &Image,
        placement: &mut Placement,
        header: u64,
    ) -> Result<u64, Reason> {
        let bad = |what| Reason::BadHeader { protocol, what };
        let Self { load, entry, .. } = *self;
        // The header's address tells which byte of the file belongs to the load address.
        let before = self.header.checked_sub(load).ok_or(bad("header_addr is below load_addr"))?;
        let offset = header.checked_sub(before);
        let offset = offset.ok_or(bad("load_addr is before the beginning of the file"))?;
        let file_bytes = match self.load_end {
            0 => image.length() - offset,
            end => end.checked_sub(load).ok_or(bad("load_end_addr is below load_addr"))?,
        };
        let memory_bytes = match self.bss_end {
            0 => file_bytes,
            end => end.checked_sub(load).ok_or(bad("bss_end_addr is below load_addr"))?,
        };
        placement.load(image, Owner::Contents, (offset, file_bytes), (load, memory_bytes))?;
        match entry.checked_sub(load) {
            Some(inside) if inside < memory_bytes => Ok(entry),
            _ => Err(Reason::EntryOutside(entry)),
        }
    }
}

/// `mem_lower` and `mem_upper`: KiB from 0, and from 1 MiB up to the first hole.
pub fn basic_memory(placement: &Placement) -> (u32, u32) {
    let map = placement.memory_map();
    let available_from = |start| {
        let range = map.iter().map(|(range, _)| range).find(|range| range.start == start);
        range.map_or(0, |range| ((range.end - range.start) >> 10) as u32)
    };
    (available_from(0), available_from(layout::EXTENDED_START))
}
