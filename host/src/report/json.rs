//! `--json FILE`: a run's end for programs. The schema is [`Report`]; a consumer should ignore
//! fields it does not know.
//!
//! Invariants: the file is whole or it is not there, and fields are added but never renamed,
//! removed or given another meaning without raising [`Report::schema`].
//!
//! ```json
//! {
//!   "schema": 1,
//!   "monovisor": "0.1.0",
//!   "image": "kernel.elf",
//!   "engine": "interpreter",
//!   "cpus": 1,
//!   "ended_by": 0,
//!   "outcome": "exited",
//!   "message": "the guest exited with code 33",
//!   "exit_code": 33,
//!   "instructions": 600000000,
//!   "wall_time_ns": 500000000,
//!   "wall_time_s": 0.5,
//!   "unclaimed": [
//!     { "space": "port", "address": 128, "size_bytes": 1, "write": true, "count": 12 }
//!   ]
//! }
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use monovisor_core::Space;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Summary;
use crate::bus::Unclaimed;

/// The file's content.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this schema: 1.
    pub schema: u32,
    /// Version of monovisor.
    pub monovisor: &'static str,
    /// The image, as named on the command line; bytes that are not UTF-8 are replaced.
    pub image: String,
    /// `interpreter` or `kvm`.
    pub engine: String,
    /// How many vCPUs there were.
    pub cpus: usize,
    /// The number of the vCPU that ended the run; null if something else did.
    pub ended_by: Option<usize>,
    /// The [name](crate::outcome::Outcome::name) of the outcome.
    pub outcome: &'static str,
    /// The outcome as a sentence, for people; not an interface.
    pub message: String,
    /// The exit code of `monovisor run`.
    pub exit_code: u8,
    /// Instructions retired by all vCPUs; null where the engine does not count them.
    pub instructions: Option<u64>,
    /// Time from the first instruction to the last, in nanoseconds; null for a deterministic run,
    /// so that the file is the same each time.
    pub wall_time_ns: Option<u64>,
    /// The same in seconds.
    pub wall_time_s: Option<f64>,
    /// Device accesses that no device claimed.
    pub unclaimed: Vec<UnclaimedAccess>,
}

/// One kind of access to one place that no device claimed.
#[derive(Clone, Debug, Serialize)]
pub struct UnclaimedAccess {
    /// `port` or `memory`.
    pub space: &'static str,
    /// Port number or guest-physical address.
    pub address: u64,
    /// Width of the access.
    pub size_bytes: u8,
    /// Whether the guest wrote.
    pub write: bool,
    /// How often.
    pub count: u64,
}

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the JSON report to {}", path.display())]
pub struct JsonError {
    path: PathBuf,
    source: io::Error,
}

impl From<&Unclaimed> for UnclaimedAccess {
    fn from(unclaimed: &Unclaimed) -> Self {
        Self {
            space: match unclaimed.access.space {
                Space::Port => "port",
                Space::Memory => "memory",
            },
            address: unclaimed.access.address,
            size_bytes: unclaimed.access.size,
            write: unclaimed.write,
            count: unclaimed.count,
        }
    }
}

impl From<&Summary<'_>> for Report {
    fn from(summary: &Summary<'_>) -> Self {
        Self {
            schema: 1,
            monovisor: env!("CARGO_PKG_VERSION"),
            image: summary.image.to_string_lossy().into_owned(),
            engine: summary.engine.to_owned(),
            cpus: summary.cpus,
            ended_by: summary.ended_by,
            outcome: summary.outcome.name(),
            message: summary.outcome.to_string(),
            exit_code: summary.outcome.exit_code(),
            instructions: summary.instructions,
            wall_time_ns: summary.wall_time.map(|time| time.as_nanos() as u64),
            wall_time_s: summary.wall_time.map(|time| time.as_secs_f64()),
            unclaimed: summary.unclaimed.iter().map(UnclaimedAccess::from).collect(),
        }
    }
}

/// Writes the report to `path`. A regular file is replaced in one step; a pipe or a device, such as
/// `/dev/fd/3`, is written to.
///
/// # Errors
/// The file could not be created, written or put in place; then nothing of it is left.
pub fn write(path: &Path, summary: &Summary<'_>) -> Result<(), JsonError> {
    let failed = |source| JsonError { path: path.to_owned(), source };
    let mut text = serde_json::to_string_pretty(&Report::from(summary))
        .map_err(|error| failed(error.into()))?;
    text.push('\n');
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => {
            let mut special = OpenOptions::new().write(true).open(path).map_err(failed)?;
            special.write_all(text.as_bytes()).map_err(failed)
        }
        _ => replace(path, text.as_bytes()).map_err(failed),
    }
}

/// Writes a temporary file beside `path` and renames it; it is removed if anything fails.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // A symbolic link stays one: what it points to is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file: NamedTempFile = tempfile::Builder::new()
        .prefix(".monovisor-")
        .suffix(".json")
        .make_in(directory, |name| File::options().write(true).create_new(true).open(name))?;
    file.write_all(content)?;
    file.persist(&target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use monovisor_core::Access;
    use serde_json::json;

    use super::*;
    use crate::outcome::Outcome;

    const UNCLAIMED: [Unclaimed; 1] = [Unclaimed {
        access: Access { space: Space::Port, address: 0x80, size: 1 },
        write: true,
        count: 12,
    }];

    fn summary(outcome: &Outcome) -> Summary<'_> {
        Summary {
            outcome,
            image: Path::new("kernel.elf"),
            engine: "interpreter",
            cpus: 1,
            ended_by: Some(0),
            instructions: Some(600_000_000),
            wall_time: Some(Duration::from_millis(500)),
            unclaimed: &UNCLAIMED,
        }
    }

    #[test]
    fn the_file_holds_what_the_schema_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        write(&path, &summary(&Outcome::Exited(33))).unwrap();
        let content: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = json!({
            "schema": 1,
            "monovisor": env!("CARGO_PKG_VERSION"),
            "image": "kernel.elf",
            "engine": "interpreter",
            "cpus": 1,
            "ended_by": 0,
            "outcome": "exited",
            "message": "the guest exited with code 33",
            "exit_code": 33,
            "instructions": 600_000_000,
            "wall_time_ns": 500_000_000,
            "wall_time_s": 0.5,
            "unclaimed": [
                { "space": "port", "address": 128, "size_bytes": 1, "write": true, "count": 12 }
            ],
        });
        assert_eq!(content, expected);
    }

    #[test]
    fn an_old_report_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        fs::write(&path, "x".repeat(100_000)).unwrap();
        write(&path, &summary(&Outcome::TripleFault)).unwrap();
        let content: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(content["outcome"], "triple-fault");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing").join("run.json");
        let error = write(&path, &summary(&Outcome::PoweredOff)).unwrap_err();
        assert!(error.to_string().contains("run.json"), "{error}");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_a_link_is_kept() {
        write(Path::new("/dev/null"), &summary(&Outcome::PoweredOff)).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());

        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, &summary(&Outcome::PoweredOff)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&target).unwrap().contains("powered-off"));
    }
}
