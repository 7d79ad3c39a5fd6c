//! `cargo xtask run`: one guest on a freshly built monovisor, at the terminal.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::guest::{self, Guest};
use crate::process::Invocation;
use crate::workspace::{Dispatcher, Workspace};

/// Builds the guests and monovisor, and runs one guest
///
/// The exit status is monovisor's. The flags that a guest's own file declares are used unless you
/// give flags yourself.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask run\n  \
    cargo xtask run hello -- --memory 64M --timeout 2s\n  \
    cargo xtask run --list")]
pub struct Run {
    /// The guest: a file of guest-tests/src/bin without its `.rs`
    #[arg(default_value = "welcome")]
    guest: String,
    /// Shows all guests and runs none
    #[arg(long)]
    list: bool,
    /// Flags for `monovisor run`, after `--`
    #[arg(last = true)]
    flags: Vec<String>,
}

impl Run {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let guests = guest::find_all(&workspace.guest_sources())?;
        if self.list {
            for guest in &guests {
                println!("{:28} {}", guest.name, guest.summary);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let guest = guest::find_by_name(&guests, &self.guest)?;
        let flags = self.flags_for(guest)?;
        let images = workspace.build_guests()?;
        let monovisor = workspace.build_monovisor(Dispatcher::Tail, &[])?;
        let invocation = Invocation::new(monovisor.to_string_lossy())
            .with(["run"])
            .with(flags)
            .with([images.join(&guest.name).to_string_lossy()]);
        // monovisor takes this process's place: its exit status, signals and terminal are the shell's.
        let mut command = Command::new(&invocation.words[0]);
        command.args(&invocation.words[1..]);
        if self.flags.is_empty() {
            // A guest's own flags name files from there.
            command.current_dir(&workspace.root);
        }
        let error = command.exec();
        Err(error).with_context(|| format!("starting `{invocation}`"))
    }

    fn flags_for(&self, guest: &Guest) -> Result<Vec<String>> {
        if !self.flags.is_empty() {
            return Ok(self.flags.clone());
        }
        let header = guest.checked_header()?;
        let append = header.append.iter().flat_map(|words| ["--append".to_owned(), words.clone()]);
        Ok(header.flags.iter().cloned().chain(append).collect())
    }
}
