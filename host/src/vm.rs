//! Assembly of a machine: RAM, devices, clock and engine, with an image loaded. How it runs is
//! `run_loop`'s business.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, mem};

use monovisor_core::{Clock, CpuState, Engine, EngineError, FaultLog};

use crate::boot::{self, BootError, Image, Loaded};
use crate::bus::Bus;
use crate::clock::VmClock;
use crate::config::settings::{ConfigError, check_cpus};
use crate::config::{DiskImage, SerialTarget, VmConfig};
use crate::device::registry::{self, Console, Platform};
use crate::device::virtio::{Disk, DiskError};
use crate::device::{InputReader, RamSizes};
use crate::engine::{self, Chosen, Socket};
use crate::memory::{GuestRam, MemoryError, layout};
use crate::outcome;
use crate::remote::Remote;
use crate::standard;

/// Deterministic machines start at 1 January 2000, 00:00 UTC.
const DETERMINISTIC_START: Duration = Duration::from_secs(946_684_800);

/// Why a machine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// The image or a module can't be used.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The host has not the memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A disk can't be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// `--serial file:PATH` names a file that can't be written.
    #[error("the serial port's output cannot be written to {}: {source}", path.display())]
    Serial {
        /// The file.
        path: std::path::PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A descriptor of the process itself can't be used.
    #[error("standard {stream} cannot be used: {source}")]
    Standard {
        /// `input`, `output` or `error`.
        stream: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// The configuration asks for what no machine has.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The accelerator that was asked for is not there.
    #[error("{0}")]
    Accelerator(String),
}

impl VmError {
    /// The exit code of `monovisor run`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Boot(error) => error.exit_code(),
            _ => outcome::FAILURE,
        }
    }
}

/// Makes the engine of one of a machine's processors.
pub type MakeEngine = Box<dyn Fn(&Socket) -> Result<Chosen, VmError>>;

/// A processor: what executes it, and the time as it sees it.
pub(crate) struct Processor {
    pub engine: Box<dyn Engine>,
    pub clock: VmClock,
}

/// A machine.
pub struct Vm {
    pub(crate) config: VmConfig,
    /// The bootstrap processor first.
    pub(crate) processors: Vec<Processor>,
    pub(crate) bus: Bus,
    pub(crate) remote: Remote,
    /// The processor that ended the run, if one did.
    pub(crate) ended_by: Option<usize>,
    pub(crate) retired_before_reboot: u64,
    pub(crate) wall_time: Duration,
    engine_name: &'static str,
    engine_reason: String,
    pub(crate) ram: Arc<GuestRam>,
    loaded: Loaded,
    image: Image,
    platform: Platform,
    input: Option<InputReader>,
    make_engine: MakeEngine,
}

impl Vm {
    /// The machine that `config` describes, ready to run.
    ///
    /// # Errors
    /// What is missing, or wrong with the image, as one sentence.
    pub fn new(config: &VmConfig) -> Result<Self, VmError> {
        Self::with_engine(config, engine::maker(config))
    }

    /// The machine that `config` describes, ready to run, on engines that `make_engine` makes.
    ///
    /// # Errors
    /// What is missing, or wrong with the image, as one sentence.
    pub fn with_engine(config: &VmConfig, make_engine: MakeEngine) -> Result<Self, VmError> {
        let image = Image::open(&config.image)?;
        let (console, input) = console(config)?;
        let clock = VmClock::new(config.deterministic);
        let start = if config.deterministic {
            DETERMINISTIC_START
        } else {
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
        };
        let remote = Remote::default();
        let low_bytes = config.memory_bytes.min(layout::GAP_START);
        let platform = Platform {
            console,
            unix_ns: start.as_nanos(),
            ram: RamSizes { low_bytes, high_bytes: config.memory_bytes - low_bytes },
            disks: disks(config)?,
            remote: (!config.deterministic).then(|| remote.clone()),
        };
        let Parts { ram, processors, name, reason, bus, loaded } =
            Parts::new(config, &image, &platform, &clock, &make_engine)?;
        Ok(Self {
            config: config.clone(),
            engine_name: name,
            engine_reason: reason,
            processors,
            bus,
            ended_by: None,
            remote,
            wall_time: Duration::ZERO,
            ram,
            loaded,
            image,
            platform,
            retired_before_reboot: 0,
            input,
            make_engine,
        })
    }

    /// Starts anew, as after a reset: with fresh RAM, devices and processor. The clock goes on.
    pub(crate) fn reboot(&mut self) -> Result<(), VmError> {
        let bootstrap = &self.processors[0];
        let clock = bootstrap.clock.clone();
        let now_ns = clock.now_ns(bootstrap.engine.instructions().unwrap_or(0));
        self.retired_before_reboot = self.instructions().unwrap_or(0);
        let Parts { ram, processors, bus, loaded, .. } =
            Parts::new(&self.config, &self.image, &self.platform, &clock, &self.make_engine)?;
        (self.ram, self.processors, self.bus, self.loaded) = (ram, processors, bus, loaded);
        clock.skip_to(now_ns, 0);
        Ok(())
    }

    /// Lets go of the machine at the end of the process: its disks finish what they have begun, and its
    /// processors and RAM go with the process, which is quicker than taking them apart before.
    pub fn leave(self) {
        let Self { processors, ram, .. } = self;
        mem::forget((processors, ram));
    }

    /// Instructions retired by all processors, over all reboots, where the engine counts them.
    pub fn instructions(&self) -> Option<u64> {
        self.processors.iter().try_fold(self.retired_before_reboot, |sum, processor| {
            Some(sum + processor.engine.instructions()?)
        })
    }

    /// How the machine was configured.
    pub fn config(&self) -> &VmConfig {
        &self.config
    }

    /// The processor that ended the run, by its number; none if something else did.
    pub fn ended_by(&self) -> Option<usize> {
        self.ended_by
    }

    /// How many processors there are.
    pub fn cpus(&self) -> usize {
        self.processors.len()
    }

    /// The engine of the processor with this number; none if there is no such processor.
    pub fn engine(&mut self, processor: usize) -> Option<&mut dyn Engine> {
        let processor = self.processors.get_mut(processor)?;
        Some(&mut *processor.engine)
    }

    /// The states of all processors, by their numbers.
    ///
    /// # Errors
    /// An engine has failed, and may have lost its processor's state.
    pub fn states(&mut self) -> Result<Vec<CpuState>, EngineError> {
        self.processors.iter_mut().map(|processor| processor.engine.state()).collect()
    }

    /// What executes the guest: `interpreter` or `kvm`.
    pub fn engine_name(&self) -> &'static str {
        self.engine_name
    }

    /// Why it is that engine, as words that follow a colon.
    pub fn engine_reason(&self) -> &str {
        &self.engine_reason
    }

    /// The last exceptions that were delivered to a processor, where the engine sees them.
    pub fn fault_log(&self, processor: usize) -> Option<&FaultLog> {
        self.processors.get(processor)?.engine.fault_log()
    }

    /// The devices.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Guest RAM.
    pub fn ram(&self) -> &GuestRam {
        &self.ram
    }

    /// What was loaded, and how.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// How long the machine has run.
    pub fn wall_time(&self) -> Duration {
        self.wall_time
    }

    /// Reaches the machine from other threads while it runs.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Where the serial port's input is to be put, if it comes through a thread; once.
    pub fn take_input(&mut self) -> Option<InputReader> {
        self.input.take()
    }
}

/// What a reset replaces.
struct Parts {
    ram: Arc<GuestRam>,
    processors: Vec<Processor>,
    name: &'static str,
    reason: String,
    bus: Bus,
    loaded: Loaded,
}

impl Parts {
    fn new(
        config: &VmConfig,
        image: &Image,
        platform: &Platform,
        clock: &VmClock,
        make_engine: &MakeEngine,
    ) -> Result<Self, VmError> {
        check_cpus(config.cpus)?;
        let ram = Arc::new(GuestRam::new(config.memory_bytes)?);
        let loaded = boot::load(image, &ram, config)?;
        if config.cpus > 1 || !platform.disks.is_empty() {
            ram.share_code(config.cpus);
        }
        let mut processors = Vec::with_capacity(config.cpus as usize);
        let (mut name, mut reason) = ("", String::new());
        for id in 0..config.cpus {
            let clock = if id == 0 { clock.clone() } else { clock.beside() };
            let socket = Socket { ram: ram.clone(), clock: clock.clone(), id };
            let chosen = make_engine(&socket)?;
            (name, reason) = (chosen.name, chosen.reason);
            processors.push(Processor { engine: chosen.engine, clock });
        }
        // The others wait to be started. The interpreter's state is a plain value, and a new KVM
        // vCPU takes any state that the loader makes.
        processors[0].engine.set_state(&loaded.state).map_err(|error| {
            VmError::Accelerator(format!("the processor's state at entry is refused: {error}"))
        })?;
        let bus = registry::assemble(platform, &ram);
        Ok(Self { ram, processors, name, reason, bus, loaded })
    }
}

/// Opens the disks.
fn disks(config: &VmConfig) -> Result<Vec<Arc<Disk>>, DiskError> {
    let open = |image: &DiskImage| Disk::open(&image.path, image.read_only).map(Arc::new);
    config.disks.iter().map(open).collect()
}

/// Opens what the serial port and the debug console lead to.
fn console(config: &VmConfig) -> Result<(Console, Option<InputReader>), VmError> {
    let mut console = Console { debug: standard::error(), ..Console::default() };
    let mut reader = None;
    match &config.serial {
        SerialTarget::Null => {}
        SerialTarget::File(path) => {
            let file = File::create(path)
                .map_err(|source| VmError::Serial { path: path.clone(), source })?;
            console.serial = Some(Arc::new(file));
        }
        SerialTarget::Stdio => {
            let output = standard::output()
                .map_err(|source| VmError::Standard { stream: "output", source })?;
            console.serial = Some(output);
            (console.input, reader) = standard::input(config.deterministic)
                .map_err(|source| VmError::Standard { stream: "input", source })?;
        }
    }
    Ok((console, reader))
}
