//! Who takes part: found on this machine, each with its version and the command that runs a workload.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use xshell::cmd;

use super::sample::Work;
use crate::bench::HELLO;
use crate::guest::header::{Header, PASSED};
use crate::guest::{self, Guest};
use crate::machine::{self, Machine, QEMU, ScratchDisk};
use crate::process::Invocation;
use crate::workspace::{Dispatcher, Workspace};

/// The guest that runs the workloads.
const GUEST: &str = "work";
/// Long enough for that.
const PATIENCE: Duration = Duration::from_secs(20);
/// The only workload with a disk. Of QEMU's machines only `microvm` has virtio over MMIO, and that one
/// is without ACPI, from which guests know of a second processor.
const WITH_DISK: &str = "fileio";

/// One contender.
pub struct Contender {
    /// What it is called in reports.
    pub name: &'static str,
    /// Its own words about its version.
    pub version: String,
    kind: Kind,
}

enum Kind {
    Native(PathBuf),
    Guest { machine: Machine, image: PathBuf, header: Header },
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
    let mut all = vec![Contender { name: "native", version: compiler, kind: Kind::Native(native) }];
    for (name, machine) in [
        ("monovisor interpreter", Machine::Monovisor(program.clone())),
        ("monovisor interpreter, loop", Machine::Monovisor(portable)),
        ("monovisor KVM", Machine::Kvm(program)),
        ("QEMU TCG, single", Machine::QemuSingle),
        ("QEMU TCG, multi", Machine::Qemu),
        ("QEMU KVM", Machine::QemuKvm),
    ] {
        match guests.contender(name, machine) {
            Ok(contender) => all.push(contender),
            Err(error) => eprintln!("xtask: {name} does not run here: {error:#}"),
        }
    }
    Ok(all)
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

    /// The machine as a contender, if it runs guests here.
    fn contender(&self, name: &'static str, machine: Machine) -> Result<Contender> {
        let program = machine.program();
        let version = machine::version(&program).with_context(|| match program.as_str() {
            QEMU => format!("{QEMU} is not installed (Debian: apt-get install qemu-system-x86)"),
            _ => format!("{program} tells no version"),
        })?;
        let (hello, header) = self.find(HELLO)?;
        let finished = machine.invocation(&hello, header, None, None).run(PATIENCE)?;
        if finished.status != Some(PASSED) {
            let why = finished.stderr.lines().next().unwrap_or("the hello guest does not end");
            anyhow::bail!("{why}");
        }
        let (image, header) = self.find(GUEST)?;
        Ok(Contender {
            name,
            version,
            kind: Kind::Guest { machine, image, header: header.clone() },
        })
    }
}

impl Contender {
    /// The exit status with which `command`s end well.
    pub fn success(&self) -> i32 {
        if matches!(self.kind, Kind::Native(_)) { 0 } else { PASSED }
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
                let header = Header { cpus, ..header.clone() };
                let disk = (name == WITH_DISK).then_some(disk);
                machine.invocation(image, &header, Some(&append), disk)
            }
        }
    }
}
