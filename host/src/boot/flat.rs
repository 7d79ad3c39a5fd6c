//! Flat images: bytes without a format, loaded and entered where `--flat` says. In protected and
//! long mode they are handed what plain ELF images are; in real mode there is nothing but a stack,
//! as after a BIOS, and no BIOS.

use monovisor_core::state::Register;

use super::error::Reason;
use super::image::Image;
use super::placement::{Owner, Placement};
use super::{Start, entry, pvh};
use crate::config::{EntryMode, VmConfig};
use crate::memory::GuestRam;

pub fn load(image: &Image, ram: &GuestRam, config: &VmConfig) -> Result<Start, Reason> {
    let Some(flat) = config.flat else { return Err(Reason::UnknownFormat) };
    if flat.mode == EntryMode::Real
        && !(config.modules.is_empty() && config.command_line.is_empty())
    {
        return Err(Reason::NothingForRealMode);
    }
    let mut placement = match flat.mode {
        EntryMode::Real => Placement::bare(ram),
        EntryMode::Protected | EntryMode::Long => Placement::new(ram),
    };
    if flat.mode != EntryMode::Real {
        placement.claim_stack()?;
    }
    let length = image.length();
    placement.load(image, Owner::Contents, (0, length), (flat.load_address, length))?;
    let entry = flat.entry;
    if entry.checked_sub(flat.load_address).is_none_or(|offset| offset >= length) {
        return Err(Reason::EntryOutside(entry));
    }
    let state = match flat.mode {
        EntryMode::Real => entry::real(entry)?,
        EntryMode::Protected => {
            let info = pvh::start_info(&mut placement, config)?;
            let mut state = entry::protected(ram, entry)?;
            entry::call_32(ram, &mut state, info)?;
            state.gpr[Register::Rbx] = info;
            state
        }
        EntryMode::Long => {
            let info = pvh::start_info(&mut placement, config)?;
            let mut state = entry::long(ram, entry)?;
            entry::call_64(&mut state, info);
            state
        }
    };
    Ok(Start { state, entry, bias: 0 })
}
