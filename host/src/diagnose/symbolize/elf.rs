//! Symbol table and DWARF of an ELF image in memory. Only `object` and `gimli` look at its bytes,
//! and both check every offset; how much they may read in all is [`Meter`]'s.

use std::cmp::Reverse;

use addr2line::gimli::{self, RunTimeEndian};
use object::elf::{FileHeader32, FileHeader64, PF_X, PT_LOAD};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::meter::{Meter, Metered};
use super::{Frame, Symbol, name, path};

/// Frames beyond this many are not listed: nobody reads on.
const MAX_FRAMES: usize = 8;

/// An ELF image.
pub(super) enum Image<'data> {
    Elf32(ElfFile<'data, FileHeader32<Endianness>>),
    Elf64(ElfFile<'data, FileHeader64<Endianness>>),
}

/// The image's source lines.
pub(super) struct Lines<'data, 'meter>(addr2line::Context<Metered<'data, 'meter>>);

impl<'data> Image<'data> {
    pub(super) fn parse(bytes: &'data [u8]) -> Option<Self> {
        match FileKind::parse(bytes).ok()? {
            FileKind::Elf32 => ElfFile::parse(bytes).ok().map(Self::Elf32),
            FileKind::Elf64 => ElfFile::parse(bytes).ok().map(Self::Elf64),
            _ => None,
        }
    }

    /// Where the image's own tables have `address`, if it holds code: before a kernel turns paging
    /// on, it runs at the physical addresses of its segments. Debug information also describes
    /// functions that the linker has dropped, at addresses near 0, so only code is looked up there.
    pub(super) fn code_address(&self, address: u64) -> Option<u64> {
        let place = match self {
            Self::Elf32(file) => linked(file, address),
            Self::Elf64(file) => linked(file, address),
        };
        place.filter(|place| place.executable).map(|place| place.address)
    }

    /// Where `address` would be had the image not been loaded `bias` above where it is linked. A
    /// kernel that has since mapped itself where it is linked runs there.
    pub(super) fn without_bias(&self, address: u64, bias: u64) -> u64 {
        let lowered = address.wrapping_sub(bias);
        let known = match self {
            Self::Elf32(file) => linked(file, lowered),
            Self::Elf64(file) => linked(file, lowered),
        };
        if known.is_some() { lowered } else { address }
    }

    /// The symbols that cover `addresses`.
    pub(super) fn names(&self, addresses: &[u64]) -> Vec<Symbol> {
        match self {
            Self::Elf32(file) => names(file, addresses),
            Self::Elf64(file) => names(file, addresses),
        }
    }

    /// The image's DWARF, if it has any.
    pub(super) fn lines<'meter>(&self, meter: &'meter Meter) -> Option<Lines<'data, 'meter>> {
        match self {
            Self::Elf32(file) => lines(file, meter),
            Self::Elf64(file) => lines(file, meter),
        }
    }
}

/// Where an address is in a segment that is loaded.
#[derive(Clone, Copy)]
struct Linked {
    address: u64,
    executable: bool,
}

fn linked<Elf: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Elf>,
    address: u64,
) -> Option<Linked> {
    let endian = file.endian();
    let within = |segment: &Elf::ProgramHeader, start: u64| {
        let offset = address.checked_sub(start)?;
        let inside = segment.p_type(endian) == PT_LOAD && offset < segment.p_memsz(endian).into();
        inside.then(|| Linked {
            address: segment.p_vaddr(endian).into().wrapping_add(offset),
            executable: segment.p_flags(endian).contains(PF_X),
        })
    };
    let segments = file.elf_program_headers();
    let virtually =
        segments.iter().find_map(|segment| within(segment, segment.p_vaddr(endian).into()));
    virtually.or_else(|| {
        segments.iter().find_map(|segment| within(segment, segment.p_paddr(endian).into()))
    })
}

/// One pass over the symbol table; for each address the nearest symbol at or before it that
/// covers it. A label without a size (hand-written assembly) reaches to the end of its section.
fn names<Elf: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Elf>,
    addresses: &[u64],
) -> Vec<Symbol> {
    let mut nearest = vec![None; addresses.len()];
    let linked: Vec<_> = addresses.iter().map(|&address| linked(file, address)).collect();
    for symbol in file.symbols() {
        let kind = symbol.kind();
        let is_place = matches!(kind, SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown);
        if !is_place || symbol.is_undefined() {
            continue;
        }
        let (start, size) = (symbol.address(), symbol.size());
        for (best, &place) in nearest.iter_mut().zip(&linked) {
            let Some(Linked { address, .. }) = place else { continue };
            let Some(offset) = address.checked_sub(start) else { continue };
            let sized = offset < size;
            // Of several, one with a size wins, then the nearest, then a global one.
            let rank = (sized, Reverse(offset), symbol.is_global());
            let better = best.is_none_or(|(best_rank, _)| rank > best_rank);
            if better && (sized || size == 0 && in_section(file, &symbol, address)) {
                *best = Some((rank, symbol.index()));
            }
        }
    }
    let resolved = nearest.into_iter().map(|best| {
        let ((_, Reverse(offset), _), index) = best?;
        let raw = file.symbol_by_index(index).ok()?.name().ok().filter(|raw| !raw.is_empty())?;
        Some((name(raw), offset))
    });
    resolved.map(|name| Symbol { name, frames: Vec::new() }).collect()
}

fn in_section<'data, Elf: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'data, Elf>,
    symbol: &impl ObjectSymbol<'data>,
    address: u64,
) -> bool {
    let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
    section.is_some_and(|section| {
        address.checked_sub(section.address()).is_some_and(|offset| offset < section.size())
    })
}

fn lines<'data, 'meter, Elf: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'data, Elf>,
    meter: &'meter Meter,
) -> Option<Lines<'data, 'meter>> {
    let endian = match file.endian() {
        Endianness::Little => RunTimeEndian::Little,
        Endianness::Big => RunTimeEndian::Big,
    };
    let section = |id: gimli::SectionId| {
        let data = file
            .section_by_name(id.name())
            .filter(|section| {
                // Compressed sections are not unpacked: a small file could become a huge one.
                section
                    .compressed_file_range()
                    .is_ok_and(|range| range.format == object::CompressionFormat::None)
            })
            .and_then(|section| section.data().ok())
            .unwrap_or_default();
        Ok::<_, gimli::Error>(Metered::new(data, endian, meter))
    };
    let dwarf = gimli::Dwarf::load(section).ok()?;
    addr2line::Context::from_dwarf(dwarf).ok().map(Lines)
}

impl Lines<'_, '_> {
    /// The functions at `address` with their places in the source, the innermost first.
    pub(super) fn frames(&self, address: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        let Ok(mut found) = self.0.find_frames(address).skip_all_loads() else { return frames };
        while let Ok(Some(frame)) = found.next() {
            let raw = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame
                .location
                .and_then(|location| Some((path(location.file?), location.line.unwrap_or(0))));
            frames.push(Frame { function: raw.map(|raw| name(&raw)), location });
            if frames.len() == MAX_FRAMES {
                break;
            }
        }
        frames
    }
}
