//! Section headers, which Multiboot hands to the image so that it finds its own symbols.
//!
//! Invariant: they are a convenience. Damaged ones are left out and make no image unusable.

use object::elf;
use object::endian::LittleEndian as LE;
use object::pod;
use object::read::elf::SectionHeader;

use super::{ElfFile, SectionTable};
use crate::boot::image::Image;
use crate::boot::placement::{Owner, Placement};

/// Where a section loaded for the guest starts.
const ALIGNMENT: u64 = 16;

/// A section, as far as boot protocols care.
struct Section {
    /// Whether it is a symbol or string table that no segment contains.
    is_symbols: bool,
    offset: u64,
    length: u64,
}

impl ElfFile {
    /// The section headers for the guest: symbol and string tables are loaded behind the image, and
    /// their headers' addresses say where. Other sections that are in no segment (debug
    /// information, say) have address 0 and are not loaded.
    pub fn load_sections(
        &self,
        image: &Image,
        placement: &mut Placement,
    ) -> Option<(SectionTable, Vec<u8>)> {
        let SectionTable { offset, count, entry_bytes, .. } = self.sections;
        let size = match self.is_64 {
            true => size_of::<elf::SectionHeader64<LE>>(),
            false => size_of::<elf::SectionHeader32<LE>>(),
        };
        if count == 0 || usize::from(entry_bytes) != size {
            return None;
        }
        let length = u64::from(count) * u64::from(entry_bytes);
        let mut headers = image.read(Owner::SectionHeaders, offset, length).ok()?;
        for (index, header) in headers.chunks_exact_mut(size).enumerate() {
            let Some(section) = self.section(header) else { continue };
            if section.is_symbols {
                let address = load(image, placement, index, &section).unwrap_or_default();
                self.set_address(header, address);
            }
        }
        Some((self.sections, headers))
    }

    fn section(&self, header: &[u8]) -> Option<Section> {
        fn read<H: SectionHeader<Endian = LE>>(header: &[u8]) -> Option<Section> {
            let header = pod::from_bytes::<H>(header).ok()?.0;
            let kind = header.sh_type(LE);
            let flags: u64 = header.sh_flags(LE).0;
            let in_segment = flags & elf::SHF_ALLOC.0 != 0;
            Some(Section {
                is_symbols: !in_segment && (kind == elf::SHT_SYMTAB || kind == elf::SHT_STRTAB),
                offset: header.sh_offset(LE).into(),
                length: header.sh_size(LE).into(),
            })
        }
        match self.is_64 {
            true => read::<elf::SectionHeader64<LE>>(header),
            false => read::<elf::SectionHeader32<LE>>(header),
        }
    }

    /// Sets `sh_addr`.
    fn set_address(&self, header: &mut [u8], address: u64) {
        match self.is_64 {
            true => header[16..24].copy_from_slice(&address.to_le_bytes()),
            false => header[12..16].copy_from_slice(&(address as u32).to_le_bytes()),
        }
    }
}

fn load(image: &Image, placement: &mut Placement, index: usize, section: &Section) -> Option<u64> {
    let start = placement.end().next_multiple_of(ALIGNMENT);
    let Section { offset, length, .. } = *section;
    placement.load(image, Owner::Section(index), (offset, length), (start, length)).ok()?;
    Some(start)
}
