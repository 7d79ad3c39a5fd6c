//! Who takes part: found on this machine, each with its version and the command that runs a workload.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::comparison::{NATIVE, TCG};
use super::sample::Work;
use crate::bench::HELLO;
use crate::bochs::Bochs;
use crate::guest::header::{self, Header, PASSED, flag_value};
use crate::guest::{self, Guest};
use crate::machine::{self, Machine, QEMU, ScratchDisk};
use crate::process::{Finished, Invocation};
use crate::workspace::{Dispatcher, Workspace};

/// The guest that runs the workloads.
const GUEST: &str = "work";
/// The one that runs the first few of them, on machines that are good for user mode alone.
const USER_GUEST: &str = "work_user";
const USER_WORKLOADS: [&str; 2] = ["cpu", "memory"];
const USER_REMARK: &str = "This KVM runs no compiled kernel; `cpu` and `memory` are done by a guest that is \
in user mode before its first compiled instruction.";
/// What Bochs is not asked for.
const NOT_ON_BOCHS: [&str; 2] = [WITH_DISK, "interrupt"];
const BOCHS_REMARK: &str = "Its clock counts instructions, so rates are by the host's clock, from outside, and \
latencies are the guest's, stretched as the whole was. It has no virtio for `fileio`, and its time leaps \
while a processor sleeps, as in `interrupt`.";
/// How much less of its guest's time it is given: what empties its TLB takes it many times as long as other
/// instructions, and its clock counts them alike.
const BOCHS_HASTE: u64 = 10;
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
    /// What its figures must not be read without.
    pub remark: Option<&'static str>,
    kind: Kind,
}

enum Kind {
    Native(PathBuf),
    Guest { machine: Machine, image: PathBuf, header: Header, only_user_mode: bool },
    Bochs { bochs: Bochs, image: PathBuf, header: Header },
}

/// Who takes part, and who does not.
pub struct Found {
    /// In the order of the report.
    pub contenders: Vec<Contender>,
    /// Of each of the others, why.
    pub absent: Vec<String>,
}

/// All that this machine has.
pub fn find_all(workspace: &Workspace) -> Result<Found> {
    let native = workspace.build_native()?;
    let portable = workspace.build_monovisor(Dispatcher::Loop, &[])?;
    let program = workspace.build_monovisor(Dispatcher::Tail, &[])?;
    let images = workspace.build_guests()?;
    let version = cmd!(workspace.shell, "rustc --version").quiet().read()?;
    let guests = guest::find_all(&workspace.guest_sources())?;
    let guests = Guests { guests, images };
    let native = Contender { name: NATIVE, version, remark: None, kind: Kind::Native(native) };
    let mut found = Found { contenders: vec![native], absent: Vec::new() };
    for (name, machine) in [
        ("monovisor interpreter", Machine::Monovisor(program.clone())),
        ("monovisor interpreter, loop", Machine::Monovisor(portable)),
        ("monovisor KVM", Machine::Kvm(program)),
        ("QEMU TCG, single", Machine::QemuSingle),
        (TCG, Machine::Qemu),
        ("QEMU KVM", Machine::QemuKvm),
    ] {
        found.add(name, guests.contender(name, machine));
    }
    found.add("Bochs", guests.bochs("Bochs"));
    Ok(found)
}

impl Found {
    fn add(&mut self, name: &str, contender: Result<Contender>) {
        match contender {
            Ok(contender) => self.contenders.push(contender),
            Err(error) => self.absent.push(format!("{name} does not run here: {error:#}")),
        }
    }
}

/// [`QEMU_AIO`], if the QEMUs among the contenders can use it here.
pub fn qemu_aio(contenders: &[Contender], folder: &Path) -> Result<Option<&'static str>> {
    let is_qemu =
        |one: &&Contender| matches!(&one.kind, Kind::Guest { machine: Machine::Qemu, .. });
    let Some(qemu) = contenders.iter().find(is_qemu) else { return Ok(None) };
    let mut disk = ScratchDisk::new(header::Disk { bytes: 2 << 20, read_only: false }, folder)?;
    disk.qemu_aio = Some(QEMU_AIO);
    let work = Work { name: WITH_DISK, cpus: 1, ms: 1 };
    let finished = qemu.command(&work, &disk)?.run(PATIENCE)?;
    if let Some(why) = failure(&finished, PASSED) {
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
        let only_user_mode = match (self.failure(HELLO, &machine)?, &machine) {
            (None, _) => false,
            (Some(why), Machine::Kvm(_) | Machine::QemuKvm) => {
                if self.failure(USER_GUEST, &machine)?.is_some() {
                    bail!("{why}");
                }
                true
            }
            (Some(why), _) => bail!("{why}"),
        };
        let (image, header) = self.find(if only_user_mode { USER_GUEST } else { GUEST })?;
        let remark = only_user_mode.then_some(USER_REMARK);
        let kind = Kind::Guest { machine, image, header: header.clone(), only_user_mode };
        Ok(Contender { name, version, remark, kind })
    }

    /// Why the guest `name` does not end well on this machine, if it does not.
    fn failure(&self, name: &str, machine: &Machine) -> Result<Option<String>> {
        let (image, header) = self.find(name)?;
        Ok(failure(&machine.invocation(&image, header, None, None).run(PATIENCE)?, PASSED))
    }

    /// Bochs as a contender, if it runs guests here.
    fn bochs(&self, name: &'static str) -> Result<Contender> {
        let bochs = Bochs::find()?;
        let version = bochs.version.clone();
        let (image, _) = self.find(HELLO)?;
        let finished = bochs.command(&image, 1, 16, "")?.run(PATIENCE)?;
        if let Some(why) = Bochs::failure(&finished) {
            bail!("{why}");
        }
        let (image, header) = self.find(GUEST)?;
        let kind = Kind::Bochs { bochs, image, header: header.clone() };
        Ok(Contender { name, version, remark: Some(BOCHS_REMARK), kind })
    }
}

/// What a process says that has not ended with `status`.
fn failure(finished: &Finished, status: i32) -> Option<String> {
    if finished.killed {
        return Some("it did not end in time".to_owned());
    }
    let first = finished.stderr.lines().chain(finished.stdout.lines()).next();
    let why = || first.unwrap_or("it failed without a word").to_owned();
    (finished.status != Some(status)).then(why)
}

impl Contender {
    /// Why a run of a `command` has not ended well, if it has not.
    pub fn failure(&self, finished: &Finished) -> Option<String> {
        match self.kind {
            Kind::Native(_) => failure(finished, 0),
            Kind::Guest { .. } => failure(finished, PASSED),
            Kind::Bochs { .. } => Bochs::failure(finished),
        }
    }

    /// Whether its guests' clock shows the time.
    pub fn knows_the_time(&self) -> bool {
        !matches!(self.kind, Kind::Bochs { .. })
    }

    /// Whether it can do the workload with this name at all.
    pub fn does(&self, workload: &str) -> bool {
        match self.kind {
            Kind::Guest { only_user_mode: true, .. } => USER_WORKLOADS.contains(&workload),
            Kind::Bochs { .. } => !NOT_ON_BOCHS.contains(&workload),
            _ => true,
        }
    }

    /// The command that does `work`.
    pub fn command(&self, work: &Work, disk: &ScratchDisk) -> Result<Invocation> {
        let Work { name, cpus, ms } = *work;
        let append = |ms| format!("run={name} ms={ms} threads={cpus}");
        match &self.kind {
            Kind::Native(program) => Ok(Invocation::new(program.to_string_lossy()).with([
                name,
                &ms.to_string(),
                &cpus.to_string(),
                &disk.path(),
            ])),
            Kind::Guest { machine, image, header, .. } => {
                let header = Header { cpus, ..header.clone() };
                let disk = (name == WITH_DISK).then_some(disk);
                Ok(machine.invocation(image, &header, Some(&append(ms)), disk))
            }
            Kind::Bochs { bochs, image, header } => {
                let memory = flag_value(&header.flags, "--memory");
                let memory_mib = memory.and_then(|size| size.strip_suffix('M')?.parse().ok());
                let memory_mib = memory_mib.context("its memory is not in MiB")?;
                // Its processors take turns, and its clock stands still meanwhile.
                let append = append(ms.div_ceil(BOCHS_HASTE * u64::from(cpus)));
                bochs.command(image, cpus, memory_mib, &format!("{append} marks"))
            }
        }
    }
}
