//! From an image file to guest memory and a processor's state. One file per boot protocol, one row
//! each in `PROTOCOLS`; what they share is in `image`, `elf_file`, `placement` and `entry`. Whatever
//! the protocol, the tables that a guest finds its processors by are `firmware`'s.
//!
//! The order of the rows is QEMU's for the images that `qemu-system-x86_64 -kernel` takes (Linux by
//! its header, then Multiboot, then PVH), followed by what QEMU does not take: Multiboot 2 and plain
//! ELF. An ELF64 file with a Multiboot header, which QEMU refuses, is loaded as Multiboot.
//!
//! Invariant: whatever the file says, the host allocates no more than `image::MAX_STRUCTURE` at a
//! time for it, nothing panics, and what can't be booted is one sentence.

mod elf;
mod elf_file;
mod entry;
mod error;
mod firmware;
mod flat;
mod image;
mod linux;
mod multiboot;
mod multiboot1;
mod multiboot2;
mod placement;
mod pvh;

use monovisor_core::CpuState;

pub use error::{BootError, Reason};
pub use image::Image;
pub use placement::Owner;

use crate::config::VmConfig;
use crate::memory::GuestRam;

/// What the guest learns of its boot loader's name.
const LOADER_NAME: &str = concat!("monovisor ", env!("CARGO_PKG_VERSION"));

/// An image in memory, ready to run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The bootstrap processor's state at the first instruction.
    pub state: CpuState,
    /// The boot protocol's name.
    pub protocol: &'static str,
    /// Guest-physical address of the first instruction.
    pub entry: u64,
    /// What was added to the addresses that the image's symbols have (position-independent images).
    pub bias: u64,
}

/// One boot protocol.
struct Protocol {
    name: &'static str,
    /// Whether the image asks for this protocol. Cheap, and never an error: a broken image is
    /// refused by `load`, which can say why.
    probe: fn(&Image) -> bool,
    load: fn(&Image, &GuestRam, &VmConfig) -> Result<Start, Reason>,
}

/// What a protocol's `load` gives.
struct Start {
    state: CpuState,
    entry: u64,
    bias: u64,
}

const PROTOCOLS: &[Protocol] = &[
    Protocol { name: "Linux", probe: linux::probe, load: linux::load },
    Protocol { name: "Multiboot", probe: multiboot1::probe, load: multiboot1::load },
    Protocol { name: "PVH", probe: pvh::probe, load: pvh::load },
    Protocol { name: "Multiboot 2", probe: multiboot2::probe, load: multiboot2::load },
    Protocol { name: "ELF", probe: elf::probe, load: elf::load },
];

/// The protocol of an image that [`VmConfig::flat`] places.
const FLAT: Protocol = Protocol { name: "flat", probe: |_| true, load: flat::load };

/// Loads `image` and the modules of `config` into `ram`, which must be as [`GuestRam::new`] made it:
/// what images expect to be zero is not written.
///
/// # Errors
/// Whatever makes the image or a module unusable, as one sentence.
pub fn load(image: &Image, ram: &GuestRam, config: &VmConfig) -> Result<Loaded, BootError> {
    let protocol = match config.flat {
        Some(_) => Some(&FLAT),
        None => PROTOCOLS.iter().find(|protocol| (protocol.probe)(image)),
    };
    let loaded = protocol.ok_or(Reason::UnknownFormat).and_then(|protocol| {
        firmware::write(ram, config.cpus)?;
        let Start { state, entry, bias } = (protocol.load)(image, ram, config)?;
        Ok(Loaded { state, protocol: protocol.name, entry, bias })
    });
    loaded.map_err(|reason| BootError::new(image.path(), reason))
}
