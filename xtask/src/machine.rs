//! The machines that a guest is run on, each as a command line: monovisor and QEMU; and the disks
//! that they are given.
//!
//! How a guest is started stands only here; what must come of it is the guest's own header.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use crate::guest::header::{Disk, Header, flag_value, flag_values};
use crate::process::Invocation;

/// QEMU's program for whole x86-64 machines.
pub const QEMU: &str = "qemu-system-x86_64";

/// QEMU's own engine, which gives each processor a thread.
const TCG: &str = "tcg,thread=multi";

/// Guest memory where a header asks for none.
const MEMORY: &str = "128M";

/// What a guest runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    /// monovisor's interpreter: this program.
    Monovisor(PathBuf),
    /// The same program on KVM.
    Kvm(PathBuf),
    /// QEMU's TCG on its `pc` machine, as kernels are usually tested; a thread for each processor.
    Qemu,
    /// The same with one thread for all processors.
    QemuSingle,
    /// QEMU on KVM.
    QemuKvm,
    /// QEMU's TCG on its smallest machine with its quickest firmware.
    QemuMicrovm,
}

impl Machine {
    /// The program that is started.
    pub fn program(&self) -> String {
        match self {
            Self::Monovisor(program) | Self::Kvm(program) => program.to_string_lossy().into_owned(),
            Self::Qemu | Self::QemuSingle | Self::QemuKvm | Self::QemuMicrovm => QEMU.to_owned(),
        }
    }

    /// Whether that is monovisor, which understands all of its own flags.
    pub fn is_monovisor(&self) -> bool {
        matches!(self, Self::Monovisor(_) | Self::Kvm(_))
    }

    /// The command that runs `image` as its `header` says, with this kernel command line and disk.
    pub fn invocation(
        &self,
        image: &Path,
        header: &Header,
        append: Option<&str>,
        disk: Option<&ScratchDisk>,
    ) -> Invocation {
        let image = image.to_string_lossy().into_owned();
        let monovisor = |accel| monovisor(&self.program(), accel, header, disk);
        let pc = |accel| {
            qemu(accel, &image, header)
                .with(["-nodefaults", "-serial", "stdio"])
                .with(disk.into_iter().flat_map(ScratchDisk::for_qemu))
        };
        let command = match self {
            Self::Monovisor(_) => monovisor("interp"),
            Self::Kvm(_) => monovisor("kvm"),
            Self::Qemu => pc(TCG),
            Self::QemuSingle => pc("tcg,thread=single"),
            Self::QemuKvm => pc("kvm"),
            // In QEMU's favour: a hello guest needs the serial port and none of what is off.
            Self::QemuMicrovm => qemu(TCG, &image, header).with([
                "-M",
                "microvm,isa-serial=on,pit=off,pic=off,rtc=off",
                "-bios",
                "qboot.rom",
                "-nodefaults",
                "-serial",
                "stdio",
            ]),
        };
        let ours = self.is_monovisor();
        let flag = if ours { "--append" } else { "-append" };
        let command = match append {
            Some(words) => command.with([flag, words]),
            None => command,
        };
        if ours { command.with([image]) } else { command }
    }
}

/// A disk image that is there for one run.
pub struct ScratchDisk {
    file: NamedTempFile,
    read_only: bool,
    /// QEMU reads and writes it by this way of the host's, if not by its usual one.
    pub qemu_aio: Option<&'static str>,
}

impl ScratchDisk {
    /// A disk of zeros as `disk` says, in `folder`.
    pub fn new(disk: Disk, folder: &Path) -> io::Result<Self> {
        let file = NamedTempFile::new_in(folder)?;
        file.as_file().set_len(disk.bytes)?;
        Ok(Self { file, read_only: disk.read_only, qemu_aio: None })
    }

    /// Where it is.
    pub fn path(&self) -> String {
        self.file.path().to_string_lossy().into_owned()
    }

    /// As monovisor wants it on its command line.
    pub fn for_monovisor(&self) -> [String; 2] {
        let suffix = if self.read_only { ",ro" } else { "" };
        ["--disk".into(), format!("{}{suffix}", self.file.path().display())]
    }

    /// As QEMU does. Of its machines, `microvm` has virtio over MMIO.
    pub fn for_qemu(&self) -> [String; 8] {
        let read_only = if self.read_only { "on" } else { "off" };
        let path = self.file.path().display();
        let aio = self.qemu_aio.map_or(String::new(), |aio| format!("aio={aio},"));
        let drive = format!("if=none,id=disk,format=raw,{aio}read-only={read_only},file={path}");
        [
            "-M",
            "microvm,acpi=off,pit=on,pic=on,rtc=on",
            "-global",
            "virtio-mmio.force-legacy=false",
            "-drive",
            &drive,
            "-device",
            "virtio-blk-device,drive=disk",
        ]
        .map(str::to_owned)
    }
}

fn monovisor(
    program: &str,
    accel: &str,
    header: &Header,
    disk: Option<&ScratchDisk>,
) -> Invocation {
    Invocation::new(program)
        .with(["run", "--accel", accel])
        .with(processors("--cpus", header))
        .with(header.flags.iter().cloned())
        .with(disk.into_iter().flat_map(ScratchDisk::for_monovisor))
}

/// QEMU with what it has in common on all its machines; it takes the memory's size and the modules
/// from monovisor's flags.
fn qemu(accel: &str, image: &str, header: &Header) -> Invocation {
    let flags = &header.flags;
    let memory = flag_value(flags, "--memory").unwrap_or(MEMORY);
    let modules: Vec<&str> = flag_values(flags, "--module").collect();
    let initrd = (!modules.is_empty()).then(|| ["-initrd".to_owned(), modules.join(",")]);
    Invocation::new(QEMU)
        .with(["-accel", accel, "-cpu", "max", "-m", memory, "-kernel", image])
        .with([
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4",
        ])
        .with(initrd.into_iter().flatten())
        .with(processors("-smp", header))
}

/// The flag for more processors than one.
fn processors(flag: &str, header: &Header) -> Vec<String> {
    match header.cpus {
        1 => Vec::new(),
        cpus => vec![flag.to_owned(), cpus.to_string()],
    }
}

/// The first line of `program --version`, or `None` where it can't be run.
pub fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::header;

    fn command(machine: &Machine, header: &str) -> String {
        let header = header::parse(header).expect("a header");
        let append = header.append.clone();
        machine.invocation(Path::new("t/hello"), &header, append.as_deref(), None).to_string()
    }

    #[test]
    fn monovisor_gets_the_headers_flags_and_command_line() {
        let monovisor = Machine::Monovisor("m".into());
        assert_eq!(
            command(&monovisor, "//@ flags: --timeout 1s\n//@ append: a b\n"),
            "m run --accel interp --timeout 1s --append 'a b' t/hello"
        );
        assert_eq!(command(&Machine::Kvm("m".into()), ""), "m run --accel kvm t/hello");
    }

    #[test]
    fn qemu_gets_the_command_line_the_memory_and_the_modules_but_no_flags() {
        let words = command(&Machine::Qemu, "//@ flags: --memory 64M -v\n//@ append: a\n");
        assert!(words.contains(" -m 64M -kernel t/hello "), "{words}");
        assert!(words.ends_with(" -append a"), "{words}");
        assert!(!words.contains(" -v"), "{words}");
        assert!(!words.contains("-initrd"), "{words}");
        let words = command(&Machine::Qemu, "//@ flags: --module a --module=b\n");
        assert!(words.contains(" -initrd a,b "), "{words}");
        assert!(command(&Machine::QemuMicrovm, "").contains(" -m 128M "));
    }

    #[test]
    fn both_get_the_processors() {
        let monovisor = Machine::Monovisor("m".into());
        assert!(command(&monovisor, "//@ cpus: 3\n").contains(" --cpus 3 "));
        assert!(!command(&monovisor, "").contains("--cpus"));
        assert!(command(&Machine::Qemu, "//@ cpus: 3\n").contains(" -smp 3 "));
        assert!(!command(&Machine::Qemu, "").contains("-smp"));
    }
}
