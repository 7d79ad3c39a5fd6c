//! Multiboot 2 (Multiboot2 Specification 2.0) for the i386 architecture: a header of tags in the first
//! 32 KiB of an ELF file of either class, or of any file that has an address tag. The image is
//! entered in 32-bit protected mode with the magic number in EAX and the information's address in
//! EBX. There is no firmware, so what a header asks of EFI is refused unless it is optional.
//!
//! As GRUB does, command lines do not begin with the file's name.

use monovisor_core::state::Register;

use super::elf_file::{ElfFile, is_elf};
use super::error::Reason;
use super::image::{Image, u16_at, u32_at};
use super::multiboot::{AddressFields, MAX_SECTION_HEADER_BYTES, basic_memory};
use super::placement::Placement;
use super::{LOADER_NAME, Start, entry, firmware};
use crate::config::VmConfig;
use crate::memory::GuestRam;
use crate::memory::layout::{self, MemoryKind};

const PROTOCOL: &str = "Multiboot 2";
const HEADER_MAGIC: u32 = 0xe852_50d6;
const LOADER_MAGIC: u64 = 0x36d7_6289;
const ARCHITECTURE_I386: u32 = 0;
/// Magic, architecture, length and checksum.
const HEADER_BYTES: usize = 16;
/// The flag of a header tag that a loader may ignore.
const OPTIONAL: u16 = 1;
/// The highest type of information that the specification defines.
const LAST_INFORMATION: u32 = 21;

/// Types of header tags.
mod header_tag {
    pub const END: u16 = 0;
    pub const INFORMATION_REQUEST: u16 = 1;
    pub const ADDRESS: u16 = 2;
    pub const ENTRY_ADDRESS: u16 = 3;
    pub const CONSOLE: u16 = 4;
    pub const FRAMEBUFFER: u16 = 5;
    pub const MODULE_ALIGNMENT: u16 = 6;
    pub const EFI_BOOT_SERVICES: u16 = 7;
    pub const EFI_ENTRY_I386: u16 = 8;
    pub const EFI_ENTRY_AMD64: u16 = 9;
    pub const RELOCATABLE: u16 = 10;
}

/// Types of information tags.
mod information_tag {
    pub const END: u32 = 0;
    pub const COMMAND_LINE: u32 = 1;
    pub const LOADER_NAME: u32 = 2;
    pub const MODULE: u32 = 3;
    pub const BASIC_MEMORY: u32 = 4;
    pub const MEMORY_MAP: u32 = 6;
    pub const ELF_SECTIONS: u32 = 9;
    pub const ACPI_1: u32 = 14;
    pub const ACPI_2: u32 = 15;
    pub const LOAD_BASE: u32 = 21;
}

pub fn probe(image: &Image) -> bool {
    find_header(image).is_some()
}

pub fn load(image: &Image, ram: &GuestRam, config: &VmConfig) -> Result<Start, Reason> {
    let header = find_header(image).ok_or(bad("it is not there"))?;
    let header = Header::parse(image, header)?;
    let mut placement = Placement::new(ram);
    let mut tags = Tags::default();
    let (entry, bias) = match header.address {
        Some(address) => (header.load_by_address_tag(address, image, &mut placement)?, 0),
        None if is_elf(image) => header.load_elf(image, &mut placement, &mut tags)?,
        None => return Err(bad("the file is not ELF, and the header has no address tag")),
    };
    let info = tags.write(&mut placement, config)?;
    let mut state = entry::protected(ram, entry)?;
    state.gpr[Register::Rax] = LOADER_MAGIC;
    state.gpr[Register::Rbx] = info;
    Ok(Start { state, entry, bias })
}

/// The header's place.
fn find_header(image: &Image) -> Option<usize> {
    let head = image.head();
    let last = head.len().checked_sub(HEADER_BYTES)?;
    (0..=last).step_by(8).find(|&offset| {
        let fields = [0, 4, 8, 12].map(|field| u32_at(head, offset + field).unwrap_or_default());
        fields[0] == HEADER_MAGIC
            && fields.iter().fold(0, |sum: u32, &field| sum.wrapping_add(field)) == 0
    })
}

/// What a header asks for.
#[derive(Default)]
struct Header {
    offset: u64,
    /// Their entry is that of its own tag.
    address: Option<AddressFields>,
    entry: Option<u64>,
    relocatable: Option<RelocatableTag>,
}

/// Where a position-independent image may be loaded.
#[derive(Clone, Copy)]
struct RelocatableTag {
    lowest: u64,
    highest: u64,
    alignment: u64,
}

impl Header {
    fn parse(image: &Image, offset: usize) -> Result<Self, Reason> {
        let head = image.head();
        if u32_at(head, offset + 4) != Some(ARCHITECTURE_I386) {
            return Err(bad("it is for another architecture than i386"));
        }
        let length = u32_at(head, offset + 8).unwrap_or_default() as usize;
        let end = offset.saturating_add(length);
        let tags =
            head.get(offset + HEADER_BYTES..end).ok_or(bad("it does not end in its file"))?;
        let mut header = Self { offset: offset as u64, ..Self::default() };
        let mut at = 0;
        while let (Some(kind), Some(flags), Some(size)) =
            (u16_at(tags, at), u16_at(tags, at + 2), u32_at(tags, at + 4))
        {
            let tag = (size as usize).checked_sub(8).and_then(|_| tags.get(at..at + size as usize));
            let tag = tag.ok_or(bad("a tag is longer than the header"))?;
            if kind == header_tag::END {
                break;
            }
            header.add(kind, flags & OPTIONAL != 0, tag)?;
            at += tag.len().next_multiple_of(8);
        }
        Ok(header)
    }

    fn add(&mut self, kind: u16, optional: bool, tag: &[u8]) -> Result<(), Reason> {
        let field = |offset| u32_at(tag, offset).map(u64::from).ok_or(bad("a tag is too short"));
        let refuse = |what: String| Err(Reason::Unsupported { protocol: PROTOCOL, what });
        match kind {
            header_tag::INFORMATION_REQUEST => {
                let types = tag[8..].chunks_exact(4).filter_map(|chunk| u32_at(chunk, 0));
                let unknown = types.filter(|_| !optional).find(|&kind| kind > LAST_INFORMATION);
                if let Some(kind) = unknown {
                    return refuse(format!("information of type {kind}"));
                }
            }
            header_tag::ADDRESS => {
                self.address = Some(AddressFields {
                    header: field(8)?,
                    load: field(12)?,
                    load_end: field(16)?,
                    bss_end: field(20)?,
                    entry: 0,
                });
            }
            header_tag::ENTRY_ADDRESS => self.entry = Some(field(8)?),
            header_tag::RELOCATABLE => {
                let alignment = field(16)?.max(1);
                self.relocatable =
                    Some(RelocatableTag { lowest: field(8)?, highest: field(12)?, alignment });
            }
            // The console is the serial port whatever is asked for, a framebuffer is a wish, and
            // modules are page-aligned always.
            header_tag::CONSOLE | header_tag::FRAMEBUFFER | header_tag::MODULE_ALIGNMENT => {}
            _ if optional => {}
            header_tag::EFI_BOOT_SERVICES
            | header_tag::EFI_ENTRY_I386
            | header_tag::EFI_ENTRY_AMD64 => return refuse("EFI firmware".to_owned()),
            _ => return refuse(format!("a feature of type {kind}")),
        }
        Ok(())
    }
}

impl Header {
    /// Loads an image as its address tag says, and returns its entry point.
    fn load_by_address_tag(
        &self,
        fields: AddressFields,
        image: &Image,
        placement: &mut Placement,
    ) -> Result<u64, Reason> {
        let entry = self.entry.ok_or(bad("it has an address tag and no entry address tag"))?;
        let mut load = fields.load;
        // All ones say that the file is loaded from its beginning.
        if load == u64::from(u32::MAX) {
            let start = fields.header.checked_sub(self.offset);
            load = start.ok_or(bad("header_addr is too low for a file loaded as a whole"))?;
        }
        AddressFields { load, entry, ..fields }.load(PROTOCOL, image, placement, self.offset)
    }

    /// Loads an ELF image and returns its entry point and bias.
    fn load_elf(
        &self,
        image: &Image,
        placement: &mut Placement,
        tags: &mut Tags,
    ) -> Result<(u64, u64), Reason> {
        let file = ElfFile::parse(image)?;
        let mut bias = 0;
        if let Some(relocatable) = self.relocatable {
            bias = relocatable.bias(&file, placement)?;
            let base = file.linked_range()?.start.wrapping_add(bias);
            tags.add(information_tag::LOAD_BASE, &(base as u32).to_le_bytes());
        }
        file.load(image, placement, bias)?;
        let entry = match self.entry {
            Some(linked) => file.physical_only(linked, bias).ok_or(Reason::EntryOutside(linked))?,
            None => file.physical_entry(bias)?,
        };
        if let Some((table, headers)) = file.load_sections(image, placement)
            && headers.len() <= MAX_SECTION_HEADER_BYTES
        {
            let fields = [table.count, table.entry_bytes, table.names].map(u32::from);
            let mut content: Vec<u8> =
                fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            content.extend(headers);
            tags.add(information_tag::ELF_SECTIONS, &content);
        }
        Ok((entry, bias))
    }
}

impl RelocatableTag {
    /// How far above its linked addresses the image is loaded: not at all if that is allowed and
    /// possible, else at the lowest allowed address from 1 MiB on.
    fn bias(&self, file: &ElfFile, placement: &Placement) -> Result<u64, Reason> {
        let linked = file.linked_range()?;
        let length = linked.end - linked.start;
        let allowed = |start: u64| {
            start >= self.lowest
                && start
                    .checked_add(length.saturating_sub(1))
                    .is_some_and(|last| last <= self.highest)
        };
        if allowed(linked.start) && placement.is_free(linked.start, length) {
            return Ok(0);
        }
        let lowest = self.lowest.max(layout::EXTENDED_START);
        let start = lowest.checked_next_multiple_of(self.alignment).filter(|&start| allowed(start));
        let start = start.ok_or(bad("no address satisfies its relocatable tag"))?;
        Ok(start.wrapping_sub(linked.start))
    }
}

/// Information tags while they are put together.
#[derive(Default)]
struct Tags(Vec<u8>);

impl Tags {
    fn add(&mut self, kind: u32, content: &[u8]) {
        self.0.extend(kind.to_le_bytes());
        self.0.extend((content.len() as u32 + 8).to_le_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }

    fn add_string(&mut self, kind: u32, before: &[u32], string: &str) {
        let mut content: Vec<u8> = before.iter().flat_map(|word| word.to_le_bytes()).collect();
        content.extend(string.as_bytes());
        content.push(0);
        self.add(kind, &content);
    }

    fn write(mut self, placement: &mut Placement, config: &VmConfig) -> Result<u64, Reason> {
        self.add_string(information_tag::COMMAND_LINE, &[], &config.command_line);
        self.add_string(information_tag::LOADER_NAME, &[], LOADER_NAME);
        for module in placement.load_modules(config)? {
            let range = [module.range.start as u32, module.range.end as u32];
            self.add_string(information_tag::MODULE, &range, &module.source.command_line);
        }
        let (lower_kib, upper_kib) = basic_memory(placement);
        firmware::write_bios(placement, lower_kib)?;
        let basic = [lower_kib.to_le_bytes(), upper_kib.to_le_bytes()].concat();
        self.add(information_tag::BASIC_MEMORY, &basic);
        let mut map = Vec::new();
        let (entry_bytes, version) = (24u32, 0u32);
        map.extend(entry_bytes.to_le_bytes());
        map.extend(version.to_le_bytes());
        for (range, kind) in placement.memory_map() {
            let kind: u64 = match kind {
                MemoryKind::Available => 1,
                MemoryKind::Reserved => 2,
            };
            for word in [range.start, range.end - range.start, kind] {
                map.extend(word.to_le_bytes());
            }
        }
        self.add(information_tag::MEMORY_MAP, &map);
        let mut root_pointer = [0; firmware::ROOT_POINTER_BYTES];
        placement.ram().read(firmware::ROOT_POINTER, &mut root_pointer)?;
        self.add(information_tag::ACPI_1, &root_pointer[..firmware::ROOT_POINTER_1_BYTES]);
        self.add(information_tag::ACPI_2, &root_pointer);
        self.add(information_tag::END, &[]);
        let reserved = 0u32;
        let total = self.0.len() as u32 + 8;
        let bytes = [&total.to_le_bytes(), &reserved.to_le_bytes(), self.0.as_slice()].concat();
        placement.put_info("Multiboot 2 information", &bytes)
    }
}

fn bad(what: &'static str) -> Reason {
    Reason::BadHeader { protocol: PROTOCOL, what }
}
