//! `cargo xtask bench compare`: the same workloads natively, on monovisor and on its peers.
//!
//! Rounds go over all workloads and contenders, so that whatever the machine does meanwhile meets
//! everyone. Here is the order of work; `contender` says how each is started, `sample` what one run
//! gave, `stopwatch` whose clock is believed. `comparison` holds the results, `baseline` and `targets`
//! judge them, and `markdown`, `page` and `picture` show them; `publish` puts them into README.

mod baseline;
mod comparison;
mod contender;
mod markdown;
mod page;
mod picture;
mod plot;
mod publish;
mod sample;
mod stopwatch;
mod targets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::guest::header::Disk;
use crate::machine::ScratchDisk;
use crate::workspace::Workspace;

use comparison::Comparison;
use contender::{Contender, Found};
use sample::{Sample, Work};

/// The workloads, in the order of the report; the first five are sysbench's.
const WORKLOADS: [&str; 9] =
    ["cpu", "threads", "memory", "mutex", "fileio", "syscall", "context", "interrupt", "exit"];
/// How many of them are sysbench's.
const SYSBENCH: usize = 5;
/// The workloads whose scaling over processors is shown.
const SCALED: [&str; 2] = ["threads", "mutex"];
/// Up to as many as the host has, but to more than most have, and to no more than can be read.
const LEAST_SCALE: u32 = 4;
const MOST_SCALE: u32 = 16;
/// What has several threads, or sends from one processor to another; all else has one processor.
const PARALLEL: [&str; 3] = ["threads", "mutex", "interrupt"];
/// Processors, and threads, of those.
const CPUS: u32 = 2;
const DISK: Disk = Disk { bytes: 64 << 20, read_only: false };

/// What `--quick` has for its runs, in seconds; to build comes on top, and one run may outlast it.
const QUICK_SECONDS: u64 = 150;
/// A median is stable if the last round has moved it by less.
const STABLE: f64 = 0.02;
const LEAST_ROUNDS: usize = 3;

/// Compares native execution, KVM, the interpreter and QEMU on the same work
///
/// Each workload runs in rounds, natively and in a guest of every contender that this machine has,
/// until the medians are stable or the time is spent. The report goes to a folder: a page with
/// charts, Markdown, and JSON.
#[derive(Args)]
pub struct Compare {
    /// Only these workloads, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(WORKLOADS))]
    only: Vec<String>,
    /// One round of short runs, which ends within three minutes
    #[arg(long)]
    quick: bool,
    /// How many minutes rounds may be repeated for; the first is finished in any case
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The folder for the report [default: target/compare]
    #[arg(long)]
    out: Option<PathBuf>,
    /// An earlier report.json: shows what has changed since, and whether it exceeds the noise
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Puts table and chart into README.md
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    publish: bool,
}

impl Compare {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let baseline = self.baseline.as_deref().map(baseline::read).transpose()?;
        let Found { contenders, absent } = contender::find_all(workspace)?;
        for contender in &contenders {
            let remark = contender.remark.unwrap_or_default();
            eprintln!("xtask: {}: {}. {remark}", contender.name, contender.version);
        }
        absent.iter().for_each(|one| eprintln!("xtask: {one}"));
        let folder = self.out.clone().unwrap_or_else(|| workspace.target.join("compare"));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let samples = self.measure(&contenders, &folder)?;
        let comparison = Comparison::new(workspace, &contenders, absent, samples)?;
        let changes = baseline.map(|old| baseline::compare(&old, &comparison));
        write(&folder, "report.json", &serde_json::to_string_pretty(&comparison)?)?;
        let markdown = markdown::show(&comparison, changes.as_deref());
        write(&folder, "report.md", &markdown)?;
        write(&folder, "report.html", &page::show(&comparison, changes.as_deref()))?;
        write(&folder, "report.svg", &picture::draw(&comparison))?;
        print!("{markdown}");
        if self.publish {
            publish::publish(workspace, &comparison)?;
        }
        eprintln!("\nxtask: wrote {}", folder.join("report.html").display());
        Ok(if comparison.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What there is to measure in one round.
    fn works(&self) -> Vec<Work> {
        let chosen = |name: &&str| self.only.is_empty() || self.only.iter().any(|one| one == name);
        let ms = if self.quick { 100 } else { 1000 };
        let work = |name: &'static str, cpus| Work { name, cpus, ms };
        let mut works: Vec<Work> =
            WORKLOADS.into_iter().filter(chosen).map(|name| work(name, usual_cpus(name))).collect();
        let others: Vec<u32> = scale().into_iter().filter(|&cpus| cpus != CPUS).collect();
        for name in SCALED.into_iter().filter(chosen) {
            works.extend(others.iter().map(|&cpus| work(name, cpus)));
        }
        works
    }

    /// Rounds over everything, until enough is known.
    fn measure(&self, contenders: &[Contender], folder: &Path) -> Result<Vec<Sample>> {
        let works = self.works();
        if works.is_empty() {
            bail!("there is nothing to measure");
        }
        let budget =
            Duration::from_secs(if self.quick { QUICK_SECONDS } else { 60 * self.minutes });
        let able = |work: &Work| contenders.iter().filter(|one| one.does(work.name)).count();
        let runs = works.iter().map(able).sum::<usize>() as u64;
        let bar = ProgressBar::new(runs * if self.quick { 1 } else { LEAST_ROUNDS as u64 });
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {msg}") {
            bar.set_style(style);
        }
        let qemu_aio = contender::qemu_aio(contenders, folder)?;
        let started = Instant::now();
        let mut samples: Vec<Sample> = Vec::new();
        'rounds: for round in 0.. {
            for work in &works {
                // Each round begins with another contender.
                let (end, start) = contenders.split_at(round % contenders.len());
                for contender in start.iter().chain(end).filter(|one| one.does(work.name)) {
                    let late = started.elapsed() > budget;
                    if late && round > 0 {
                        break 'rounds;
                    }
                    if late && self.quick {
                        samples.push(Sample::without(contender, work, "there was no time left"));
                        continue;
                    }
                    // What could not be measured once costs its time limit each time.
                    let failed =
                        |sample: &Sample| sample.is_of(contender, work) && sample.failure.is_some();
                    if !samples.iter().any(failed) {
                        bar.set_message(format!("{} on {}", work.name, contender.name));
                        let mut disk = ScratchDisk::new(DISK, folder).context("making a disk")?;
                        disk.qemu_aio = qemu_aio;
                        samples.push(sample::take(contender, work, &disk));
                    }
                    bar.inc(1);
                }
            }
            let enough = round + 1 >= LEAST_ROUNDS && comparison::is_stable(&samples, STABLE);
            if self.quick || enough {
                break;
            }
            if round + 1 >= LEAST_ROUNDS {
                bar.inc_length(runs);
            }
        }
        bar.finish_and_clear();
        Ok(samples)
    }
}

/// The numbers of processors over which workloads are scaled.
fn scale() -> Vec<u32> {
    let host = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let most = host.clamp(LEAST_SCALE, MOST_SCALE);
    std::iter::successors(Some(1), |cpus| Some(cpus * 2)).take_while(|&cpus| cpus <= most).collect()
}

/// With how many processors a workload is shown.
fn usual_cpus(workload: &str) -> u32 {
    if PARALLEL.contains(&workload) { CPUS } else { 1 }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
