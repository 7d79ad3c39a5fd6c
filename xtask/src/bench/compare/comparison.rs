//! The results as numbers: for each variant and contender the median of all runs, with its range.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::contender::Contender;
use super::sample::{Line, Sample};
use super::{WORKLOADS, usual_cpus};
use crate::bench::host;
use crate::bench::statistics::Spread;
use crate::workspace::Workspace;

/// The contender that others are shown relative to.
pub const NATIVE: &str = "native";
/// The one whose speed targets are multiples of.
pub const TCG: &str = "QEMU TCG, multi";

/// Everything that was found out.
#[derive(Debug, Deserialize, Serialize)]
pub struct Comparison {
    /// The host.
    pub host: Host,
    /// Who took part.
    pub contenders: Vec<Described>,
    /// Who did not, and why.
    #[serde(default)]
    pub absent: Vec<String>,
    /// What each gave.
    pub results: Vec<Figure>,
    /// What was not measured, and why.
    pub missing: Vec<String>,
    /// Checksums that differ, and other reasons not to believe the figures.
    pub faults: Vec<String>,
}

/// What the figures were taken on.
#[derive(Debug, Deserialize, Serialize)]
pub struct Host {
    /// Its processor and how many of them.
    pub processor: String,
    /// Its kernel.
    pub kernel: String,
    /// What must be said of its KVM.
    pub kvm: Option<String>,
}

/// A contender.
#[derive(Debug, Deserialize, Serialize)]
pub struct Described {
    /// As reports call it.
    pub name: String,
    /// Its own words.
    pub version: String,
    /// How one of its runs was started.
    pub command: String,
    /// What its figures must not be read without.
    pub remark: Option<String>,
}

/// One variant on one contender.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Figure {
    /// The workload.
    pub work: String,
    /// The variant's name, the workload's if there is one only.
    pub variant: String,
    /// Processors, and threads.
    pub cpus: u32,
    /// The contender.
    pub contender: String,
    /// How many runs there were.
    #[serde(default)]
    pub runs: usize,
    /// Events a second: median and range over the runs.
    pub rate: Spread,
    /// Latencies of the median of runs.
    pub p50_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    /// The longest event of all.
    pub max_ns: u64,
    /// Of what was computed.
    pub checksum: String,
}

impl Comparison {
    /// From all samples.
    pub fn new(
        workspace: &Workspace,
        contenders: &[Contender],
        absent: Vec<String>,
        samples: Vec<Sample>,
    ) -> Result<Self> {
        let described = contenders.iter().map(|contender| Described {
            name: contender.name.to_owned(),
            version: contender.version.clone(),
            command: first_command(&samples, contender).unwrap_or_default(),
            remark: contender.remark.map(str::to_owned),
        });
        let mut results = figures(&samples);
        results.sort_by_key(|one| contenders.iter().position(|known| known.name == one.contender));
        let missing = samples.iter().filter_map(|sample| {
            let failure = sample.failure.as_ref()?;
            Some(format!(
                "{}, {}, on {}: {failure}",
                sample.work,
                vcpus(sample.cpus),
                sample.contender
            ))
        });
        Ok(Self {
            host: host(workspace)?,
            contenders: described.collect(),
            absent,
            missing: missing.collect(),
            faults: disagreements(&results),
            results,
        })
    }

    /// A contender's name, marked where `Host::kvm` must be said beside its figures.
    pub fn marked(&self, contender: &str) -> String {
        let mark = if self.host.kvm.is_some() && contender.ends_with("KVM") { " †" } else { "" };
        format!("{contender}{mark}")
    }

    /// The figures of one variant with `cpus` processors.
    pub fn of<'a>(&'a self, variant: &'a str, cpus: u32) -> impl Iterator<Item = &'a Figure> {
        self.results.iter().filter(move |one| one.variant == variant && one.cpus == cpus)
    }

    /// With how many processors a workload was done, in their order.
    pub fn scale(&self, work: &str) -> Vec<u32> {
        let of_work = self.results.iter().filter(|one| one.work == work);
        BTreeSet::from_iter(of_work.map(|one| one.cpus)).into_iter().collect()
    }

    /// All figures with their workload's usual number of processors.
    pub fn usual_figures(&self) -> impl Iterator<Item = &Figure> {
        self.results.iter().filter(|one| one.cpus == usual_cpus(&one.work))
    }

    /// Those of one variant.
    pub fn usual<'a>(&'a self, variant: &'a str) -> impl Iterator<Item = &'a Figure> {
        self.usual_figures().filter(move |one| one.variant == variant)
    }

    /// All variants at the usual number of processors, in the order of the workloads.
    pub fn variants(&self) -> Vec<&str> {
        let mut variants = Vec::new();
        for work in WORKLOADS {
            for figure in self.usual_figures().filter(|one| one.work == work) {
                if !variants.contains(&figure.variant.as_str()) {
                    variants.push(figure.variant.as_str());
                }
            }
        }
        variants
    }
}

/// A number of processors in words.
pub fn vcpus(count: u32) -> String {
    format!("{count} vCPU{}", if count == 1 { "" } else { "s" })
}

/// Whether the last round has moved no median by more than `limit`, as a share of it.
pub fn is_stable(samples: &[Sample], limit: f64) -> bool {
    groups(samples).values().all(|lines| {
        let rates = |lines: &[&Line]| Spread::of(lines.iter().map(|line| line.rate()).collect());
        let before = lines.split_last().and_then(|(_, before)| rates(before));
        match (rates(lines), before) {
            (Some(now), Some(before)) => (now.median - before.median).abs() <= limit * now.median,
            _ => false,
        }
    })
}

/// What the runs of one variant on one contender are known by: contender, workload, variant, cpus.
type Name<'a> = (&'a str, &'a str, &'a str, u32);

fn groups(samples: &[Sample]) -> BTreeMap<Name<'_>, Vec<&Line>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for sample in samples {
        for line in &sample.lines {
            let name = (sample.contender, sample.work, line.name.as_str(), sample.cpus);
            groups.entry(name).or_default().push(line);
        }
    }
    groups
}

fn figures(samples: &[Sample]) -> Vec<Figure> {
    let figure = |((contender, work, variant, cpus), lines): (Name<'_>, Vec<&Line>)| {
        let middle = |value: fn(&Line) -> u64| {
            let mut values: Vec<u64> = lines.iter().map(|line| value(line)).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        Some(Figure {
            work: work.to_owned(),
            variant: variant.to_owned(),
            cpus,
            contender: contender.to_owned(),
            runs: lines.len(),
            rate: Spread::of(lines.iter().map(|line| line.rate()).collect())?,
            p50_ns: middle(|line| line.p50_ns),
            p95_ns: middle(|line| line.p95_ns),
            p99_ns: middle(|line| line.p99_ns),
            max_ns: lines.iter().map(|line| line.max_ns).max()?,
            checksum: lines.first()?.checksum.clone(),
        })
    };
    groups(samples).into_iter().filter_map(figure).collect()
}

/// The variants whose checksums are not the same everywhere.
fn disagreements(results: &[Figure]) -> Vec<String> {
    let mut first = BTreeMap::<&str, &Figure>::new();
    let mut faults = Vec::new();
    for figure in results {
        let other = *first.entry(&figure.variant).or_insert(figure);
        if other.checksum != figure.checksum {
            faults.push(format!(
                "{} computed {} on {} and {} on {}",
                figure.variant, other.checksum, other.contender, figure.checksum, figure.contender
            ));
        }
    }
    faults
}

fn first_command(samples: &[Sample], contender: &Contender) -> Option<String> {
    Some(samples.iter().find(|one| one.contender == contender.name)?.command.clone())
}

fn host(workspace: &Workspace) -> Result<Host> {
    let host::Host { processor, kernel } = host::Host::ask(workspace)?;
    let kvm = host::is_virtual().then(|| {
        let kind = if host::has_virtualisation() { "nested" } else { "paravirtual" };
        format!(
            "† KVM is {kind} here, because this host is a virtual machine itself: the figures of what \
             runs on KVM, those of kernel-mode code above all, are the host's, not the contender's."
        )
    });
    Ok(Host { processor, kernel, kvm })
}

#[cfg(test)]
pub mod tests {
    use super::super::SYSBENCH;
    use super::*;

    fn line(name: &str, events: u64, checksum: &str) -> Line {
        Line {
            name: name.to_owned(),
            events,
            elapsed_ns: 1_000_000_000,
            p50_ns: 1000,
            p95_ns: 2000,
            p99_ns: 3000,
            max_ns: 4000,
            checksum: checksum.to_owned(),
        }
    }

    fn sample(contender: &'static str, work: &'static str, events: u64, checksum: &str) -> Sample {
        let lines = vec![line(work, events, checksum)];
        let command = "run <it>".to_owned();
        Sample { contender, work, cpus: usual_cpus(work), lines, failure: None, command }
    }

    /// Native is four times, the interpreter twice as fast as QEMU in all of sysbench's.
    pub fn example() -> Comparison {
        let samples: Vec<Sample> = WORKLOADS[..SYSBENCH]
            .iter()
            .flat_map(|work| {
                [(NATIVE, 400), ("monovisor interpreter", 200), (TCG, 100)]
                    .map(|(name, events)| sample(name, work, events, "1"))
            })
            .collect();
        let mut results = figures(&samples);
        results.iter_mut().for_each(|one| one.runs = super::super::LEAST_ROUNDS);
        Comparison {
            host: Host {
                processor: "a <processor>".into(),
                kernel: "a kernel".into(),
                kvm: Some("Its KVM is slow.".into()),
            },
            contenders: [NATIVE, "monovisor interpreter", TCG]
                .map(|name| Described {
                    name: name.into(),
                    version: "1".into(),
                    command: "run".into(),
                    remark: None,
                })
                .into(),
            absent: vec!["QEMU KVM does not run here: its guest does not end".into()],
            missing: vec!["exit, 1 vCPU, on native: there is no such thing there".into()],
            faults: disagreements(&results),
            results,
        }
    }

    #[test]
    fn different_checksums_are_a_fault() {
        let samples = [sample(TCG, "cpu", 100, "1"), sample(NATIVE, "cpu", 100, "2")];
        let faults = disagreements(&figures(&samples));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("cpu computed"), "{faults:?}");
    }

    #[test]
    fn stable_is_when_another_round_changes_little() {
        let rounds = |events: &[u64]| -> Vec<Sample> {
            events.iter().map(|&events| sample(TCG, "cpu", events, "1")).collect()
        };
        assert!(!is_stable(&rounds(&[100]), 0.02));
        assert!(!is_stable(&rounds(&[100, 120]), 0.02));
        assert!(is_stable(&rounds(&[100, 120, 101, 100]), 0.02));
    }
}
