//! What a machine is made of: [`VmConfig`], and how its values are written (`128M`, `500ms`,
//! `0x7c00:real`). Where the values come from (flags, environment, file) is [`settings`].
//!
//! Invariant: a [`VmConfig`] out of [`Settings::resolve`](settings::Settings::resolve) is in range;
//! one that an embedder fills in is checked again where it is used.

pub mod settings;
mod values;

use std::path::PathBuf;
use std::time::Duration;

pub use values::{ByteSize, TimeSpan};

/// A machine and how it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmConfig {
    /// RAM in bytes, a multiple of 4096.
    pub memory_bytes: u64,
    /// How many processors there are, 1 to [`layout::MAX_CPUS`](crate::memory::layout::MAX_CPUS).
    pub cpus: u32,
    /// What executes the guest.
    pub accel: Accel,
    /// Which processor the guest is told of.
    pub cpu: CpuModel,
    /// The image to boot.
    pub image: PathBuf,
    /// The guest's command line.
    pub command_line: String,
    /// Files handed to the guest; the first is the initial RAM disk of a Linux kernel.
    pub modules: Vec<Module>,
    /// Disks, in the order in which the guest finds them.
    pub disks: Vec<DiskImage>,
    /// How long the guest may run.
    pub timeout: Option<Duration>,
    /// How many instructions the guest may execute.
    pub max_instructions: Option<u64>,
    /// Whether time is the number of instructions retired, so that runs repeat exactly.
    pub deterministic: bool,
    /// How a write to the debug-exit port becomes an exit code.
    pub debug_exit: DebugExit,
    /// Where the serial port leads.
    pub serial: SerialTarget,
    /// Whether a reset starts the guest anew instead of ending the run.
    pub reboot: bool,
    /// Where a JSON report of the run goes.
    pub json: Option<PathBuf>,
    /// How much is told on standard error.
    pub verbose: u8,
    /// How an image without a format is placed and entered; no format is looked for then.
    pub flat: Option<Flat>,
}

impl Default for VmConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            cpus: 1,
            accel: Accel::Auto,
            cpu: CpuModel::Host,
            image: PathBuf::new(),
            command_line: String::new(),
            modules: Vec::new(),
            disks: Vec::new(),
            timeout: None,
            max_instructions: None,
            deterministic: false,
            debug_exit: DebugExit::Qemu,
            serial: SerialTarget::Stdio,
            reboot: false,
            json: None,
            verbose: 0,
            flat: None,
        }
    }
}

/// What executes the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accel {
    /// KVM where the host has it, the interpreter elsewhere.
    #[default]
    Auto,
    /// The interpreter.
    Interp,
    /// KVM, or an error.
    Kvm,
}

/// Which processor the guest is told of by CPUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CpuModel {
    /// One with everything that the engine has on this host.
    #[default]
    Host,
    /// One with what every engine has on every host, so that guests run alike anywhere.
    Baseline,
}

/// A file handed to the guest beside the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The file.
    pub path: PathBuf,
    /// The module's own command line.
    pub command_line: String,
}

/// A raw disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskImage {
    /// The file or block device.
    pub path: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// How a write to the debug-exit port becomes an exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugExit {
    /// As QEMU's `isa-debug-exit`: `(value << 1) | 1`.
    #[default]
    Qemu,
    /// The value itself.
    Raw,
}

/// Where the serial port leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SerialTarget {
    /// Standard output, and standard input.
    #[default]
    Stdio,
    /// Nowhere.
    Null,
    /// A file that is created or truncated.
    File(PathBuf),
}

/// How an image without a format is placed and entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flat {
    /// Guest-physical address of the image's first byte.
    pub load_address: u64,
    /// Guest-physical address of the first instruction.
    pub entry: u64,
    /// The processor's mode at entry.
    pub mode: EntryMode,
}

/// The processor's mode at a flat image's entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryMode {
    /// Real mode: CS:IP is `0:address` below 64 KiB, `address >> 4:address & 15` above.
    #[default]
    Real,
    /// 32-bit protected mode with flat segments, paging off.
    Protected,
    /// 64-bit mode with the first 4 GiB mapped to themselves.
    Long,
}
