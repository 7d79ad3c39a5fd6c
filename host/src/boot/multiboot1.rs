//! Multiboot 1 (Multiboot Specification 0.6.96): a header in the first 8 KiB of an ELF file of
//! either class, or of any file whose header has the address fields. The image is entered in 32-bit
//! protected mode with the magic number in EAX and the information structure's address in EBX.
//!
//! As QEMU does, and older loaders did, command lines begin with the file's name; video modes are
//! not set even if the header asks.

use monovisor_core::state::Register;

use super::elf_file::{ElfFile, is_elf};
use super::error::Reason;
use super::image::{Image, u32_at};
use super::multiboot::{AddressFields, MAX_SECTION_HEADER_BYTES, basic_memory};
use super::placement::{Owner, Placement};
use super::{LOADER_NAME, Start, entry, firmware};
use crate::config::VmConfig;
use crate::memory::GuestRam;
use crate::memory::layout::MemoryKind;

const PROTOCOL: &str = "Multiboot";
const HEADER_MAGIC: u32 = 0x1bad_b002;
const LOADER_MAGIC: u64 = 0x2bad_b002;
/// The header lies wholly within these bytes, at a multiple of 4.
const SEARCH_BYTES: usize = 8192;
/// Magic, flags and checksum.
const HEADER_BYTES: usize = 12;

/// Header flags: modules page-aligned, memory information, video mode; the address fields are valid.
const PAGE_ALIGN: u32 = 1 << 0;
const MEMORY_INFO: u32 = 1 << 1;
const VIDEO_MODE: u32 = 1 << 2;
const ADDRESS_FIELDS: u32 = 1 << 16;
/// Requirements that a loader must refuse if it does not know them.
const REQUIREMENTS: u32 = 0xffff;

/// What `flags` of the information structure says is there.
const HAS_MEMORY: u32 = 1 << 0;
const HAS_COMMAND_LINE: u32 = 1 << 2;
const HAS_MODULES: u32 = 1 << 3;
const HAS_ELF_SECTIONS: u32 = 1 << 5;
const HAS_MEMORY_MAP: u32 = 1 << 6;
const HAS_LOADER_NAME: u32 = 1 << 9;

pub fn probe(image: &Image) -> bool {
    find_header(image).is_some()
}

pub fn load(image: &Image, ram: &GuestRam, config: &VmConfig) -> Result<Start, Reason> {
    let missing = Reason::BadHeader { protocol: PROTOCOL, what: "it is not there" };
    let (offset, flags) = find_header(image).ok_or(missing)?;
    let unknown = flags & REQUIREMENTS & !(PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE);
    if unknown != 0 {
        let what = format!("features {unknown:#x}");
        return Err(Reason::Unsupported { protocol: PROTOCOL, what });
    }
    let mut placement = Placement::new(ram);
    let mut info = Information::default();
    let entry = if flags & ADDRESS_FIELDS != 0 {
        load_by_address_fields(image, &mut placement, offset)?
    } else if is_elf(image) {
        let file = ElfFile::parse(image)?;
        file.load(image, &mut placement, 0)?;
        info.add_sections(&file, image, &mut placement);
        file.physical_entry(0)?
    } else {
        let what = "the file is not ELF, and the header has no address fields (flag 16)";
        return Err(Reason::BadHeader { protocol: PROTOCOL, what });
    };
    let info = info.write(image, &mut placement, config)?;
    let mut state = entry::protected(ram, entry)?;
    state.gpr[Register::Rax] = LOADER_MAGIC;
    state.gpr[Register::Rbx] = info;
    Ok(Start { state, entry, bias: 0 })
}

/// The header's place and flags.
fn find_header(image: &Image) -> Option<(usize, u32)> {
    let head = image.head();
    let head = &head[..head.len().min(SEARCH_BYTES)];
    let last = head.len().checked_sub(HEADER_BYTES)?;
    (0..=last).step_by(4).find_map(|offset| {
        let [magic, flags, checksum] = [0, 4, 8].map(|field| u32_at(head, offset + field));
        let sum = magic?.wrapping_add(flags?).wrapping_add(checksum?);
        (magic == Some(HEADER_MAGIC) && sum == 0).then_some((offset, flags?))
    })
}

/// Loads an image as its header's address fields say, whatever else the file may be.
fn load_by_address_fields(
    image: &Image,
    placement: &mut Placement,
    header: usize,
) -> Result<u64, Reason> {
    let header = header as u64;
    let bytes = image.read(Owner::BootHeader, header, 32)?;
    let field = |index: usize| u64::from(u32_at(&bytes, 12 + 4 * index).unwrap_or_default());
    let [header_address, load, load_end, bss_end, entry] = [0, 1, 2, 3, 4].map(field);
    let fields = AddressFields { header: header_address, load, load_end, bss_end, entry };
    fields.load(PROTOCOL, image, placement, header)
}

/// The information structure while it is put together.
#[derive(Default)]
struct Information {
    flags: u32,
    /// Number, size, address and index of names of the section headers.
    sections: [u32; 4],
}

impl Information {
    /// Section headers are a convenience: an image with more than fit does without.
    fn add_sections(&mut self, file: &ElfFile, image: &Image, placement: &mut Placement) {
        let Some((table, headers)) = file.load_sections(image, placement) else { return };
        if headers.len() <= MAX_SECTION_HEADER_BYTES
            && let Ok(address) = placement.put_info("section headers", &headers)
        {
            let fields = [table.count.into(), table.entry_bytes.into(), address as u32];
            self.flags |= HAS_ELF_SECTIONS;
            self.sections[..3].copy_from_slice(&fields);
            self.sections[3] = table.names.into();
        }
    }

    fn write(
        mut self,
        image: &Image,
        placement: &mut Placement,
        config: &VmConfig,
    ) -> Result<u64, Reason> {
        let line = command_line(image.path(), &config.command_line);
        let line = placement.put_string("command line", &line)?;
        let name = placement.put_string("boot loader's name", LOADER_NAME)?;
        let mut list = Vec::new();
        let modules = placement.load_modules(config)?;
        for module in &modules {
            let line = command_line(&module.source.path, &module.source.command_line);
            let line = placement.put_string("module command lines", &line)?;
            for word in [module.range.start, module.range.end, line, 0] {
                list.extend((word as u32).to_le_bytes());
            }
        }
        let list_at = placement.put_info("module list", &list)?;
        let mut map = Vec::new();
        for (range, kind) in placement.memory_map() {
            let kind: u32 = match kind {
                MemoryKind::Available => 1,
                MemoryKind::Reserved => 2,
            };
            map.extend(20u32.to_le_bytes());
            map.extend(range.start.to_le_bytes());
            map.extend((range.end - range.start).to_le_bytes());
            map.extend(kind.to_le_bytes());
        }
        let map_at = placement.put_info("memory map", &map)?;

        self.flags |= HAS_MEMORY | HAS_COMMAND_LINE | HAS_MEMORY_MAP | HAS_LOADER_NAME;
        if !modules.is_empty() {
            self.flags |= HAS_MODULES;
        }
        let (lower_kib, upper_kib) = basic_memory(placement);
        firmware::write_bios(placement, lower_kib)?;
        let mut words = [0u32; 30];
        words[0] = self.flags;
        words[1] = lower_kib;
        words[2] = upper_kib;
        words[4] = line as u32;
        words[5] = modules.len() as u32;
        words[6] = list_at as u32;
        words[7..11].copy_from_slice(&self.sections);
        words[11] = map.len() as u32;
        words[12] = map_at as u32;
        words[16] = name as u32;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        placement.put_info("information structure", &bytes)
    }
}

fn command_line(path: &std::path::Path, arguments: &str) -> String {
    let name = path.to_string_lossy();
    if arguments.is_empty() { name.into_owned() } else { format!("{name} {arguments}") }
}
