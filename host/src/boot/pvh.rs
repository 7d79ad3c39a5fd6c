//! PVH: an ELF file whose note `XEN_ELFNOTE_PHYS32_ENTRY` names a 32-bit entry point, which gets a
//! `hvm_start_info` in EBX (Xen, "x86/HVM direct boot ABI"). Plain ELF and flat images are handed
//! the same structure.

use monovisor_core::state::Register;

use super::elf_file::{ElfFile, is_elf};
use super::error::Reason;
use super::image::{Image, u32_at};
use super::placement::Placement;
use super::{Start, entry, firmware};
use crate::config::VmConfig;
use crate::memory::GuestRam;
use crate::memory::layout::MemoryKind;

/// The note's type, in the name space "Xen".
const PHYS32_ENTRY: u32 = 18;
/// `hvm_start_info.magic`.
const MAGIC: u32 = 0x336e_c578;
/// The version that has a memory map.
const VERSION: u32 = 1;

pub fn probe(image: &Image) -> bool {
    is_elf(image) && ElfFile::parse(image).is_ok_and(|file| entry_note(&file, image).is_some())
}

pub fn load(image: &Image, ram: &GuestRam, config: &VmConfig) -> Result<Start, Reason> {
    let file = ElfFile::parse(image)?;
    let linked = entry_note(&file, image).unwrap_or(file.entry);
    let mut placement = Placement::new(ram);
    file.load(image, &mut placement, 0)?;
    // Not `e_entry`, which is for other loaders and may be anywhere.
    let entry = file.physical_only(linked, 0).ok_or(Reason::EntryOutside(linked))?;
    let info = start_info(&mut placement, config)?;
    let mut state = entry::protected(ram, entry)?;
    state.gpr[Register::Rbx] = info;
    Ok(Start { state, entry, bias: 0 })
}

fn entry_note(file: &ElfFile, image: &Image) -> Option<u64> {
    let content = file.note(image, b"Xen", PHYS32_ENTRY)?;
    u32_at(&content, 0).map(u64::from)
}

/// Loads the modules, writes an `hvm_start_info` with them, the command line and the memory map, and
/// returns its address.
pub fn start_info(placement: &mut Placement, config: &VmConfig) -> Result<u64, Reason> {
    let modules = placement.load_modules(config)?;
    let mut list = Vec::with_capacity(modules.len() * 32);
    for module in &modules {
        let line = &module.source.command_line;
        let line = placement.put_string("module command lines", line)?;
        let size = module.range.end - module.range.start;
        list.extend([module.range.start, size, line, 0].iter().flat_map(|word| word.to_le_bytes()));
    }
    let list_at = if list.is_empty() { 0 } else { placement.put_info("module list", &list)? };
    let line = placement.put_string("command line", &config.command_line)?;
    let map = placement.memory_map();
    let mut entries = Vec::with_capacity(map.len() * 24);
    for (range, kind) in &map {
        let kind: u64 = match kind {
            MemoryKind::Available => 1,
            MemoryKind::Reserved => 2,
        };
        let words = [range.start, range.end - range.start, kind];
        entries.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    let map_at = placement.put_info("memory map", &entries)?;

    let mut info = Vec::with_capacity(56);
    let flags = 0u32;
    for field in [MAGIC, VERSION, flags, modules.len() as u32] {
        info.extend(field.to_le_bytes());
    }
    for field in [list_at, line, firmware::ROOT_POINTER, map_at, map.len() as u64] {
        info.extend(field.to_le_bytes());
    }
    placement.put_info("start information", &info)
}
