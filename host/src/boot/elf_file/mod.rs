//! ELF files of both classes in one form: what the protocols need of the headers, segments, notes
//! and sections, checked. Where segments go is decided by the protocols, through [`ElfFile::load`].
//! `relocations` and `sections` are for the few that need them.
//!
//! Invariant: numbers are kept as the file has them, and every sum of them is checked.

mod relocations;
mod sections;

use object::elf;
use object::endian::LittleEndian as LE;
use object::pod::{self, Pod};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};

use super::error::Reason;
use super::image::{Image, MAX_STRUCTURE};
use super::placement::{Owner, Placement};
use crate::memory::layout;

/// An ELF executable for a little-endian x86 processor.
pub struct ElfFile {
    /// ELF64, not ELF32.
    pub is_64: bool,
    /// Built for x86-64, not for i386.
    pub is_x86_64: bool,
    /// Position-independent (`ET_DYN`).
    pub is_relocatable: bool,
    /// The entry point as linked.
    pub entry: u64,
    /// Segments to load, in the file's order.
    pub segments: Vec<Segment>,
    /// The dynamic section's place in the file and its length.
    dynamic: Option<(u64, u64)>,
    notes: Vec<Segment>,
    sections: SectionTable,
}

/// A program header.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Which program header this is.
    pub index: usize,
    /// Its contents' place in the file.
    pub offset: u64,
    /// Its contents' length in the file.
    pub file_bytes: u64,
    /// Its length in memory.
    pub memory_bytes: u64,
    /// Where it is linked to run.
    pub virtual_address: u64,
    /// Where it is linked to be loaded.
    pub physical_address: u64,
    alignment: u64,
}

/// Where the section headers are.
#[derive(Clone, Copy, Debug)]
pub struct SectionTable {
    /// Place in the file.
    pub offset: u64,
    /// How many there are.
    pub count: u16,
    /// Bytes of each.
    pub entry_bytes: u16,
    /// Which section holds the names.
    pub names: u16,
}

/// Whether the image begins like an ELF file.
pub fn is_elf(image: &Image) -> bool {
    image.head().starts_with(&elf::ELFMAG)
}

impl ElfFile {
    /// Reads and checks the headers of `image`, which [is ELF](is_elf).
    pub fn parse(image: &Image) -> Result<Self, Reason> {
        let ident = image.read(Owner::ElfHeader, 0, 16)?;
        if ident[5] == elf::ELFDATA2MSB.0 {
            return Err(Reason::BigEndian);
        }
        match elf::FileClass(ident[4]) {
            elf::ELFCLASS32 => Self::parse_class::<elf::FileHeader32<LE>>(image),
            elf::ELFCLASS64 => Self::parse_class::<elf::FileHeader64<LE>>(image),
            elf::FileClass(class) => {
                Err(Reason::BadElfHeader { field: "class", value: class.into() })
            }
        }
    }

    fn parse_class<Header: FileHeader<Endian = LE>>(image: &Image) -> Result<Self, Reason> {
        let bytes = image.read(Owner::ElfHeader, 0, size_of::<Header>() as u64)?;
        let header: &Header = one(&bytes, "length")?;
        check_kind(header)?;
        let phentsize = header.e_phentsize(LE);
        let count = u64::from(header.e_phnum(LE));
        if count == 0 {
            return Err(Reason::NoSegments);
        }
        if usize::from(phentsize) != size_of::<Header::ProgramHeader>() {
            return Err(bad("program header size", phentsize));
        }
        let table = image.read(
            Owner::ProgramHeaders,
            header.e_phoff(LE).into(),
            count * u64::from(phentsize),
        )?;
        let headers = pod::slice_from_bytes::<Header::ProgramHeader>(&table, count as usize)
            .map_err(|_| bad("program header count", header.e_phnum(LE)))?
            .0;
        let mut file = Self {
            is_64: header.is_type_64(),
            is_x86_64: header.e_machine(LE) == elf::EM_X86_64,
            is_relocatable: header.e_type(LE) == elf::ET_DYN,
            entry: header.e_entry(LE).into(),
            segments: Vec::new(),
            dynamic: None,
            notes: Vec::new(),
            sections: SectionTable {
                offset: header.e_shoff(LE).into(),
                count: header.e_shnum(LE),
                entry_bytes: header.e_shentsize(LE),
                names: header.e_shstrndx(LE).0,
            },
        };
        for (index, header) in headers.iter().enumerate() {
            file.add_program_header(image, index, header)?;
        }
        if file.segments.is_empty() { Err(Reason::NoSegments) } else { Ok(file) }
    }

    fn add_program_header<H: ProgramHeader<Endian = LE>>(
        &mut self,
        image: &Image,
        index: usize,
        header: &H,
    ) -> Result<(), Reason> {
        let segment = Segment {
            index,
            offset: header.p_offset(LE).into(),
            file_bytes: header.p_filesz(LE).into(),
            memory_bytes: header.p_memsz(LE).into(),
            virtual_address: header.p_vaddr(LE).into(),
            physical_address: header.p_paddr(LE).into(),
            alignment: header.p_align(LE).into(),
        };
        let Segment { offset, file_bytes, .. } = segment;
        match header.p_type(LE) {
            elf::PT_LOAD if segment.memory_bytes > 0 || file_bytes > 0 => {
                self.segments.push(segment);
            }
            elf::PT_NOTE => {
                image.check(Owner::Segment(index), offset, file_bytes)?;
                self.notes.push(segment);
            }
            elf::PT_DYNAMIC => self.dynamic = Some((offset, file_bytes)),
            elf::PT_INTERP => {
                let name = image.read(Owner::Segment(index), offset, file_bytes.min(256))?;
                let name = String::from_utf8_lossy(&name);
                return Err(Reason::Dynamic(
                    name.trim_end_matches('\0').escape_debug().to_string(),
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// The content of the note of `kind` that `name` defines. Looks at no more than
    /// [`MAX_STRUCTURE`] bytes of notes.
    pub fn note(&self, image: &Image, name: &[u8], kind: u32) -> Option<Vec<u8>> {
        let mut patience = MAX_STRUCTURE;
        self.notes.iter().find_map(|segment| {
            let Segment { index, offset, file_bytes, .. } = *segment;
            patience = patience.checked_sub(file_bytes)?;
            let bytes = image.read(Owner::Segment(index), offset, file_bytes).ok()?;
            let alignment = if segment.alignment == 8 { 8 } else { 4 };
            // The layout of notes is the same in both classes.
            type Notes<'a> = NoteIterator<'a, elf::FileHeader64<LE>>;
            let mut notes = Notes::new(LE, alignment, &bytes).ok()?;
            while let Ok(Some(note)) = notes.next() {
                if note.name() == name && note.n_type(LE).0 == kind {
                    return Some(note.desc().to_vec());
                }
            }
            None
        })
    }

    /// Whether there are relocations to apply.
    pub fn is_dynamic(&self) -> bool {
        self.dynamic.is_some()
    }

    /// The lowest and the highest physical address that is linked, the latter exclusive.
    pub fn linked_range(&self) -> Result<std::ops::Range<u64>, Reason> {
        let (mut lowest, mut highest) = (u64::MAX, 0);
        for segment in &self.segments {
            let Segment { index, physical_address: address, memory_bytes: length, .. } = *segment;
            let what = Owner::Segment(index);
            let end = address.checked_add(length).ok_or(Reason::Wraps { what, address, length })?;
            (lowest, highest) = (lowest.min(address), highest.max(end));
        }
        Ok(lowest..highest)
    }

    /// The largest alignment that a segment asks for.
    pub fn alignment(&self) -> u64 {
        let powers = self.segments.iter().map(|segment| segment.alignment);
        powers.filter(|alignment| alignment.is_power_of_two()).max().unwrap_or(1)
    }

    /// Loads all segments, `bias` bytes above where they are linked.
    pub fn load(&self, image: &Image, placement: &mut Placement, bias: u64) -> Result<(), Reason> {
        for segment in &self.segments {
            let what = Owner::Segment(segment.index);
            let Segment { physical_address: linked, memory_bytes: length, .. } = *segment;
            let wraps = Reason::Wraps { what, address: linked, length };
            let address = linked.checked_add(bias).ok_or(wraps)?;
            placement.load(image, what, (segment.offset, segment.file_bytes), (address, length))?;
        }
        Ok(())
    }

    /// The guest-physical entry point of an image that was loaded with `bias`.
    pub fn physical_entry(&self, bias: u64) -> Result<u64, Reason> {
        self.physical(self.entry, bias).ok_or(Reason::EntryOutside(self.entry))
    }

    /// Where the linked address `address` was loaded, if it was: by its segment's virtual addresses,
    /// or else by the physical ones, which images mean that are linked high and enter low.
    pub fn physical(&self, address: u64, bias: u64) -> Option<u64> {
        let within = |segment: &Segment, start: u64| {
            let offset = address.checked_sub(start)?;
            (offset < segment.memory_bytes)
                .then(|| segment.physical_address.wrapping_add(bias).wrapping_add(offset))
        };
        let by_virtual = |segment: &Segment| within(segment, segment.virtual_address);
        let by_physical = |segment: &Segment| within(segment, segment.physical_address);
        let segments = &self.segments;
        segments.iter().find_map(by_virtual).or_else(|| segments.iter().find_map(by_physical))
    }

    /// Where the linked physical address `address` was loaded, if it was.
    pub fn physical_only(&self, address: u64, bias: u64) -> Option<u64> {
        let inside = |segment: &Segment| {
            let offset = address.checked_sub(segment.physical_address);
            offset.is_some_and(|offset| offset < segment.memory_bytes)
        };
        self.segments.iter().any(inside).then(|| address.wrapping_add(bias))
    }

    /// How far above its linked addresses a position-independent image is to be loaded when nothing
    /// else says so: not at all, unless it is linked where a PC has no room for it.
    pub fn default_bias(&self) -> Result<u64, Reason> {
        let linked = self.linked_range()?;
        if !self.is_relocatable || linked.start >= layout::EXTENDED_START {
            return Ok(0);
        }
        let alignment = self.alignment().max(4096);
        let bias = layout::EXTENDED_START.checked_next_multiple_of(alignment);
        bias.ok_or(bad("segment alignment", alignment))
    }
}

fn check_kind<Header: FileHeader<Endian = LE>>(header: &Header) -> Result<(), Reason> {
    match header.e_machine(LE) {
        elf::EM_X86_64 | elf::EM_386 => {}
        machine => return Err(Reason::WrongMachine(machine_name(machine))),
    }
    match header.e_type(LE) {
        elf::ET_EXEC | elf::ET_DYN => Ok(()),
        elf::ET_REL => Err(Reason::NotExecutable("an object file")),
        elf::ET_CORE => Err(Reason::NotExecutable("a core dump")),
        kind => Err(bad("type", kind.0)),
    }
}

fn machine_name(machine: elf::Machine) -> String {
    let name = match machine {
        elf::EM_AARCH64 => "AArch64",
        elf::EM_ARM => "ARM",
        elf::EM_RISCV => "RISC-V",
        elf::EM_PPC64 => "PowerPC",
        elf::EM_MIPS => "MIPS",
        elf::EM_S390 => "S/390",
        elf::EM_LOONGARCH => "LoongArch",
        elf::Machine(number) => return format!("machine {number}"),
    };
    name.to_owned()
}

fn one<'a, T: Pod>(bytes: &'a [u8], field: &'static str) -> Result<&'a T, Reason> {
    let bad = |_| Reason::BadElfHeader { field, value: bytes.len() as u64 };
    Ok(pod::from_bytes(bytes).map_err(bad)?.0)
}

fn bad(field: &'static str, value: impl Into<u64>) -> Reason {
    Reason::BadElfHeader { field, value: value.into() }
}
