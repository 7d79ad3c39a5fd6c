//! Relocations of position-independent ELF64 files without a dynamic linker: there is one kind,
//! `R_X86_64_RELATIVE`, an address that moves with the image.
//!
//! Invariant: a relocation changes bytes of a loaded segment only.

use object::elf;
use object::endian::LittleEndian as LE;
use object::pod;

use super::{ElfFile, Segment, bad};
use crate::boot::error::Reason;
use crate::boot::image::{Image, MAX_STRUCTURE};
use crate::boot::placement::{Owner, Placement};

impl ElfFile {
    /// Applies the relocations of a position-independent ELF64 file that was loaded with `bias`.
    pub fn relocate(&self, image: &Image, placement: &Placement, bias: u64) -> Result<(), Reason> {
        let Some((offset, length)) = self.dynamic else { return Ok(()) };
        let bytes = image.read(Owner::Relocations, offset, length)?;
        let count = bytes.len() / size_of::<elf::Dyn64<LE>>();
        let entries = pod::slice_from_bytes::<elf::Dyn64<LE>>(&bytes, count)
            .map_err(|_| bad("dynamic section", 0u16))?
            .0;
        let mut table = None;
        let mut table_bytes = 0;
        for entry in entries {
            match entry.d_tag.get(LE) {
                elf::DT_NULL => break,
                elf::DT_RELA => table = Some(entry.d_val.get(LE)),
                elf::DT_RELASZ => table_bytes = entry.d_val.get(LE),
                elf::DT_REL => return Err(Reason::RelocationFormat("relocations without addends")),
                elf::DT_RELR => return Err(Reason::RelocationFormat("packed relocations")),
                elf::DT_JMPREL => {
                    return Err(Reason::RelocationFormat("a procedure linkage table"));
                }
                _ => {}
            }
        }
        match table {
            Some(table) if table_bytes > 0 => {
                self.apply(image, placement, bias, (table, table_bytes))
            }
            _ => Ok(()),
        }
    }

    fn apply(
        &self,
        image: &Image,
        placement: &Placement,
        bias: u64,
        (table, table_bytes): (u64, u64),
    ) -> Result<(), Reason> {
        let size = size_of::<elf::Rela64<LE>>() as u64;
        let count = table_bytes / size;
        let in_file = self.segments.iter().find_map(|segment| {
            let offset = table.checked_sub(segment.virtual_address)?;
            let fits = offset <= segment.file_bytes && table_bytes <= segment.file_bytes - offset;
            fits.then(|| segment.offset.checked_add(offset))?
        });
        let outside = Reason::RelocationOutside { index: 0, address: table };
        let in_file = in_file.ok_or(outside)?;
        let target = Target::new(self, bias);
        let step = MAX_STRUCTURE / size;
        for first in (0..count).step_by(step as usize) {
            let here = step.min(count - first);
            let bytes = image.read(Owner::Relocations, in_file + first * size, here * size)?;
            let entries = pod::slice_from_bytes::<elf::Rela64<LE>>(&bytes, here as usize)
                .map_err(|_| bad("relocation table", 0u16))?
                .0;
            for (index, entry) in (first..).zip(entries) {
                target.apply(placement, index, entry)?;
            }
        }
        Ok(())
    }
}

/// The loaded segments that relocations change, for quick look-ups.
struct Target {
    /// By their virtual addresses.
    segments: Vec<Segment>,
    bias: u64,
}

impl Target {
    fn new(file: &ElfFile, bias: u64) -> Self {
        let mut segments = file.segments.clone();
        segments.sort_by_key(|segment| segment.virtual_address);
        Self { segments, bias }
    }

    fn apply(
        &self,
        placement: &Placement,
        index: u64,
        entry: &elf::Rela64<LE>,
    ) -> Result<(), Reason> {
        match entry.r_type(LE, false) {
            elf::R_X86_64_NONE => return Ok(()),
            elf::R_X86_64_RELATIVE => {}
            kind => return Err(Reason::Relocation { index, kind: kind.0 }),
        }
        let address = entry.r_offset.get(LE);
        let at = self.physical(address).ok_or(Reason::RelocationOutside { index, address })?;
        let value = (entry.r_addend.get(LE) as u64).wrapping_add(self.bias);
        Ok(placement.ram().write(at, &value.to_le_bytes())?)
    }

    /// Where the eight bytes that are linked at `address` were loaded.
    fn physical(&self, address: u64) -> Option<u64> {
        let after = self.segments.partition_point(|segment| segment.virtual_address <= address);
        let segment = &self.segments[after.checked_sub(1)?];
        let offset = address - segment.virtual_address;
        let inside = offset.checked_add(8).is_some_and(|end| end <= segment.memory_bytes);
        // The segment was loaded there, so the sum does not wrap.
        inside.then(|| segment.physical_address.wrapping_add(self.bias).wrapping_add(offset))
    }
}
