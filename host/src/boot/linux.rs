//! Linux (kernel documentation, "The Linux/x86 Boot Protocol"): a bzImage of protocol 2.10 or later,
//! entered at its 64-bit entry point, or in 32-bit protected mode where it has none, with the zero page's
//! address in RSI. The first module is the initial RAM disk.

use monovisor_core::state::Register;

use super::error::{BootError, Reason};
use super::image::{Image, u16_at, u32_at, u64_at};
use super::placement::{Owner, Placement};
use super::{Start, entry, firmware};
use crate::config::VmConfig;
use crate::memory::GuestRam;
use crate::memory::layout::{self, MemoryKind};

const PROTOCOL: &str = "Linux";
/// The first that tells how much memory a kernel needs.
const OLDEST: u16 = 0x20a;
/// The first with `xloadflags`.
const X_LOAD_FLAGS_SINCE: u16 = 0x20c;
const BOOT_FLAG: u16 = 0xaa55;
const MAGIC: &[u8] = b"HdrS";
const SECTOR: u64 = 512;
/// `type_of_loader` of a loader without a number of its own.
const OTHER_LOADER: u8 = 0xff;
/// `loadflags`: the kernel is loaded at 1 MiB or above.
const LOADED_HIGH: u8 = 1 << 0;
/// `xloadflags`: there is a 64-bit entry point, [`ENTRY_64`] bytes into the kernel.
const KERNEL_64: u16 = 1 << 0;
const ENTRY_64: u64 = 0x200;
/// Where the 32-bit entry point is, which every kernel has.
const ENTRY_32: u64 = 0;

/// Offsets of the setup header's fields, the same in the file and in the zero page.
mod field {
    pub const SETUP_SECTORS: usize = 0x1f1;
    pub const BOOT_FLAG: usize = 0x1fe;
    pub const JUMP_DISPLACEMENT: usize = 0x201;
    pub const MAGIC: usize = 0x202;
    pub const VERSION: usize = 0x206;
    pub const TYPE_OF_LOADER: usize = 0x210;
    pub const LOAD_FLAGS: usize = 0x211;
    pub const RAMDISK_IMAGE: usize = 0x218;
    pub const RAMDISK_SIZE: usize = 0x21c;
    pub const COMMAND_LINE: usize = 0x228;
    pub const INITRD_ADDRESS_MAX: usize = 0x22c;
    pub const KERNEL_ALIGNMENT: usize = 0x230;
    pub const RELOCATABLE: usize = 0x234;
    pub const X_LOAD_FLAGS: usize = 0x236;
    pub const COMMAND_LINE_SIZE: usize = 0x238;
    pub const PREFERRED_ADDRESS: usize = 0x258;
    pub const INIT_SIZE: usize = 0x260;
    /// Where the fields that are read here end.
    pub const END: usize = 0x264;
}

/// Offsets in the zero page only.
const ACPI_ROOT_POINTER: usize = 0x70;
const E820_ENTRIES: usize = 0x1e8;
const E820_TABLE: usize = 0x2d0;
const E820_ENTRY_BYTES: usize = 20;
const ZERO_PAGE_BYTES: usize = 4096;

pub fn probe(image: &Image) -> bool {
    let head = image.head();
    head.get(field::MAGIC..).is_some_and(|rest| rest.starts_with(MAGIC))
        && u16_at(head, field::BOOT_FLAG) == Some(BOOT_FLAG)
}

pub fn load(image: &Image, ram: &GuestRam, config: &VmConfig) -> Result<Start, Reason> {
    let header = image.read(Owner::BootHeader, 0, field::END as u64)?;
    let kernel = Kernel::parse(&header)?;
    let mut placement = Placement::new(ram);
    let start = kernel.place(&placement)?;
    let file_bytes =
        image.length().checked_sub(kernel.offset).filter(|&bytes| bytes > kernel.entry);
    let file_bytes = file_bytes.ok_or(Reason::Truncated {
        what: Owner::Kernel,
        end: kernel.offset + kernel.entry + 1,
        length: image.length(),
    })?;
    let memory_bytes = kernel.init_bytes.max(file_bytes);
    placement.load(image, Owner::Kernel, (kernel.offset, file_bytes), (start, memory_bytes))?;

    let mut zero_page = vec![0; ZERO_PAGE_BYTES];
    let header_end = field::MAGIC + usize::from(header[field::JUMP_DISPLACEMENT]);
    let setup = image.head().get(field::SETUP_SECTORS..header_end);
    let setup = setup.ok_or(bad("it is longer than its file"))?;
    zero_page[field::SETUP_SECTORS..header_end].copy_from_slice(setup);
    zero_page[field::TYPE_OF_LOADER] = OTHER_LOADER;

    let length = config.command_line.len();
    if length > kernel.command_line_limit {
        return Err(Reason::CommandLineTooLong { length, limit: kernel.command_line_limit });
    }
    let line = placement.put_string("command line", &config.command_line)?;
    set_u32(&mut zero_page, field::COMMAND_LINE, line);
    let (ramdisk, ramdisk_bytes) = load_ramdisk(&mut placement, config, kernel.initrd_max)?;
    set_u32(&mut zero_page, field::RAMDISK_IMAGE, ramdisk);
    set_u32(&mut zero_page, field::RAMDISK_SIZE, ramdisk_bytes);
    set_u32(&mut zero_page, ACPI_ROOT_POINTER, firmware::ROOT_POINTER);
    write_memory_map(&mut zero_page, &placement);
    let zero_page = placement.put_info("zero page", &zero_page)?;

    let entry = start + kernel.entry;
    let mut state = if kernel.entry == ENTRY_64 {
        entry::long(ram, entry)
    } else {
        entry::protected(ram, entry)
    }?;
    state.gpr[Register::Rsi] = zero_page;
    state.gpr[Register::Rsp] = layout::BOOT_STACK.end;
    Ok(Start { state, entry, bias: 0 })
}

/// What the setup header says.
struct Kernel {
    /// Where the part that runs in memory begins in the file.
    offset: u64,
    /// Where it is entered, from its beginning: [`ENTRY_64`] or [`ENTRY_32`].
    entry: u64,
    preferred: u64,
    alignment: u64,
    relocatable: bool,
    init_bytes: u64,
    initrd_max: u64,
    command_line_limit: usize,
}

impl Kernel {
    /// `header` has [`field::END`] bytes.
    fn parse(header: &[u8]) -> Result<Self, Reason> {
        let word = |offset| u64::from(u32_at(header, offset).unwrap_or_default());
        let version = u16_at(header, field::VERSION).unwrap_or_default();
        if version < OLDEST {
            return Err(Reason::LinuxTooOld { version });
        }
        if header[field::LOAD_FLAGS] & LOADED_HIGH == 0 {
            return Err(bad("it is a zImage, to be loaded below 1 MiB"));
        }
        let x_load_flags = u16_at(header, field::X_LOAD_FLAGS).unwrap_or_default();
        let has_64 = version >= X_LOAD_FLAGS_SINCE && x_load_flags & KERNEL_64 != 0;
        // 0 means 4, for the sake of very old kernels.
        let sectors = match header[field::SETUP_SECTORS] {
            0 => 4,
            sectors => u64::from(sectors),
        };
        Ok(Self {
            offset: (sectors + 1) * SECTOR,
            entry: if has_64 { ENTRY_64 } else { ENTRY_32 },
            preferred: u64_at(header, field::PREFERRED_ADDRESS).unwrap_or_default(),
            alignment: word(field::KERNEL_ALIGNMENT).max(1),
            relocatable: header[field::RELOCATABLE] != 0,
            init_bytes: word(field::INIT_SIZE),
            initrd_max: word(field::INITRD_ADDRESS_MAX),
            command_line_limit: word(field::COMMAND_LINE_SIZE) as usize,
        })
    }

    /// Where the kernel is loaded: where it prefers, or at the lowest place that a relocatable one
    /// can have.
    fn place(&self, placement: &Placement) -> Result<u64, Reason> {
        if !self.relocatable || placement.is_free(self.preferred, self.init_bytes) {
            return Ok(self.preferred);
        }
        let lowest = layout::EXTENDED_START.checked_next_multiple_of(self.alignment);
        lowest.ok_or(bad("its kernel_alignment is impossible"))
    }
}

/// Loads the only module as high as the kernel can reach it, and returns its address and length.
fn load_ramdisk(
    placement: &mut Placement,
    config: &VmConfig,
    address_max: u64,
) -> Result<(u64, u64), Reason> {
    let module = match config.modules.as_slice() {
        [] => return Ok((0, 0)),
        [module] => module,
        modules => return Err(Reason::LinuxModules(modules.len())),
    };
    let blame = |error| Reason::Module(Box::new(error));
    let file = Image::open_module(&module.path).map_err(blame)?;
    let length = file.length();
    let top = placement.ram().low_end().min(address_max + 1);
    // One that is too large for RAM is placed at 0, where it cannot be either.
    let start = top.saturating_sub(length) & !0xfff;
    placement
        .load(&file, Owner::Module(0), (0, length), (start, length))
        .map_err(|reason| blame(BootError::new(&module.path, reason)))?;
    Ok((start, length))
}

fn write_memory_map(zero_page: &mut [u8], placement: &Placement) {
    let map = placement.memory_map();
    zero_page[E820_ENTRIES] = map.len() as u8;
    for (index, (range, kind)) in map.iter().enumerate() {
        let kind: u32 = match kind {
            MemoryKind::Available => 1,
            MemoryKind::Reserved => 2,
        };
        let entry = &mut zero_page[E820_TABLE + index * E820_ENTRY_BYTES..][..E820_ENTRY_BYTES];
        entry[..8].copy_from_slice(&range.start.to_le_bytes());
        entry[8..16].copy_from_slice(&(range.end - range.start).to_le_bytes());
        entry[16..].copy_from_slice(&kind.to_le_bytes());
    }
}

/// `value` is an address or length below 4 GiB.
fn set_u32(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 4].copy_from_slice(&(value as u32).to_le_bytes());
}

fn bad(what: &'static str) -> Reason {
    Reason::BadHeader { protocol: PROTOCOL, what }
}
