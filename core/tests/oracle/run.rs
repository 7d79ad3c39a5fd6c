//! The command line, and the groups one after the other.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use iced_x86::Code;
use monovisor_core::instruction_group;
use serde_json::json;

use crate::both::Both;
use crate::case::Case;
use crate::explained::EXPLANATIONS;
use crate::generate::Generator;
use crate::generate::encoding::Encodings;
use crate::incomparable;
use crate::layout::Mode;
use crate::report::{self, Count};
use crate::sequence::{self, SEQUENCES};
use crate::silicon::{self, BATCH, Kind, Silicon};
use crate::walk;

/// Cases of the same instruction bytes.
const OPERANDS_PER_INSTRUCTION: usize = 4;
/// Mismatches of a group that are shown.
const MOST_SHOWN: usize = 12;
/// The group that is the walk over the opcode maps.
const OPCODE_MAPS: &str = "opcode_maps";
/// Sequences for each case of an instruction.
const SEQUENCES_PER_CASE: usize = 250;
/// Flags of cargo's own test programs that have a value.
const VALUED: [&str; 6] =
    ["--test-threads", "--skip", "--format", "--color", "--logfile", "--shuffle-seed"];

/// What the command line asks for.
struct Options {
    /// Parts of the names of groups; none is all of them.
    filters: Vec<String>,
    /// Cases of each instruction in each mode, and of each opcode.
    cases: usize,
    seed: u64,
    /// How the processor is asked.
    kinds: Vec<Kind>,
    /// Where counts go.
    report: Option<String>,
    /// Tells which handlers sequences have reached.
    coverage: bool,
    /// Where the list of instructions goes; then nothing is run.
    list: Option<String>,
}

impl Options {
    /// Arguments of cargo's own test programs are taken and mean nothing.
    fn parse() -> Result<Self, String> {
        let mut options = Self {
            filters: Vec::new(),
            cases: 8,
            seed: 1,
            kinds: vec![Kind::Process, Kind::Kvm],
            report: None,
            coverage: false,
            list: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("{text}: not a number"));
            match argument.as_str() {
                "--cases" => options.cases = number(value()?)? as usize,
                "--seed" => options.seed = number(value()?)?,
                "--process" => options.kinds = vec![Kind::Process],
                "--kvm" => options.kinds = vec![Kind::Kvm],
                "--coverage" => options.coverage = true,
                "--report" => options.report = Some(value()?),
                "--list" => options.list = Some(value()?),
                flag if VALUED.contains(&flag) => drop(value()?),
                flag if flag.starts_with('-') => {}
                filter => options.filters.push(filter.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, group: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|part| group.contains(part))
    }
}

pub fn main() -> ExitCode {
    match Options::parse().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("oracle: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything agreed.
fn run(options: &Options) -> Result<bool, String> {
    if let Some(path) = &options.list {
        write(path, &report::instructions().to_string())?;
        return Ok(true);
    }
    let mut agreed = true;
    for kind in &options.kinds {
        match silicon::open(*kind) {
            Ok(silicon) => agreed &= run_on(silicon, options)?,
            Err(why) => eprintln!("oracle: skipped: {why}"),
        }
    }
    Ok(agreed)
}

/// Whether everything agreed with this processor.
fn run_on(silicon: Box<dyn Silicon>, options: &Options) -> Result<bool, String> {
    let modes = silicon.modes().to_vec();
    eprintln!("{}, in {modes:?}", silicon.name());
    let mut both = Both::new(silicon);
    let encodings = Encodings::find(&modes, |instruction| {
        instruction_group(instruction.mnemonic()).is_some()
            && incomparable::reason(instruction).is_none()
    });
    let mut generator = Generator::new(encodings, options.seed);
    let mut groups: BTreeMap<&'static str, Vec<(Code, Mode)>> = BTreeMap::new();
    for (code, mode) in generator.codes() {
        let group = instruction_group(code.mnemonic()).unwrap_or_default();
        groups.entry(group).or_default().push((code, mode));
    }
    let mut counts = Vec::new();
    for (group, codes) in groups.into_iter().filter(|(group, _)| options.wants(group)) {
        counts.extend(run_group(&mut both, &mut generator, options, group, &codes));
    }
    let mut agreed = counts.iter().all(|count| !count.differs);
    if options.wants(OPCODE_MAPS) {
        agreed &= run_walk(&mut both, &mut generator, options, &modes) == 0;
    }
    let sequences = options.wants(SEQUENCES) && !both.silicon.is_paravirtual();
    let sequences = sequences.then(|| {
        let wanted = options.cases * SEQUENCES_PER_CASE;
        sequence::run(&mut both, &mut generator, &modes, wanted, options.coverage)
    });
    agreed &= sequences.as_ref().is_none_or(|summary| summary.differing == 0);
    for (explanation, count) in EXPLANATIONS.iter().zip(both.explained) {
        if count > 0 {
            eprintln!("explained: {count} cases: {}", explanation.reason);
        }
    }
    for (reason, count) in &both.refused {
        eprintln!("refused: {count} cases: {reason}");
    }
    if let Some(path) = &options.report {
        let explained = EXPLANATIONS
            .iter()
            .zip(both.explained)
            .map(|(explanation, cases)| json!({ "reason": explanation.reason, "cases": cases }));
        let report = json!({
            "seed": options.seed,
            "counts": report::counts(&counts),
            "sequences": sequences.map(|summary| {
                json!({ "cases": summary.cases, "instructions": summary.instructions })
            }),
            "explained": explained.collect::<Vec<_>>(),
        });
        write(path, &report.to_string())?;
    }
    Ok(agreed)
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("writing {path}: {error}"))
}

/// Compares a group's instructions.
fn run_group(
    both: &mut Both,
    generator: &mut Generator,
    options: &Options,
    group: &'static str,
    codes: &[(Code, Mode)],
) -> Vec<Count> {
    let started = Instant::now();
    let mut counts: Vec<Count> = Vec::new();
    for &(code, mode) in codes {
        let mut count = Count { group, code, mode, cases: 0, differs: false };
        while count.cases < options.cases && !count.differs {
            let image = generator.image();
            let mut cases = Vec::new();
            let wanted = BATCH.min(options.cases - count.cases);
            for _ in 0..BATCH {
                let room = (wanted - cases.len()).min(OPERANDS_PER_INSTRUCTION);
                if room > 0 {
                    generator.cases(code, mode, room, &mut cases);
                }
            }
            if cases.is_empty() {
                break;
            }
            cases.iter_mut().for_each(|case| both.silicon.adapt(case));
            count.cases += cases.len();
            if let Some(&index) = both.batch(&image, &cases).first() {
                count.differs = true;
                if counts.iter().filter(|count| count.differs).count() < MOST_SHOWN {
                    report::show(&both.shrink(&image, &cases[index]));
                }
            }
        }
        counts.push(count);
    }
    let cases = counts.iter().map(|count| count.cases).sum();
    let differing = counts.iter().filter(|count| count.differs).count();
    summarise(group, codes.len(), cases, differing, started);
    counts
}

/// Compares what is an instruction; the number of opcodes that differ.
fn run_walk(
    both: &mut Both,
    generator: &mut Generator,
    options: &Options,
    modes: &[Mode],
) -> usize {
    let started = Instant::now();
    let (mut total, mut opcodes, mut differing) = (0, 0, 0);
    for &mode in modes {
        for mut row in walk::rows(mode) {
            opcodes += 1;
            let most = options.cases.min(row.len());
            let mut pending: Vec<Case> = Vec::new();
            let mut differs = false;
            for taken in 0..most {
                let other = taken + generator.numbers.below((row.len() - taken) as u64) as usize;
                row.swap(taken, other);
                walk::cases(&row[taken], mode, generator, &mut pending);
                if pending.len() + 8 > BATCH || taken + 1 == most {
                    let image = generator.image();
                    pending.iter_mut().for_each(|case| both.silicon.adapt(case));
                    total += pending.len();
                    if let Some(&index) = both.batch(&image, &pending).first() {
                        if differing < MOST_SHOWN && !differs {
                            report::show(&both.shrink(&image, &pending[index]));
                        }
                        differs = true;
                    }
                    pending.clear();
                }
            }
            differing += usize::from(differs);
        }
    }
    summarise(OPCODE_MAPS, opcodes, total, differing, started);
    differing
}

fn summarise(group: &str, count: usize, cases: usize, differing: usize, started: Instant) {
    let speed = cases as f64 / started.elapsed().as_secs_f64();
    let verdict = if differing == 0 { "agree".to_owned() } else { format!("{differing} DIFFER") };
    eprintln!("{group:28} {count:5} × {cases:9} cases  {verdict:12} {speed:8.0}/s");
}
