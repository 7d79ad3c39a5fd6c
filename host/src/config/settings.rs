//! Where a configuration comes from. [`Settings`] is one table for all three sources: clap reads
//! flags and, where a flag is missing, the environment; serde reads the file; every value is
//! optional, and [`Settings::or`] lets the higher source win.
//!
//! Invariant: a key that nobody knows, in the file or in the environment, is an error, so that a
//! misspelt one can't be overlooked.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::{Deserialize, Deserializer};

use super::{
    Accel, ByteSize, CpuModel, DebugExit, DiskImage, Flat, Module, SerialTarget, TimeSpan, VmConfig,
};
use crate::memory::layout;

/// The file that is read if it is in the current folder and `--config` names no other.
pub const DEFAULT_FILE: &str = "monovisor.toml";

/// What all environment variables for monovisor begin with.
const ENVIRONMENT_PREFIX: &str = "MONOVISOR_";

/// A configuration file is a page of text; what is longer is something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file can't be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The configuration file has an unknown key or a value that is none.
    #[error("the configuration file {} is wrong: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        message: String,
    },
    /// An environment variable with our prefix that means nothing.
    #[error(
        "the environment variable {0} is unknown; see `monovisor run --help` for those there are"
    )]
    UnknownVariable(String),
    /// RAM out of bounds.
    #[error(
        "{bytes} bytes of memory are not possible; choose a multiple of 4K from {}M to {}G",
        layout::MIN_RAM_BYTES >> 20, layout::MAX_RAM_BYTES >> 30
    )]
    Memory {
        /// What was asked for.
        bytes: u64,
    },
    /// No processor, or more than have names.
    #[error("{cpus} processors are not possible; choose 1 to {}", layout::MAX_CPUS)]
    Cpus {
        /// What was asked for.
        cpus: u32,
    },
    /// More disks than there are places for.
    #[error("{count} disks are too many; there are places for {}", layout::VIRTIO_IRQS.len())]
    Disks {
        /// How many were asked for.
        count: usize,
    },
    /// A command line that the guest could not read.
    #[error("the {0} contains a NUL byte or is not UTF-8, so a guest can't be given it")]
    CommandLine(&'static str),
}

/// Everything that can be configured; what is `None` or empty is left to the next source.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// RAM of the guest [default: 128M]
    #[arg(long, short = 'm', value_name = "SIZE", env = "MONOVISOR_MEMORY")]
    pub memory: Option<ByteSize>,
    /// How many processors the guest has [default: 1]
    #[arg(long, value_name = "COUNT", env = "MONOVISOR_CPUS")]
    pub cpus: Option<u32>,
    /// What executes the guest: auto, interp or kvm [default: auto]
    #[arg(long, value_name = "ENGINE", env = "MONOVISOR_ACCEL")]
    pub accel: Option<Accel>,
    /// The processor that CPUID tells of: host (all that the engine has here) or baseline (what every
    /// engine has everywhere) [default: host]
    #[arg(long, value_name = "MODEL", env = "MONOVISOR_CPU")]
    pub cpu: Option<CpuModel>,
    /// The guest's command line; arguments after `--` are added to it
    #[arg(long, value_name = "TEXT", env = "MONOVISOR_APPEND", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// A file for the guest, with its own arguments after a space; repeatable. For Linux, the initrd
    #[arg(long, visible_alias = "initrd", value_name = "FILE[ ARGS]")]
    #[serde(deserialize_with = "strings")]
    pub module: Vec<OsString>,
    /// A raw disk image, which the guest finds as a virtio-blk device; `,ro` keeps it from being
    /// written; repeatable
    #[arg(long, value_name = "FILE[,ro]")]
    pub disk: Vec<DiskImage>,
    /// End the run after this time, such as 10s or 500ms, with exit code 124
    #[arg(long, value_name = "TIME", env = "MONOVISOR_TIMEOUT")]
    pub timeout: Option<TimeSpan>,
    /// End the run after this many instructions, with exit code 124
    #[arg(long, value_name = "COUNT", env = "MONOVISOR_MAX_INSTRUCTIONS")]
    pub max_instructions: Option<u64>,
    /// Let time be the number of instructions executed, so that every run is the same; standard
    /// input is read if it is a file, not if it is a pipe or terminal
    #[arg(long, value_name = "BOOL", env = "MONOVISOR_DETERMINISTIC", value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub deterministic: Option<bool>,
    /// How a value written to port 0xf4 becomes the exit code: qemu `(value << 1) | 1`, or raw [default: qemu]
    #[arg(long, value_name = "HOW", env = "MONOVISOR_DEBUG_EXIT")]
    pub debug_exit: Option<DebugExit>,
    /// Where the serial port leads: stdio, null or file:PATH [default: stdio]
    #[arg(long, value_name = "TARGET", env = "MONOVISOR_SERIAL")]
    pub serial: Option<SerialTarget>,
    /// Start the guest anew when it resets, instead of ending the run
    #[arg(long, value_name = "BOOL", env = "MONOVISOR_REBOOT", value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub reboot: Option<bool>,
    /// Write how the run ended to this file, as JSON
    #[arg(long, value_name = "FILE", env = "MONOVISOR_JSON")]
    pub json: Option<PathBuf>,
    /// Take the image as it is: loaded and entered at ADDRESS in real, protected or long mode
    #[arg(long, value_name = "ADDRESS[:MODE]", env = "MONOVISOR_FLAT")]
    pub flat: Option<Flat>,
}

/// All sources as the command line names them.
#[derive(Args, Clone, Debug, Default)]
pub struct Sources {
    #[command(flatten)]
    flags: Settings,
    /// Read settings from this file instead of monovisor.toml in the current folder
    #[arg(long, value_name = "FILE", env = "MONOVISOR_CONFIG")]
    config: Option<PathBuf>,
}

impl Sources {
    /// The configuration that the flags, the environment, the file and `invocation` make together.
    ///
    /// # Errors
    /// A source that can't be read or is wrong, or a value that is out of range.
    pub fn resolve(self, invocation: Invocation) -> Result<VmConfig, ConfigError> {
        check_environment()?;
        let file = Settings::from_file(self.config.as_deref())?;
        self.flags.or(file).resolve(invocation)
    }
}

/// What flags alone can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The image to boot.
    pub image: PathBuf,
    /// What is added to the guest's command line.
    pub guest_arguments: Vec<OsString>,
    /// How much is told on standard error.
    pub verbose: u8,
}

impl Settings {
    /// Reads `file`, or [`DEFAULT_FILE`] if there is one. Paths in it are relative to the current
    /// folder, as those of flags are.
    ///
    /// # Errors
    /// A file that can't be read, is too long, or has a key or value that is wrong.
    pub fn from_file(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let read = |source| ConfigError::Read { path: path.into(), source };
        match fs::metadata(path) {
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(read(error)),
            Ok(metadata) if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES => {
                let reason = "it is not a regular file, or longer than 1 MiB";
                return Err(read(io::Error::new(io::ErrorKind::InvalidInput, reason)));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(path).map_err(read)?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.into(),
            message: describe(&error, &text),
        })
    }

    /// These settings, and those of `lower` where these say nothing.
    pub fn or(self, lower: Self) -> Self {
        Self {
            memory: self.memory.or(lower.memory),
            cpus: self.cpus.or(lower.cpus),
            accel: self.accel.or(lower.accel),
            cpu: self.cpu.or(lower.cpu),
            append: self.append.or(lower.append),
            module: if self.module.is_empty() { lower.module } else { self.module },
            disk: if self.disk.is_empty() { lower.disk } else { self.disk },
            timeout: self.timeout.or(lower.timeout),
            max_instructions: self.max_instructions.or(lower.max_instructions),
            deterministic: self.deterministic.or(lower.deterministic),
            debug_exit: self.debug_exit.or(lower.debug_exit),
            serial: self.serial.or(lower.serial),
            reboot: self.reboot.or(lower.reboot),
            json: self.json.or(lower.json),
            flat: self.flat.or(lower.flat),
        }
    }

    /// The configuration that these settings and `invocation` make.
    ///
    /// # Errors
    /// A value that is out of range.
    pub fn resolve(self, invocation: Invocation) -> Result<VmConfig, ConfigError> {
        let default = VmConfig::default();
        let memory_bytes = self.memory.map_or(default.memory_bytes, |size| size.0);
        if !(layout::MIN_RAM_BYTES..=layout::MAX_RAM_BYTES).contains(&memory_bytes)
            || !memory_bytes.is_multiple_of(4096)
        {
            return Err(ConfigError::Memory { bytes: memory_bytes });
        }
        let cpus = self.cpus.unwrap_or(default.cpus);
        check_cpus(cpus)?;
        Ok(VmConfig {
            memory_bytes,
            cpus,
            accel: self.accel.unwrap_or_default(),
            cpu: self.cpu.unwrap_or_default(),
            image: invocation.image,
            command_line: command_line(self.append, invocation.guest_arguments)?,
            modules: self.module.into_iter().map(module).collect::<Result<_, _>>()?,
            disks: disks(self.disk)?,
            timeout: self.timeout.map(|span| span.0),
            max_instructions: self.max_instructions,
            deterministic: self.deterministic.unwrap_or_default(),
            debug_exit: self.debug_exit.unwrap_or_default(),
            serial: self.serial.unwrap_or_default(),
            reboot: self.reboot.unwrap_or_default(),
            json: self.json,
            verbose: invocation.verbose,
            flat: self.flat,
        })
    }
}

/// Whether a machine can have so many processors.
///
/// # Errors
/// It can't.
pub(crate) fn check_cpus(cpus: u32) -> Result<(), ConfigError> {
    match (1..=layout::MAX_CPUS).contains(&cpus) {
        true => Ok(()),
        false => Err(ConfigError::Cpus { cpus }),
    }
}

/// Refuses environment variables that have our prefix and are none of ours.
fn check_environment() -> Result<(), ConfigError> {
    let ours = |name: &OsStr| name.as_encoded_bytes().starts_with(ENVIRONMENT_PREFIX.as_bytes());
    let mut names = std::env::vars_os().map(|(name, _)| name).filter(|name| ours(name)).peekable();
    if names.peek().is_none() {
        return Ok(());
    }
    let command = Sources::augment_args(clap::Command::new(""));
    let known = |name: &OsString| {
        command.get_arguments().any(|argument| argument.get_env() == Some(name.as_os_str()))
    };
    match names.find(|name| !known(name)) {
        Some(name) => Err(ConfigError::UnknownVariable(name.to_string_lossy().into_owned())),
        None => Ok(()),
    }
}

fn command_line(append: Option<String>, arguments: Vec<OsString>) -> Result<String, ConfigError> {
    const WHAT: &str = "guest's command line";
    let mut parts: Vec<String> = append.into_iter().collect();
    for argument in arguments {
        parts.push(argument.into_string().map_err(|_| ConfigError::CommandLine(WHAT))?);
    }
    let line = parts.join(" ");
    if line.contains('\0') { Err(ConfigError::CommandLine(WHAT)) } else { Ok(line) }
}

fn disks(disks: Vec<DiskImage>) -> Result<Vec<DiskImage>, ConfigError> {
    if disks.len() > layout::VIRTIO_IRQS.len() {
        return Err(ConfigError::Disks { count: disks.len() });
    }
    Ok(disks)
}

/// A module as it was written: the whole text if there is such a file, else a file name, a space
/// and arguments.
fn module(text: OsString) -> Result<Module, ConfigError> {
    const WHAT: &str = "module's command line";
    if Path::new(&text).exists() {
        return Ok(Module { path: text.into(), command_line: String::new() });
    }
    match text.to_str().and_then(|text| text.split_once(' ')) {
        Some((_, arguments)) if arguments.contains('\0') => Err(ConfigError::CommandLine(WHAT)),
        Some((path, arguments)) => {
            Ok(Module { path: path.into(), command_line: arguments.to_owned() })
        }
        None => Ok(Module { path: text.into(), command_line: String::new() }),
    }
}

/// Text stands for file names here; serde would have an `OsString` as a list of bytes.
fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OsString>, D::Error> {
    let strings = Vec::<String>::deserialize(deserializer)?;
    Ok(strings.into_iter().map(OsString::from).collect())
}

/// One sentence out of toml's picture of several lines.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let line =
        error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = error.message().replace('\n', ", ");
    match line {
        Some(line) => format!("{message} (line {line})"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_file_says_what_flags_say() {
        let settings = parse(
            "memory = '1G'\naccel = 'interp'\ntimeout = '5s'\nmodule = ['a b']\n\
             debug-exit = 'raw'\nserial = 'file:out'\nflat = '0x7c00'\nreboot = true\n",
        )
        .unwrap();
        let config = settings.resolve(Invocation::default()).unwrap();
        assert_eq!(config.memory_bytes, 1 << 30);
        assert_eq!(config.modules, [Module { path: "a".into(), command_line: "b".into() }]);
        assert_eq!(config.serial, SerialTarget::File("out".into()));
        assert!(config.reboot && !config.deterministic);
    }

    #[test]
    fn unknown_keys_are_named_with_their_line() {
        let text = "accel = 'interp'\nmemroy = '1G'\n";
        let sentence = describe(&parse(text).unwrap_err(), text);
        assert!(sentence.contains("memroy") && sentence.contains("line 2"), "{sentence}");
    }

    #[test]
    fn the_higher_source_wins() {
        let high = parse("memory = '64M'").unwrap();
        let low = parse("memory = '32M'\nappend = 'low'").unwrap();
        let invocation = Invocation { guest_arguments: vec!["x".into()], ..Default::default() };
        let config = high.or(low).resolve(invocation).unwrap();
        assert_eq!((config.memory_bytes, config.command_line.as_str()), (64 << 20, "low x"));
    }

    #[test]
    fn impossible_memory_is_refused() {
        for memory in ["0", "4096", "2097153", "513G"] {
            let settings = Settings { memory: Some(memory.parse().unwrap()), ..Default::default() };
            let result = settings.resolve(Invocation::default());
            assert!(matches!(result, Err(ConfigError::Memory { .. })), "{memory}");
        }
    }

    #[test]
    fn impossible_numbers_of_processors_are_refused() {
        for (cpus, possible) in [(0, false), (1, true), (64, true), (255, true), (256, false)] {
            let settings = Settings { cpus: Some(cpus), ..Default::default() };
            let result = settings.resolve(Invocation::default());
            assert_eq!(result.is_ok_and(|config| config.cpus == cpus), possible, "{cpus}");
        }
    }
}
