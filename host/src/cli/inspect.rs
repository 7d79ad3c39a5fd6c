//! `monovisor inspect`: how an image would be booted, without booting it.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::boot::{self, Image, Loaded};
use crate::config::VmConfig;
use crate::config::settings::{Invocation, Sources};
use crate::memory::GuestRam;

/// Say how an image would be booted: its protocol, its entry point and the processor's mode there
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// The image
    image: PathBuf,
}

/// Loads the image into memory that no processor will see, and describes the result.
pub(super) fn execute(arguments: Arguments) -> Result<u8, Failure> {
    let invocation = Invocation { image: arguments.image, ..Invocation::default() };
    let config = arguments.sources.resolve(invocation)?;
    let ram = GuestRam::new(config.memory_bytes).map_err(|error| Failure::own(&error))?;
    let image = Image::open(&config.image)?;
    let loaded = boot::load(&image, &ram, &config)?;
    super::print(&describe(&config, &loaded))
}

fn describe(config: &VmConfig, loaded: &Loaded) -> String {
    let mode = match (loaded.state.protected(), loaded.state.bitness()) {
        (false, _) => "real mode",
        (true, 64) => "64-bit mode",
        (true, _) => "32-bit protected mode",
    };
    let Loaded { protocol, entry, bias, .. } = loaded;
    let mut text = format!(
        "{}: boots by {protocol}, entered at {entry:#x} in {mode} with {} KiB of memory\n",
        config.image.display(),
        config.memory_bytes >> 10
    );
    if *bias != 0 {
        text.push_str(&format!("symbols are {bias:#x} above where they are linked\n"));
    }
    text
}
