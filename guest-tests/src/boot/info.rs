//! What the loader said, whichever protocol it spoke: command line, modules, memory map.
//!
//! It is copied into the image's own storage before the heap is made, because a loader puts its
//! tables wherever it finds room, the heap's place included.

use core::ffi::CStr;
use core::{slice, str};
use spin::Once;

/// How the guest was entered; the values are what the entry finds in EAX, or the runtime's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Protocol {
    /// Xen's PVH: 32-bit, EBX points to `hvm_start_info`. The tag is that structure's magic.
    Pvh = 0x336e_c578,
    /// Multiboot 1: 32-bit, EBX points to its information structure.
    Multiboot = 0x2bad_b002,
    /// Multiboot 2: 32-bit, EBX points to tags.
    Multiboot2 = 0x36d7_6289,
    /// A plain ELF image, entered in 64-bit mode; nothing is said.
    Elf = 0x464c_457f,
}

/// What a range of the memory map is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Free for use, apart from what the loader put there.
    Ram,
    /// Anything else; the number is E820's.
    Other(u32),
}

/// One entry of the memory map; `size` in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// Physical address of the first byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// What it is for.
    pub kind: MemoryKind,
}

impl MemoryRange {
    /// The physical address behind the last byte.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// A file that the loader put into memory beside the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Physical address of the first byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    command_line: Text,
}

impl Module {
    /// The module's own command line, without the terminating zero.
    pub fn command_line(&self) -> &str {
        self.command_line.as_str()
    }

    /// The module's bytes.
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: the loader put the module there, and the heap avoids it.
        unsafe { slice::from_raw_parts(self.start as *const u8, self.size as usize) }
    }
}

/// All that the loader said.
#[derive(Debug)]
pub struct BootInfo {
    /// How the guest was entered.
    pub protocol: Protocol,
    command_line: Text,
    modules: List<Module, 8>,
    memory: List<MemoryRange, 32>,
}

impl BootInfo {
    /// The guest's command line; empty if there is none.
    pub fn command_line(&self) -> &str {
        self.command_line.as_str()
    }

    /// The files loaded beside the guest.
    pub fn modules(&self) -> &[Module] {
        self.modules.as_slice()
    }

    /// The memory map, in the loader's order.
    pub fn memory(&self) -> &[MemoryRange] {
        self.memory.as_slice()
    }
}

static BOOT_INFO: Once<BootInfo> = Once::new();

/// What the loader said; known before `main` begins.
pub fn boot_info() -> &'static BootInfo {
    BOOT_INFO.get().expect("the runtime reads it first")
}

/// A string with room for a command line; what is longer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Text {
    bytes: [u8; 256],
    length: usize,
}

impl Text {
    const EMPTY: Self = Self { bytes: [0; 256], length: 0 };

    /// # Safety
    /// `address` is 0 or that of a string that ends in a zero byte.
    unsafe fn at(address: u64) -> Self {
        if address == 0 {
            return Self::EMPTY;
        }
        // SAFETY: upheld by the caller.
        let bytes = unsafe { CStr::from_ptr(address as *const _) }.to_bytes();
        let mut text = Self::EMPTY;
        text.length = bytes.len().min(text.bytes.len());
        text.bytes[..text.length].copy_from_slice(&bytes[..text.length]);
        text
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or("not UTF-8")
    }
}

/// A list with a fixed capacity: it is filled before there is a heap.
#[derive(Debug)]
struct List<T, const N: usize> {
    items: [T; N],
    length: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    const fn filled_with(item: T) -> Self {
        Self { items: [item; N], length: 0 }
    }

    fn push(&mut self, item: T) {
        assert!(self.length < N, "the loader's list has more than {N} entries");
        self.items[self.length] = item;
        self.length += 1;
    }

    fn as_slice(&self) -> &[T] {
        &self.items[..self.length]
    }
}

impl BootInfo {
    fn new(protocol: Protocol) -> Self {
        let nowhere = Module { start: 0, size: 0, command_line: Text::EMPTY };
        let nothing = MemoryRange { start: 0, size: 0, kind: MemoryKind::Other(0) };
        Self {
            protocol,
            command_line: Text::EMPTY,
            modules: List::filled_with(nowhere),
            memory: List::filled_with(nothing),
        }
    }

    fn push_memory(&mut self, start: u64, size: u64, kind: u32) {
        let kind = if kind == 1 { MemoryKind::Ram } else { MemoryKind::Other(kind) };
        self.memory.push(MemoryRange { start, size, kind });
    }

    /// # Safety
    /// `command_line` is 0 or the address of a string.
    unsafe fn push_module(&mut self, start: u64, size: u64, command_line: u64) {
        // SAFETY: upheld by the caller.
        let command_line = unsafe { Text::at(command_line) };
        self.modules.push(Module { start, size, command_line });
    }

    /// Xen's public/arch-x86/hvm/start_info.h.
    ///
    /// # Safety
    /// `info` is the address that PVH left in EBX.
    unsafe fn read_pvh(&mut self, info: u64) {
        // SAFETY: the structure and what it points to lie in memory that nothing has written to.
        unsafe {
            assert_eq!(word(info), Protocol::Pvh as u32, "hvm_start_info without its magic");
            self.command_line = Text::at(long(info + 24));
            let modules = long(info + 16);
            for module in (0..u64::from(word(info + 12))).map(|index| modules + index * 32) {
                self.push_module(long(module), long(module + 8), long(module + 16));
            }
            // The memory map came with version 1.
            if word(info + 4) >= 1 {
                let memory = long(info + 40);
                for range in (0..u64::from(word(info + 48))).map(|index| memory + index * 24) {
                    self.push_memory(long(range), long(range + 8), word(range + 16));
                }
            }
        }
    }

    /// Multiboot Specification, Boot information format.
    ///
    /// # Safety
    /// `info` is the address that Multiboot left in EBX.
    unsafe fn read_multiboot(&mut self, info: u64) {
        // SAFETY: the structure and what it points to lie in memory that nothing has written to.
        unsafe {
            let flags = word(info);
            if flags & 1 << 2 != 0 {
                self.command_line = Text::at(word(info + 16).into());
            }
            if flags & 1 << 3 != 0 {
                let modules = u64::from(word(info + 24));
                for module in (0..u64::from(word(info + 20))).map(|index| modules + index * 16) {
                    let (start, end) = (word(module).into(), u64::from(word(module + 4)));
                    self.push_module(start, end - start, word(module + 8).into());
                }
            }
            if flags & 1 << 6 != 0 {
                let mut range = u64::from(word(info + 48));
                let end = range + u64::from(word(info + 44));
                while range < end {
                    self.push_memory(long(range + 4), long(range + 12), word(range + 20));
                    // The size of an entry does not count the size itself.
                    range += u64::from(word(range)) + 4;
                }
            }
        }
    }

    /// Multiboot 2 Specification, Boot information: tags of type 1, 3 and 6.
    ///
    /// # Safety
    /// `info` is the address that Multiboot 2 left in EBX.
    unsafe fn read_multiboot2(&mut self, info: u64) {
        // SAFETY: the tags lie in memory that nothing has written to.
        unsafe {
            let end = info + u64::from(word(info));
            let mut tag = info + 8;
            while tag < end && word(tag) != 0 {
                let size = u64::from(word(tag + 4));
                match word(tag) {
                    1 => self.command_line = Text::at(tag + 8),
                    3 => {
                        let (start, end) = (word(tag + 8).into(), u64::from(word(tag + 12)));
                        self.push_module(start, end - start, tag + 16);
                    }
                    6 => {
                        let step = u64::from(word(tag + 8)) as usize;
                        for range in (tag + 16..tag + size).step_by(step) {
                            self.push_memory(long(range), long(range + 8), word(range + 16));
                        }
                    }
                    _ => {}
                }
                tag += size.next_multiple_of(8);
            }
        }
    }
}

/// Reads the loader's information.
///
/// # Safety
/// `magic` and `address` are what the loader left for the guest.
pub(super) unsafe fn init(magic: u32, address: u32) {
    let address = u64::from(address);
    BOOT_INFO.call_once(|| {
        let by = |protocol| (magic == protocol as u32).then(|| BootInfo::new(protocol));
        // SAFETY: upheld by the caller.
        unsafe {
            if let Some(mut info) = by(Protocol::Pvh) {
                info.read_pvh(address);
                info
            } else if let Some(mut info) = by(Protocol::Multiboot) {
                info.read_multiboot(address);
                info
            } else if let Some(mut info) = by(Protocol::Multiboot2) {
                info.read_multiboot2(address);
                info
            } else if let Some(info) = by(Protocol::Elf) {
                info
            } else {
                panic!("entered by an unknown protocol: EAX is {magic:#x}")
            }
        }
    });
}

/// # Safety
/// Four bytes can be read at `address`.
unsafe fn word(address: u64) -> u32 {
    // SAFETY: upheld by the caller.
    unsafe { (address as *const u32).read_unaligned() }
}

/// # Safety
/// Eight bytes can be read at `address`.
unsafe fn long(address: u64) -> u64 {
    // SAFETY: upheld by the caller.
    unsafe { (address as *const u64).read_unaligned() }
}
