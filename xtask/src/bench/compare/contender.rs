//! Who takes part: found on this machine, each with its version and the command that runs a workload.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use xshell::cmd;

use super::sample::Work;
use crate::machine::{self, QEMU, ScratchDisk};
use crate::process::Invocation;
use crate::workspace::{Dispatcher, Workspace};

/// The guest that runs the workloads.
const GUEST: &str = "work";
const HELLO: &str = "hello";
/// Guest memory, for all.
const MEMORY: &str = "256M";
const PASSED: i32 = 33;

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
    Monovisor { program: PathBuf, accel: &'static str, guest: PathBuf },
    Qemu { accel: &'static str, guest: PathBuf },
}

/// All that this machine has. Says of each that is missing why.
pub fn find_all(workspace: &Workspace) -> Result<Vec<Contender>> {
    let native = workspace.build_native()?;
    let portable = workspace.build_monovisor(Dispatcher::Loop, &[])?;
    let program = workspace.build_monovisor(Dispatcher::Tail, &[])?;
    let images = workspace.build_guests()?;
    let guest = images.join(GUEST);
    let ours = machine::version(&program.to_string_lossy()).context("monovisor has a version")?;
    let compiler = cmd!(workspace.shell, "rustc --version").quiet().read()?;
    let monovisor = |name, program: &PathBuf, accel| Contender {
        name,
        version: ours.clone(),
        kind: Kind::Monovisor { program: program.clone(), accel, guest: guest.clone() },
    };
    let mut all = vec![
        Contender { name: "native", version: compiler, kind: Kind::Native(native) },
        monovisor("monovisor interpreter", &program, "interp"),
        monovisor("monovisor interpreter, loop", &portable, "interp"),
    ];
    let hello = images.join(HELLO).to_string_lossy().into_owned();
    let accel = |accel: &str| ["run", "--accel", accel, "--timeout=10s"].map(str::to_owned);
    let kvm = Invocation::new(program.to_string_lossy()).with(accel("kvm")).with([hello.clone()]);
    if works(&kvm, "monovisor on KVM") {
        all.push(monovisor("monovisor KVM", &program, "kvm"));
    }
    let Some(version) = machine::version(QEMU) else {
        eprintln!("xtask: {QEMU} is not installed (Debian: apt-get install qemu-system-x86)");
        return Ok(all);
    };
    for (name, accel) in [
        ("QEMU TCG, single", "tcg,thread=single"),
        ("QEMU TCG, multi", "tcg,thread=multi"),
        ("QEMU KVM", "kvm"),
    ] {
        let kind = Kind::Qemu { accel, guest: guest.clone() };
        let contender = Contender { name, version: version.clone(), kind };
        let words = [
            "-kernel",
            &hello,
            "-display",
            "none",
            "-no-reboot",
            "-nodefaults",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4",
        ];
        let hello = Invocation::new(QEMU).with(["-accel", accel]).with(words);
        if accel != "kvm" || works(&hello, name) {
            all.push(contender);
        }
    }
    Ok(all)
}

/// Whether the hello guest runs; says what stood in its way.
fn works(hello: &Invocation, name: &str) -> bool {
    let finished = hello.run(Duration::from_secs(20));
    let passed = matches!(&finished, Ok(finished) if finished.status == Some(PASSED));
    if !passed {
        let why = match finished {
            Ok(finished) => finished.stderr.lines().next().unwrap_or("it does not end").to_owned(),
            Err(error) => format!("{error:#}"),
        };
        eprintln!("xtask: {name} does not run here: {why}");
    }
    passed
}

impl Contender {
    /// The exit status with which `command`s end well.
    pub fn success(&self) -> i32 {
        if matches!(self.kind, Kind::Native(_)) { 0 } else { PASSED }
    }

    /// The command that does `work`.
    pub fn command(&self, work: &Work, disk: &ScratchDisk) -> Invocation {
        let Work { name, cpus, ms } = work;
        let append = format!("run={name} ms={ms} threads={cpus}");
        let [ms, cpus] = [ms.to_string(), cpus.to_string()];
        match &self.kind {
            Kind::Native(program) => Invocation::new(program.to_string_lossy())
                .with([*name, &ms, &cpus])
                .with([disk.path()]),
            Kind::Monovisor { program, accel, guest } => Invocation::new(program.to_string_lossy())
                .with(["run", "--accel", accel, "--memory", MEMORY, "--cpus", &cpus])
                .with(disk.for_monovisor())
                .with(["--append", &append])
                .with([guest.to_string_lossy()]),
            Kind::Qemu { accel, guest } => {
                let command = Invocation::new(QEMU)
                    .with(["-accel", accel, "-cpu", if *accel == "kvm" { "host" } else { "max" }])
                    .with(["-m", MEMORY, "-smp", &cpus, "-display", "none", "-no-reboot"])
                    .with(["-nodefaults", "-serial", "stdio", "-append", &append])
                    .with(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"])
                    .with([guest.to_string_lossy()]);
                // Only this machine of QEMU's has virtio over MMIO, and only that one has no ACPI,
                // without which the guest finds no second processor.
                if *name == "fileio" { command.with(disk.for_qemu()) } else { command }
            }
        }
    }
}
