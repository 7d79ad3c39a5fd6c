//! Takes the times: alternating runs of one image on each contender, with progress.
//!
//! Only this file starts programs for the benchmark; what it returns is plain numbers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::report::{Measured, Startup};
use super::statistics::Spread;
use crate::guest::header::{Header, Outcome};
use crate::machine::{Machine, ScratchDisk};
use crate::process::Invocation;

/// A run that takes longer has hung.
const HARD_LIMIT: Duration = Duration::from_secs(300);

/// What is measured, and its name in the tables.
pub struct Contender {
    /// How it is started.
    pub machine: Machine,
    /// What a reader calls it.
    pub name: String,
}

/// Counts the runs and takes their times.
pub struct Meter {
    bar: ProgressBar,
    /// Where monovisor writes what it knows about a run.
    json: PathBuf,
}

/// What monovisor's `--json` says that is needed here.
#[derive(Deserialize)]
struct RunReport {
    /// Absent where the engine does not count them.
    instructions: Option<u64>,
}

impl Meter {
    /// For so many rounds of runs, with a folder for what is passing.
    pub fn new(rounds: u64, folder: &Path) -> Self {
        let bar = ProgressBar::new(rounds);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, json: folder.join("run.json") }
    }

    /// All rounds are done.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Pairs of runs of one guest, the order within a pair changing each time.
    pub fn pairs(
        &self,
        name: &str,
        image: &Path,
        header: &Header,
        contenders: &[Contender; 2],
        pairs: u32,
    ) -> Result<Measured> {
        let append = header.bench.as_deref().or(header.append.as_deref());
        let folder = self.json.parent().unwrap_or(Path::new("."));
        let disk = header.disk.map(|disk| ScratchDisk::new(disk, folder)).transpose()?;
        let invocations = contenders.each_ref().map(|contender| {
            let command = contender.machine.invocation(image, header, append, disk.as_ref());
            match contender.machine.is_monovisor() {
                true => with_json(command, &self.json),
                false => command,
            }
        });
        let expected = expected_status(header)?;
        let mut seconds = [Vec::new(), Vec::new()];
        let mut instructions = None;
        for pair in 0..pairs {
            self.bar.set_message(name.to_owned());
            for side in [pair % 2, 1 - pair % 2].map(|side| side as usize) {
                let finished = invocations[side].run_expecting(expected, HARD_LIMIT)?;
                seconds[side].push(finished.wall.as_secs_f64());
                if side == 0 {
                    instructions = self.instructions()?;
                }
            }
            self.step(name, &format!("{:.2} s, {:.2} s", last(&seconds[0]), last(&seconds[1])));
        }
        let [ours, theirs] = seconds;
        Measured::new(ours, theirs, instructions).context("nothing was measured")
    }

    /// Whole processes from cold start to the hello guest's exit: time and memory.
    pub fn startup(
        &self,
        image: &Path,
        header: &Header,
        monovisor: &Machine,
        rounds: u32,
    ) -> Result<Vec<Startup>> {
        let append = header.append.as_deref();
        let expected = expected_status(header)?;
        let named = |name: &str, machine: &Machine| {
            (name.to_owned(), machine.invocation(image, header, append, None), expected)
        };
        let contenders = [
            named("monovisor", monovisor),
            named("QEMU microvm, qboot", &Machine::QemuMicrovm),
            named("QEMU pc", &Machine::Qemu),
            // What it costs to start any process, and what memory is counted for one that uses none.
            ("an empty process".to_owned(), Invocation::new("true"), 0),
        ];
        let mut results: Vec<_> = contenders.iter().map(|_| (Vec::new(), Vec::new())).collect();
        for _ in 0..rounds {
            let each = contenders.iter().zip(&mut results);
            for ((_, invocation, status), (seconds, bytes)) in each {
                let finished = invocation.run_expecting(*status, HARD_LIMIT)?;
                seconds.push(finished.wall.as_secs_f64());
                bytes.push(finished.resident_bytes as f64);
            }
            self.step("start-up", &format!("{:.1} ms", last(&results[0].0) * 1e3));
        }
        contenders
            .into_iter()
            .zip(results)
            .map(|((name, invocation, _), (seconds, bytes))| {
                Ok(Startup {
                    name,
                    command: invocation.to_string(),
                    seconds: Spread::of(seconds).context("no rounds")?,
                    resident_bytes: Spread::of(bytes).context("no rounds")?,
                })
            })
            .collect()
    }

    fn instructions(&self) -> Result<Option<u64>> {
        let path = &self.json;
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let report: RunReport = serde_json::from_str(&text)
            .with_context(|| format!("understanding {}", path.display()))?;
        Ok(report.instructions)
    }

    fn step(&self, name: &str, what: &str) {
        self.bar.inc(1);
        if self.bar.is_hidden() {
            eprintln!(
                "{}/{} {name}: {what}",
                self.bar.position(),
                self.bar.length().unwrap_or_default()
            );
        }
    }
}

/// The status that each run must end with, or its time says nothing.
fn expected_status(header: &Header) -> Result<i32> {
    match header.outcome {
        Outcome::Exit(expected) => Ok(expected),
        _ => bail!("a guest that does not exit can't be measured"),
    }
}

/// The same `monovisor run` with `--json`, which goes before the image.
fn with_json(mut command: Invocation, path: &Path) -> Invocation {
    let image = command.words.pop();
    command.with(["--json".to_owned(), path.to_string_lossy().into_owned()]).with(image)
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Machine {
        // A stand-in for monovisor: `sh -c` can't be had through `Machine`, a script file can.
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("xtask-measure-{}", std::process::id()));
        let script = format!(
            "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = --json ] && json=$2; shift; done\n{text}\n"
        );
        std::fs::write(&path, script).expect("a temporary file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        Machine::Monovisor(path)
    }

    #[test]
    fn a_run_is_timed_and_a_failing_one_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let meter = Meter::new(2, folder.path());
        let header = Header::default();
        let contenders = |text: &str| {
            ["a", "b"].map(|name| Contender { machine: script(text), name: name.to_owned() })
        };
        let good = contenders("echo '{\"instructions\": 5, \"engine\": \"x\"}' > $json; exit 33");
        let measured = meter.pairs("x", Path::new("image"), &header, &good, 2).expect("two runs");
        assert_eq!(measured.instructions, Some(5));
        assert!(measured.ours.min > 0.0 && measured.ours.max >= measured.ours.median);

        let bad = contenders("echo no such thing >&2; exit 125");
        let error = meter.pairs("x", Path::new("image"), &header, &bad, 1).expect_err("a failure");
        assert!(error.to_string().contains("status 125, not 33, saying: no such thing"), "{error}");
    }
}
