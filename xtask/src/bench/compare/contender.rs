//! Who takes part: found on this machine, each with its version and the command that runs a workload.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::comparison::{NATIVE, TCG};
use super::sample::Work;
use crate::bench::HELLO;
use crate::guest::header::{self, Header, PASSED};
use crate::guest::{self, Guest};
use crate::machine::{self, Machine, QEMU, ScratchDisk};
use crate::process::Invocation;
use crate::workspace::{Dispatcher, Workspace};

/// The guest that runs the workloads.
const GUEST: &str = "work";
/// The one that runs the first few of them, on machines that are good for user mode alone.
const USER_GUEST: &str = "work_user";
const USER_WORKLOADS: [&str; 2] = ["cpu", "memory"];
/// Long enough for that.
const PATIENCE: Duration = Duration::from_secs(20);
/// The only workload with a disk. Of QEMU's machines only `microvm` has virtio over MMIO, and that one
/// is without ACPI, from which guests know of a second processor.
const WITH_DISK: &str = "fileio";

/// How QEMU reads and writes a disk the fastest: several times as fast as by threads, its usual way.
/// Not every host's kernel has it for everybody.
const QEMU_AIO: &str = "io_uring";

/// One contender.
pub struct Contender {
    /// What it is called in reports.
    pub name: &'static str,
    /// Its own words about its version.
    pub version: String,
    /// It runs user mode alone here.
    pub only_user_mode: bool,
    kind: Kind,
}

enum Kind {
    Native(PathBuf),
    Guest { machine: Machine, image: PathBuf, header: Box<Header> },
}

/// All that this machine has. Says of each that is missing why.
pub fn find_all(workspace: &Workspace) -> Result<Vec<Contender>> {
    let native = workspace.build_native()?;
    let portable = workspace.build_monovisor(Dispatcher::Loop, &[])?;
    let program = workspace.build_monovisor(Dispatcher::Tail, &[])?;
    let images = workspace.build_guests()?;
    let compiler = cmd!(workspace.shell, "rustc --version").quiet().read()?;
    let guests = guest::find_all(&workspace.guest_sources())?;
    let guests = Guests { guests, images };
    let kind = Kind::Native(native);
    let native = Contender { name: NATIVE, version: compiler, only_user_mode: false, kind };
    let mut all = vec![native];
    for (name, machine) in [
        ("monovisor interpreter", Machine::Monovisor(program.clone())),
        ("monovisor interpreter, loop", Machine::Monovisor(portable)),
        ("monovisor KVM", Machine::Kvm(program)),
        ("QEMU TCG, single", Machine::QemuSingle),
        (TCG, Machine::Qemu),
        ("QEMU KVM", Machine::QemuKvm),
    ] {
        match guests.contender(name, machine) {
            Ok(contender) => all.push(contender),
            Err(error) => eprintln!("xtask: {name} does not run here: {error:#}"),
        }
    }
    Ok(all)
}

/// [`QEMU_AIO`], if the QEMUs among the contenders can use it here.
pub fn qemu_aio(contenders: &[Contender], folder: &Path) -> Result<Option<&'static str>> {
    let is_qemu =
        |one: &&Contender| matches!(&one.kind, Kind::Guest { machine: Machine::Qemu, .. });
    let Some(qemu) = contenders.iter().find(is_qemu) else { return Ok(None) };
    let mut disk = ScratchDisk::new(header::Disk { bytes: 2 << 20, read_only: false }, folder)?;
    disk.qemu_aio = Some(QEMU_AIO);
    let work = Work { name: WITH_DISK, cpus: 1, ms: 1 };
    let finished = qemu.command(&work, &disk).run(PATIENCE)?;
    if finished.status != Some(PASSED) {
        let why = finished.stderr.lines().next().unwrap_or("it does not end").to_owned();
        eprintln!("xtask: QEMU has its disk by threads, not by {QEMU_AIO}: {why}");
        return Ok(None);
    }
    Ok(disk.qemu_aio)
}

/// The guests and their images.
struct Guests {
    guests: Vec<Guest>,
    images: PathBuf,
}

impl Guests {
    fn find(&self, name: &str) -> Result<(PathBuf, &Header)> {
        let guest = guest::find_by_name(&self.guests, name)?;
        Ok((self.images.join(name), guest.checked_header()?))
    }

    /// The machine as a contender, if it runs guests here; some run user mode alone.
    fn contender(&self, name: &'static str, machine: Machine) -> Result<Contender> {
        let program = machine.program();
        let version = machine::version(&program).with_context(|| match program.as_str() {
            QEMU => format!("{QEMU} is not installed (Debian: apt-get install qemu-system-x86)"),
            _ => format!("{program} tells no version"),
        })?;
        let guest = match (self.failure(HELLO, &machine)?, &machine) {
            (None, _) => GUEST,
            (Some(why), Machine::Kvm(_) | Machine::QemuKvm) => {
                if self.failure(USER_GUEST, &machine)?.is_some() {
                    bail!("{why}");
                }
                eprintln!("xtask: {name} runs user mode alone here: {why}");
                USER_GUEST
            }
            (Some(why), _) => bail!("{why}"),
        };
        let (image, header) = self.find(guest)?;
        let kind = Kind::Guest { machine, image, header: Box::new(header.clone()) };
        Ok(Contender { name, version, only_user_mode: guest == USER_GUEST, kind })
    }

    /// Why the guest `name` does not end well on this machine, if it does not.
    fn failure(&self, name: &str, machine: &Machine) -> Result<Option<String>> {
        let (image, header) = self.find(name)?;
        let finished = machine.invocation(&image, header, None, None).run(PATIENCE)?;
        let why = || finished.stderr.lines().next().unwrap_or("its guest does not end").to_owned();
        Ok((finished.status != Some(PASSED)).then(why))
    }
}

impl Contender {
    /// The exit status with which `command`s end well.
    pub fn success(&self) -> i32 {
        if matches!(self.kind, Kind::Native(_)) { 0 } else { PASSED }
    }

    /// Whether it can do the workload with this name at all.
    pub fn does(&self, workload: &str) -> bool {
        !self.only_user_mode || USER_WORKLOADS.contains(&workload)
    }

    /// The command that does `work`.
    pub fn command(&self, work: &Work, disk: &ScratchDisk) -> Invocation {
        let Work { name, cpus, ms } = *work;
        match &self.kind {
            Kind::Native(program) => Invocation::new(program.to_string_lossy()).with([
                name,
                &ms.to_string(),
                &cpus.to_string(),
                &disk.path(),
            ]),
            Kind::Guest { machine, image, header } => {
                let append = format!("run={name} ms={ms} threads={cpus}");
                let header = Header { cpus, ..Header::clone(header) };
                let disk = (name == WITH_DISK).then_some(disk);
                machine.invocation(image, &header, Some(&append), disk)
            }
        }
    }
}
