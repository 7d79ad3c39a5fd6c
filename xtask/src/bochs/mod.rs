//! How a guest is run on Bochs: a folder with its configuration, a firmware of our own (`rom`), and the
//! guest's image as it lies in memory, because Bochs knows no kernels.
//!
//! Nothing but the screen's plugin must be installed beside it. Its clock counts instructions: what
//! time they took only the host can tell (`stopwatch`).

mod rom;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use object::elf::{FileHeader64, NoteType, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, U32};
use tempfile::TempDir;

use crate::process::{Finished, Invocation};

const PROGRAM: &str = "bochs";
/// Where images of guests begin.
const IMAGE_BASE: u64 = 0x10_0000;
/// Bochs has no other name for an end that a guest asked for.
const END: &str = "Shutdown port: shutdown requested";
/// A guest's last words, if it dies.
const PANIC: &str = "panicked at";
/// How many instructions make a second of the guest's time: about as many as one of the host's, so that
/// runs last about as long as they are told to.
const INSTRUCTIONS: u32 = 100_000_000;
/// The ELF note with PVH's entry point (Xen, `public/elfnote.h`).
const XEN_ELFNOTE_PHYS32_ENTRY: NoteType = NoteType(18);

/// Bochs, and what it is told.
pub struct Bochs {
    /// Its own words about its version.
    pub version: String,
    /// It was built with its debugger, which wants to be told to begin.
    debugger: bool,
    folder: TempDir,
}

impl Bochs {
    /// The Bochs that is installed.
    pub fn find() -> Result<Self> {
        let output = Command::new(PROGRAM).arg("--help").stdin(Stdio::null()).output();
        let missing = "it is not installed (Debian: apt-get install bochs bochs-sdl)";
        let output = output.context(missing)?;
        let help = [output.stdout, output.stderr].concat();
        let help = String::from_utf8_lossy(&help);
        let version = help.lines().map(str::trim).find(|line| line.starts_with("Bochs"));
        Ok(Self {
            version: version.context("it tells no version")?.to_owned(),
            debugger: help.contains("-rc "),
            folder: TempDir::with_prefix("monovisor-bochs-").context("making a folder for it")?,
        })
    }

    /// The command that runs the ELF file `image`. It replaces the one before.
    pub fn command(
        &self,
        image: &Path,
        cpus: u32,
        memory_mib: u32,
        command_line: &str,
    ) -> Result<Invocation> {
        let elf = std::fs::read(image).with_context(|| format!("reading {}", image.display()))?;
        let (memory, entry) =
            lay_out(&elf).with_context(|| format!("laying out {}", image.display()))?;
        self.start(&memory, &rom::build(entry, cpus, memory_mib, command_line)?, cpus, memory_mib)
    }

    /// The command that runs what `rom` enters, with `memory` at [`IMAGE_BASE`].
    fn start(&self, memory: &[u8], rom: &[u8], cpus: u32, memory_mib: u32) -> Result<Invocation> {
        let place = |name: &str| self.folder.path().join(name).display().to_string();
        let settings = format!(
            "cpu: model=corei7_haswell_4770, count={cpus}, ips={INSTRUCTIONS}, reset_on_triple_fault=0\n\
             megs: {memory_mib}\n\
             romimage: file={}\n\
             optramimage1: file={}, address={IMAGE_BASE:#x}\n\
             com1: enabled=1, mode=file, dev=/dev/stdout\n\
             port_e9_hack: enabled=1\n\
             display_library: sdl2\n\
             plugin_ctrl: speaker=0\n\
             clock: sync=none\n\
             panic: action=fatal\n\
             log: {}\n",
            place("rom"),
            place("memory"),
            place("log"),
        );
        for (name, bytes) in [
            ("memory", memory),
            ("rom", rom),
            ("settings", settings.as_bytes()),
            ("commands", b"continue\n"),
        ] {
            std::fs::write(place(name), bytes)
                .with_context(|| format!("writing Bochs's {name}"))?;
        }
        let command = Invocation::new("env").with(["SDL_VIDEODRIVER=dummy", PROGRAM, "-q"]);
        let command = command.with(["-f".to_owned(), place("settings")]);
        let begin = ["-rc".to_owned(), place("commands")];
        Ok(if self.debugger { command.with(begin) } else { command })
    }

    /// Why a run has not ended well, if it has not.
    pub fn failure(finished: &Finished) -> Option<String> {
        if finished.killed {
            return Some("it did not end in time".to_owned());
        }
        let panic = finished.stdout.lines().find(|line| line.contains(PANIC));
        let last = || finished.stderr.lines().rev().find(|line| !line.starts_with("=="));
        let why = match panic {
            None if finished.stderr.contains(END) => return None,
            None => last().unwrap_or("it ended without a word"),
            Some(panic) => panic,
        };
        Some(why.to_owned())
    }
}

/// The bytes of an ELF image from [`IMAGE_BASE`] on, and where PVH enters it.
fn lay_out(elf: &[u8]) -> Result<(Vec<u8>, u32)> {
    let header = FileHeader64::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let mut memory = Vec::new();
    let mut entry = None;
    for segment in header.program_headers(endian, elf)? {
        if segment.p_type(endian) == PT_LOAD {
            let Ok(bytes) = segment.data(endian, elf) else {
                bail!("a segment is not in the file")
            };
            let start = segment.p_paddr(endian).checked_sub(IMAGE_BASE);
            let start = usize::try_from(start.context("a segment is below 1 MiB")?)?;
            // What is behind the file's bytes is zero, as memory is.
            memory.resize(memory.len().max(start + bytes.len()), 0);
            memory[start..start + bytes.len()].copy_from_slice(bytes);
        }
        if let Some(mut notes) = segment.notes(endian, elf)? {
            while let Some(note) = notes.next()? {
                if note.name() == b"Xen" && note.n_type(endian) == XEN_ELFNOTE_PHYS32_ENTRY {
                    let address =
                        note.desc().first_chunk::<4>().map(|bytes| U32::from_bytes(*bytes));
                    entry = address.map(|address| address.get(endian));
                }
            }
        }
    }
    Ok((memory, entry.context("it has no PVH entry point")?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_guest_is_entered_with_its_command_line_and_ends_the_run() {
        let Ok(bochs) = Bochs::find() else {
            eprintln!("skipped: Bochs is not installed (Debian: apt-get install bochs bochs-sdl)");
            return;
        };
        const WORDS: &str = "a guest was here\n";
        let guest = [
            &[0x8b, 0x73, 0x18][..],             // mov esi, [ebx + 24]: the command line
            &[0xb9, WORDS.len() as u8, 0, 0, 0], // mov ecx, its length
            &[0x66, 0xba, 0xe9, 0x00, 0xf3, 0x6e], // mov dx, 0xe9; rep outsb
            &[0xbe, 0x20, 0x00, 0x10, 0x00],     // mov esi, 0x100020
            &[0xb9, 8, 0, 0, 0],                 // mov ecx, 8
            &[0x66, 0xba, 0x00, 0x89, 0xf3, 0x6e], // mov dx, 0x8900; rep outsb
            &[0xf4, 0x90],                       // hlt
            b"Shutdown",
        ];
        let rom = rom::build(IMAGE_BASE as u32, 1, 16, WORDS).expect("a ROM");
        let command = bochs.start(&guest.concat(), &rom, 1, 16).expect("a command");
        let finished = command.run(Duration::from_secs(60)).expect("Bochs starts");
        assert_eq!(Bochs::failure(&finished), None, "{}", finished.stderr);
        assert!(finished.stdout.contains(WORDS), "{}", finished.stdout);
    }

    #[test]
    fn what_is_no_guest_is_not_laid_out() {
        assert!(lay_out(b"nothing").is_err());
    }
}
