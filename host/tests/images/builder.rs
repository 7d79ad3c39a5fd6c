//! Small images, built byte by byte so that tests can damage them.

use monovisor::boot::{self, BootError, Image, Loaded};
use monovisor::config::VmConfig;
use monovisor::memory::GuestRam;

/// Where the images here are linked.
pub const BASE: u64 = 0x10_0000;

/// ELF's identification and types, as far as the tests name them.
pub const EM_386: u16 = 3;
pub const EM_X86_64: u16 = 62;
pub const ET_EXEC: u16 = 2;
pub const ET_DYN: u16 = 3;
pub const PT_LOAD: u32 = 1;
pub const PT_DYNAMIC: u32 = 2;
pub const PT_INTERP: u32 = 3;
pub const PT_NOTE: u32 = 4;

/// A program header and its contents.
#[derive(Clone)]
pub struct Segment {
    pub kind: u32,
    pub virtual_address: u64,
    pub physical_address: u64,
    pub contents: Vec<u8>,
    pub memory_bytes: u64,
}

impl Segment {
    pub fn new(kind: u32, address: u64, contents: &[u8]) -> Self {
        Self {
            kind,
            virtual_address: address,
            physical_address: address,
            contents: contents.to_vec(),
            memory_bytes: contents.len() as u64,
        }
    }
}

/// An ELF file of either class.
pub struct Elf {
    pub is_64: bool,
    pub machine: u16,
    pub kind: u16,
    pub entry: u64,
    pub segments: Vec<Segment>,
}

impl Elf {
    pub fn new_64(segments: Vec<Segment>) -> Self {
        Self { is_64: true, machine: EM_X86_64, kind: ET_EXEC, entry: BASE, segments }
    }

    pub fn new_32(segments: Vec<Segment>) -> Self {
        Self { is_64: false, machine: EM_386, ..Self::new_64(segments) }
    }

    /// The file: header, program headers, contents.
    pub fn build(&self) -> Vec<u8> {
        let (header_bytes, entry_bytes) = if self.is_64 { (64, 56) } else { (52, 32) };
        let mut file = Vec::new();
        let class = if self.is_64 { 2 } else { 1 };
        file.extend([0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        put16(&mut file, self.kind);
        put16(&mut file, self.machine);
        put32(&mut file, 1);
        self.word(&mut file, self.entry);
        self.word(&mut file, header_bytes);
        self.word(&mut file, 0);
        put32(&mut file, 0);
        for half in [header_bytes as u16, entry_bytes, self.segments.len() as u16, 0, 0, 0] {
            put16(&mut file, half);
        }
        let mut offset = header_bytes + u64::from(entry_bytes) * self.segments.len() as u64;
        for segment in &self.segments {
            self.program_header(&mut file, segment, offset);
            offset += segment.contents.len() as u64;
        }
        for segment in &self.segments {
            file.extend(&segment.contents);
        }
        file
    }

    fn program_header(&self, file: &mut Vec<u8>, segment: &Segment, offset: u64) {
        let (flags, alignment) = (7, 4);
        put32(file, segment.kind);
        if self.is_64 {
            put32(file, flags);
        }
        self.word(file, offset);
        self.word(file, segment.virtual_address);
        self.word(file, segment.physical_address);
        self.word(file, segment.contents.len() as u64);
        self.word(file, segment.memory_bytes);
        if !self.is_64 {
            put32(file, flags);
        }
        self.word(file, alignment);
    }

    fn word(&self, file: &mut Vec<u8>, value: u64) {
        if self.is_64 { put64(file, value) } else { put32(file, value as u32) }
    }
}

/// One loadable segment of recognisable bytes at [`BASE`], with room behind it.
pub fn code() -> Segment {
    Segment { memory_bytes: 4096, ..Segment::new(PT_LOAD, BASE, b"\xf4\xeb\xfdmonovisor code") }
}

/// A Multiboot 1 header with `flags` and address `fields`.
pub fn multiboot1_header(flags: u32, fields: &[u32]) -> Vec<u8> {
    let magic = 0x1bad_b002u32;
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(flags);
    words(&[&[magic, flags, checksum], fields].concat())
}

/// A Multiboot 2 header with `tags`: type, flags and content each.
pub fn multiboot2_header(tags: &[(u16, u16, &[u32])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, flags, content) in tags {
        put16(&mut body, *kind);
        put16(&mut body, *flags);
        put32(&mut body, 8 + 4 * content.len() as u32);
        body.extend(words(content));
        body.resize(body.len().next_multiple_of(8), 0);
    }
    body.extend(words(&[0, 8]));
    let (magic, architecture, length) = (0xe852_50d6u32, 0, 16 + body.len() as u32);
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(length);
    [words(&[magic, architecture, length, checksum]), body].concat()
}

/// The note that makes an ELF file a PVH image.
pub fn pvh_note(entry: u32) -> Segment {
    let (name_bytes, content_bytes, kind) = (4, 4, 18);
    let mut note = words(&[name_bytes, content_bytes, kind]);
    note.extend(b"Xen\0");
    put32(&mut note, entry);
    Segment::new(PT_NOTE, 0, &note)
}

/// A Linux kernel of 4 KiB behind one sector of set-up code.
pub fn linux() -> Vec<u8> {
    let mut file = vec![0; 1024];
    file[0x1f1] = 1;
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x200..0x202].copy_from_slice(&[0xeb, 0x66]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    file[0x211] = 1;
    file[0x22c..0x230].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    file[0x230..0x234].copy_from_slice(&0x20_0000u32.to_le_bytes());
    file[0x234] = 1;
    file[0x236..0x238].copy_from_slice(&1u16.to_le_bytes());
    file[0x238..0x23c].copy_from_slice(&2047u32.to_le_bytes());
    file[0x258..0x260].copy_from_slice(&0x100_0000u64.to_le_bytes());
    file[0x260..0x264].copy_from_slice(&0x1_0000u32.to_le_bytes());
    file.extend(b"linux".repeat(1000));
    file
}

pub fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn put16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend(value.to_le_bytes());
}

pub fn put32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend(value.to_le_bytes());
}

pub fn put64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend(value.to_le_bytes());
}

/// A configuration with a command line.
pub fn config() -> VmConfig {
    VmConfig { command_line: "one two=2".to_owned(), memory_bytes: 64 << 20, ..VmConfig::default() }
}

/// Loads `file` into fresh RAM.
pub fn load(file: Vec<u8>, config: &VmConfig) -> Result<(Loaded, GuestRam), BootError> {
    let ram = GuestRam::new(config.memory_bytes).expect("the host has that much address space");
    let loaded = boot::load(&Image::from_bytes("image", file), &ram, config)?;
    Ok((loaded, ram))
}

pub fn read<const LENGTH: usize>(ram: &GuestRam, address: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    ram.read(address, &mut bytes).expect("the address is in RAM");
    bytes
}

pub fn read32(ram: &GuestRam, address: u64) -> u32 {
    u32::from_le_bytes(read(ram, address))
}

pub fn read64(ram: &GuestRam, address: u64) -> u64 {
    u64::from_le_bytes(read(ram, address))
}

/// The NUL-terminated string at `address`.
pub fn read_string(ram: &GuestRam, address: u64) -> String {
    let bytes = (address..).map(|at| read::<1>(ram, at)[0]).take_while(|&byte| byte != 0).collect();
    String::from_utf8(bytes).expect("strings are UTF-8")
}
