//! Where the workspace is, and how its programs and guests are built.
//!
//! The only place that calls `cargo build`. Guests and host programs are built by separate calls, so
//! that flags of one never reach the other.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xshell::{Shell, cmd};

/// The target for guests on hosts whose own target can't link them.
const BARE_METAL: &str = "x86_64-unknown-none";

/// What makes `monovisor` a static program, which starts sooner.
const STATIC: &str = "host/static.toml";

/// How the interpreter dispatches from one operation to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatcher {
    /// Each handler tail-calls its successor: the default.
    Tail,
    /// A plain loop calls each handler: the cargo feature `loop-dispatch`.
    Loop,
}

/// The checked-out workspace and a shell that stands in its root.
pub struct Workspace {
    /// Runs commands in the root folder.
    pub shell: Shell,
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target folder, wherever the user's configuration puts it.
    pub target: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program was built from.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the xtask package has no parent folder")?
            .to_owned();
        let shell = Shell::new()?;
        shell.change_dir(&root);
        let metadata = cmd!(shell, "cargo metadata --no-deps --format-version 1").quiet().read()?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).context("reading the answer of `cargo metadata`")?;
        Ok(Self { shell, root, target: metadata.target_directory })
    }

    /// The folder of the guests' sources, one file per guest.
    pub fn guest_sources(&self) -> PathBuf {
        self.root.join("guest-tests/src/bin")
    }

    /// Builds every guest and returns the folder that the images are in.
    pub fn build_guests(&self) -> Result<PathBuf> {
        let shell = &self.shell;
        let build = cmd!(shell, "cargo build --release -p guest-tests").quiet();
        if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
            build.run().context("building the guests")?;
            return Ok(self.target.join("release"));
        }
        let installed = cmd!(shell, "rustup target list --installed")
            .quiet()
            .read()
            .context("asking rustup for the installed targets")?;
        if !installed.lines().any(|target| target == BARE_METAL) {
            bail!("this host builds guests for {BARE_METAL}: run `rustup target add {BARE_METAL}`");
        }
        build.args(["--target", BARE_METAL]).run().context("building the guests")?;
        Ok(self.target.join(BARE_METAL).join("release"))
    }

    /// Builds the comparison's workloads as a program for this host, and returns its path.
    pub fn build_native(&self) -> Result<PathBuf> {
        cmd!(self.shell, "cargo build --release -p xtask --bin native")
            .quiet()
            .run()
            .context("building the native workloads")?;
        Ok(self.target.join("release").join(exe("native")))
    }

    /// Builds the optimised `monovisor` and returns its path.
    ///
    /// The program with the `loop` dispatcher is set aside, so that both can be had at once and share
    /// the build of everything that does not differ.
    pub fn build_monovisor(&self, dispatcher: Dispatcher, features: &[String]) -> Result<PathBuf> {
        let shell = &self.shell;
        let mut features = features.to_vec();
        if dispatcher == Dispatcher::Loop {
            features.push("loop-dispatch".to_owned());
        }
        let features = features.join(",");
        let build = cmd!(shell, "cargo build --release -p monovisor --features {features}").quiet();
        let (build, profile) = match self.static_target() {
            Some(target) => (build.args(["--config", STATIC]), format!("{target}/release")),
            None => (build, "release".to_owned()),
        };
        build.run().context("building monovisor")?;
        match dispatcher {
            Dispatcher::Tail => Ok(self.target.join(profile).join(exe("monovisor"))),
            Dispatcher::Loop => self.set_aside(&profile, "loop-dispatch"),
        }
    }

    /// The host's target if programs can be linked with the C library in them: with glibc, whose
    /// static library some systems have in a package of its own. None if not.
    fn static_target(&self) -> Option<String> {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            return None;
        }
        let shell = &self.shell;
        // The bare name comes back if there is no such file.
        let library = cmd!(shell, "cc -print-file-name=libc.a").quiet().read().ok()?;
        let target = cmd!(shell, "rustc --print host-tuple").quiet().read().ok()?;
        Path::new(&library).is_absolute().then_some(target)
    }

    /// Copies the `monovisor` that was just built from cargo's folder `profile` to a `folder` of its
    /// own, where the next build does not replace it, and returns its path there.
    pub fn set_aside(&self, profile: &str, folder: &str) -> Result<PathBuf> {
        let built = self.target.join(profile).join(exe("monovisor"));
        let folder = self.target.join(folder);
        self.shell.create_dir(&folder)?;
        let aside = folder.join(exe("monovisor"));
        // Copied under another name first: the old program may still be running.
        let fresh = folder.join("monovisor.new");
        std::fs::copy(&built, &fresh)
            .and_then(|_| std::fs::rename(&fresh, &aside))
            .with_context(|| format!("moving {} to {}", built.display(), aside.display()))?;
        Ok(aside)
    }
}

fn exe(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}
