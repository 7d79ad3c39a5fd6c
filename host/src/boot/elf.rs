//! Plain ELF: no boot protocol at all. ELF64 is entered in 64-bit mode with the first 4 GiB mapped to
//! themselves, ELF32 in 32-bit protected mode, each as a C function whose only argument points to
//! PVH's `hvm_start_info` (so memory map, command line and modules are there), on a stack of 64 KiB
//! that ends at 0x90000. In 64-bit mode SSE is on; interrupts are off, and there is no IDT.
//!
//! A position-independent ELF64 image that is linked below 1 MiB is moved up and relocated.

use monovisor_core::state::Register;

use super::elf_file::{ElfFile, is_elf};
use super::error::Reason;
use super::image::Image;
use super::placement::Placement;
use super::{Start, entry, pvh};
use crate::config::VmConfig;
use crate::memory::GuestRam;

pub fn probe(image: &Image) -> bool {
    is_elf(image)
}

pub fn load(image: &Image, ram: &GuestRam, config: &VmConfig) -> Result<Start, Reason> {
    let file = ElfFile::parse(image)?;
    match (file.is_64, file.is_x86_64) {
        (true, true) => load_long(&file, image, ram, config),
        (false, false) => load_protected(&file, image, ram, config),
        (true, false) => Err(Reason::WrongMachine("i386 in 64-bit form".to_owned())),
        (false, true) => Err(Reason::WrongMachine("x86-64 in 32-bit form (x32)".to_owned())),
    }
}

fn load_long(
    file: &ElfFile,
    image: &Image,
    ram: &GuestRam,
    config: &VmConfig,
) -> Result<Start, Reason> {
    let bias = file.default_bias()?;
    let mut placement = Placement::new(ram);
    placement.claim_stack()?;
    file.load(image, &mut placement, bias)?;
    let entry = file.physical_entry(bias)?;
    if file.is_relocatable {
        file.relocate(image, &placement, bias)?;
    }
    let info = pvh::start_info(&mut placement, config)?;
    let mut state = entry::long(ram, entry)?;
    entry::call_64(&mut state, info);
    Ok(Start { state, entry, bias })
}

fn load_protected(
    file: &ElfFile,
    image: &Image,
    ram: &GuestRam,
    config: &VmConfig,
) -> Result<Start, Reason> {
    if file.is_relocatable && file.is_dynamic() {
        return Err(Reason::RelocationFormat("32-bit relocations"));
    }
    let mut placement = Placement::new(ram);
    placement.claim_stack()?;
    file.load(image, &mut placement, 0)?;
    let entry = file.physical_entry(0)?;
    let info = pvh::start_info(&mut placement, config)?;
    let mut state = entry::protected(ram, entry)?;
    entry::call_32(ram, &mut state, info)?;
    state.gpr[Register::Rbx] = info;
    Ok(Start { state, entry, bias: 0 })
}
