//! What lies where in guest memory while an image is loaded: segments, modules and boot structures,
//! none on top of another and all in RAM.
//!
//! Invariant: every byte that a loader writes belongs to a range that was claimed before.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::error::{BootError, Reason};
use super::image::Image;
use crate::config::VmConfig;
use crate::memory::{GuestRam, MemoryError, layout};

/// Modules start on page boundaries, as Multiboot images may ask.
const MODULE_ALIGNMENT: u64 = 4096;

/// Whose range or bytes something is; names them in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A segment, by its index among the program headers.
    Segment(usize),
    /// The contents of an image without segments.
    Contents,
    /// A section, by its index.
    Section(usize),
    /// The room that a Linux kernel needs to unpack itself.
    Kernel,
    /// A module, by its index.
    Module(usize),
    /// What monovisor leaves for the guest.
    BootStructures,
    /// The tables that firmware would leave.
    FirmwareTables,
    /// The stack that monovisor provides.
    Stack,
    /// The ELF header.
    ElfHeader,
    /// The table of program headers.
    ProgramHeaders,
    /// The table of section headers.
    SectionHeaders,
    /// The relocation table.
    Relocations,
    /// The header of a boot protocol.
    BootHeader,
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Segment(index) => return write!(formatter, "segment {index}"),
            Self::Section(index) => return write!(formatter, "section {index}"),
            Self::Module(index) => return write!(formatter, "module {index}"),
            Self::Contents => "contents",
            Self::Kernel => "kernel",
            Self::BootStructures => "boot structures",
            Self::FirmwareTables => "firmware tables",
            Self::Stack => "initial stack",
            Self::ElfHeader => "ELF header",
            Self::ProgramHeaders => "program header table",
            Self::SectionHeaders => "section header table",
            Self::Relocations => "relocation table",
            Self::BootHeader => "boot header",
        };
        formatter.write_str(name)
    }
}

/// A module in guest memory.
pub struct PlacedModule<'a> {
    /// Where it is.
    pub range: Range<u64>,
    /// As it was configured.
    pub source: &'a crate::config::Module,
}

/// Claimed ranges, and the RAM they are in.
pub struct Placement<'a> {
    ram: &'a GuestRam,
    claimed: BTreeMap<u64, (u64, Owner)>,
    info: Range<u64>,
    strings: Range<u64>,
    reserved_from: u64,
}

impl<'a> Placement<'a> {
    /// Nothing but the boot structures has a place yet.
    pub fn new(ram: &'a GuestRam) -> Self {
        let area = layout::BOOT_AREA;
        let tables = layout::FIRMWARE_TABLES;
        Self {
            ram,
            claimed: BTreeMap::from([
                (area.start, (area.end, Owner::BootStructures)),
                (tables.start, (tables.end, Owner::FirmwareTables)),
            ]),
            info: layout::BOOT_INFO,
            strings: layout::BOOT_STRINGS,
            reserved_from: area.start,
        }
    }

    /// Nothing has a place yet, not even boot structures: for images that get none.
    pub fn bare(ram: &'a GuestRam) -> Self {
        Self { claimed: BTreeMap::new(), ..Self::new(ram) }
    }

    /// The RAM.
    pub fn ram(&self) -> &'a GuestRam {
        self.ram
    }

    /// Keeps the initial stack's place free, and out of the memory map.
    pub fn claim_stack(&mut self) -> Result<(), Reason> {
        let stack = layout::BOOT_STACK;
        self.reserved_from = stack.start;
        self.claim(Owner::Stack, stack.start, stack.end - stack.start)
    }

    /// Makes `address..address + length` the place of `what`.
    pub fn claim(&mut self, what: Owner, address: u64, length: u64) -> Result<(), Reason> {
        if length == 0 {
            return Ok(());
        }
        let end = address.checked_add(length).ok_or(Reason::Wraps { what, address, length })?;
        let range = address..end;
        if !self.ram.contains(address, length) {
            return Err(Reason::OutsideRam { what, range, ram: self.ram.size_bytes() });
        }
        if let Some((other_range, other)) = self.occupant(&range) {
            return Err(Reason::Overlap { what, range, other, other_range });
        }
        self.claimed.insert(address, (end, what));
        Ok(())
    }

    /// Whether `what` could be claimed.
    pub fn is_free(&self, address: u64, length: u64) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        self.ram.contains(address, length) && self.occupant(&(address..end)).is_none()
    }

    fn occupant(&self, range: &Range<u64>) -> Option<(Range<u64>, Owner)> {
        // Claimed ranges are disjoint: only the last that starts before the end can overlap.
        let (&start, &(end, owner)) = self.claimed.range(..range.end).next_back()?;
        (end > range.start).then_some((start..end, owner))
    }

    /// Claims a range of `memory_bytes` and fills its beginning with `file_bytes` of `image` from
    /// `offset`. The rest is zero already.
    pub fn load(
        &mut self,
        image: &Image,
        what: Owner,
        (offset, file_bytes): (u64, u64),
        (address, memory_bytes): (u64, u64),
    ) -> Result<(), Reason> {
        if file_bytes > memory_bytes {
            return Err(Reason::FileExceedsMemory { what, file: file_bytes, memory: memory_bytes });
        }
        self.claim(what, address, memory_bytes)?;
        image.copy_to(self.ram, what, address, offset, file_bytes)
    }

    /// Where what was loaded below the device gap ends; at least at 1 MiB.
    pub fn end(&self) -> u64 {
        let below_gap = self.claimed.range(..layout::GAP_START).next_back();
        below_gap.map_or(0, |(_, &(end, _))| end).max(layout::EXTENDED_START)
    }

    /// Loads the configured modules, one after another behind the image.
    pub fn load_modules<'c>(
        &mut self,
        config: &'c VmConfig,
    ) -> Result<Vec<PlacedModule<'c>>, Reason> {
        let mut placed = Vec::with_capacity(config.modules.len());
        for (index, source) in config.modules.iter().enumerate() {
            let module = |error| Reason::Module(Box::new(error));
            let file = Image::open_module(&source.path).map_err(module)?;
            let start = self.end().next_multiple_of(MODULE_ALIGNMENT);
            let length = file.length();
            self.load(&file, Owner::Module(index), (0, length), (start, length))
                .map_err(|reason| module(BootError::new(&source.path, reason)))?;
            placed.push(PlacedModule { range: start..start + length, source });
        }
        Ok(placed)
    }

    /// The memory map for the guest.
    pub fn memory_map(&self) -> Vec<(Range<u64>, layout::MemoryKind)> {
        layout::memory_map(self.ram.size_bytes(), self.reserved_from)
    }

    /// Puts a structure among the boot structures, 8-byte aligned, and tells where.
    pub fn put_info(&mut self, what: &'static str, bytes: &[u8]) -> Result<u64, Reason> {
        put(self.ram, &mut self.info, what, bytes)
    }

    /// Puts a NUL-terminated string among the boot structures and tells where.
    pub fn put_string(&mut self, what: &'static str, string: &str) -> Result<u64, Reason> {
        let mut bytes = Vec::with_capacity(string.len() + 1);
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
        put(self.ram, &mut self.strings, what, &bytes)
    }
}

fn put(
    ram: &GuestRam,
    area: &mut Range<u64>,
    what: &'static str,
    bytes: &[u8],
) -> Result<u64, Reason> {
    let address = area.start.next_multiple_of(8);
    let end = address + bytes.len() as u64;
    if end > area.end {
        return Err(Reason::NoRoom { what });
    }
    ram.write(address, bytes).map_err(|error: MemoryError| error)?;
    area.start = end;
    Ok(address)
}
