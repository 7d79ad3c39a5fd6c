//! One run of one workload on one contender, and what it printed.

use std::time::Duration;

use serde::Deserialize;

use super::contender::Contender;
use super::stopwatch;
use crate::machine::ScratchDisk;
use crate::process::Finished;

/// Beyond the time that the work is to take: start-up, and slow machines.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be done.
pub struct Work {
    /// The workload.
    pub name: &'static str,
    /// Processors, and threads.
    pub cpus: u32,
    /// How long it is to last.
    pub ms: u64,
}

/// What a workload prints for each of its variants.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// The variant.
    pub name: String,
    /// How many events there were.
    pub events: u64,
    /// In this time.
    pub elapsed_ns: u64,
    /// How long events took.
    pub p50_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    /// Of what they computed; the same everywhere.
    pub checksum: String,
}

impl Line {
    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events as f64 * 1e9 / self.elapsed_ns.max(1) as f64
    }
}

/// What one run gave.
pub struct Sample {
    /// Whose run it was.
    pub contender: &'static str,
    /// Of which workload, with how many processors.
    pub work: &'static str,
    pub cpus: u32,
    /// A line for each variant.
    pub lines: Vec<Line>,
    /// Why there is none.
    pub failure: Option<String>,
    /// What was executed.
    pub command: String,
}

impl Sample {
    /// One that gave nothing.
    pub fn without(contender: &Contender, work: &Work, why: &str) -> Self {
        Self {
            contender: contender.name,
            work: work.name,
            cpus: work.cpus,
            lines: Vec::new(),
            failure: Some(why.to_owned()),
            command: String::new(),
        }
    }

    /// Whether it is a run of `work` on `contender`.
    pub fn is_of(&self, contender: &Contender, work: &Work) -> bool {
        self.contender == contender.name && self.work == work.name && self.cpus == work.cpus
    }
}

/// Does `work` on `contender`. A failure is a result, too.
pub fn take(contender: &Contender, work: &Work, disk: &ScratchDisk) -> Sample {
    let mut sample = Sample::without(contender, work, "");
    let command = contender.command(work, disk);
    let lines = command.map_err(|error| format!("{error:#}")).and_then(|command| {
        sample.command = command.to_string();
        let patience = PATIENCE + Duration::from_millis(3 * work.ms);
        let finished = command.run(patience).map_err(|error| format!("{error:#}"))?;
        read(contender, &finished)
    });
    match lines {
        Ok(lines) => Sample { lines, failure: None, ..sample },
        Err(failure) => Sample { failure: Some(failure), ..sample },
    }
}

/// What a run has told, or why it can't be used.
fn read(contender: &Contender, finished: &Finished) -> Result<Vec<Line>, String> {
    if let Some(why) = contender.failure(finished) {
        return Err(why);
    }
    let lines = finished.stdout.lines().filter(|line| line.starts_with('{'));
    let lines: Result<Vec<Line>, _> = lines.map(serde_json::from_str).collect();
    let mut lines = lines.map_err(|error| format!("what it printed can't be read: {error}"))?;
    if !contender.knows_the_time() {
        stopwatch::correct(&mut lines, finished)?;
    }
    match implausible(&lines, finished.wall) {
        None => Ok(lines),
        Some(why) => Err(why),
    }
}

/// Why these figures of a process that took `wall` can't be right. A guest takes times by a clock that
/// its machine has told it the speed of.
fn implausible(lines: &[Line], wall: Duration) -> Option<String> {
    if lines.is_empty() {
        return Some("there is no such thing there".to_owned());
    }
    let told = Duration::from_nanos(lines.iter().map(|line| line.elapsed_ns).sum());
    (told > wall).then(|| format!("it says that {told:.1?} passed, and {wall:.1?} did"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_faster_than_time_is_not_believed() {
        let line: Line = serde_json::from_str(
            r#"{"name":"cpu","events":1,"elapsed_ns":2000000000,"p50_ns":1,"p95_ns":1,"p99_ns":1,
                "max_ns":1,"checksum":"0"}"#,
        )
        .expect("a line");
        let lines = [line];
        assert_eq!(implausible(&lines, Duration::from_secs(3)), None);
        let why = implausible(&lines, Duration::from_secs(1)).expect("a reason");
        assert_eq!(why, "it says that 2.0s passed, and 1.0s did");
        assert!(implausible(&[], Duration::from_secs(1)).is_some());
    }
}
