//! Sequences: blocks of instructions whose groups the interpreter executes as one op, whose flags it
//! keeps lazily and whose operands it forwards, against the processor, and against itself one by one.
//!
//! A sequence is compared unless it has an undefined flag decide, does not end, or executes what a
//! single instruction is not compared for either (`trace`). One that differs is explained if one of its
//! instructions differs from the processor's for a known reason when it is asked alone.

mod assembler;
mod builder;
mod code;
mod coverage;
mod generate;
mod mismatch;
mod mix;
mod patterns;
mod trace;
mod vectors;
mod ways;
mod x87;

use std::collections::BTreeMap;
use std::slice;
use std::time::Instant;

use self::code::Code;
use self::coverage::Coverage;
use self::generate::Sequences;
use self::mismatch::{Cause, Found};
use self::trace::{Trace, Tracer, Unfit};
use self::ways::{Way, Ways};
use crate::both::Both;
use crate::case::{Case, Outcome, Raised};
use crate::compare::{self, Difference};
use crate::generate::{Generator, Image};
use crate::layout::Mode;
use crate::silicon::{BATCH, Lost};

/// The name of the group.
pub const SEQUENCES: &str = "sequences";
/// Mismatches that are shown.
const MOST_SHOWN: usize = 12;
/// Mismatches after which the comparison ends: each is asked for many times.
const MOST_FOUND: usize = 60;

/// What was counted.
#[derive(Default)]
pub struct Summary {
    pub cases: usize,
    pub instructions: u64,
    /// Sequences that end with an exception, by its vector.
    pub raised: BTreeMap<u32, usize>,
    pub differing: usize,
    pub unfit: BTreeMap<Unfit, usize>,
}

/// The comparison.
pub struct Comparison<'a> {
    both: &'a mut Both,
    tracer: Tracer,
    ways: Ways,
}

/// A sequence in a batch.
struct Item {
    code: Code,
    trace: Trace,
    /// What it is to be, in single steps.
    stepped: Box<Outcome>,
}

/// Compares `wanted` sequences.
pub fn run(
    both: &mut Both,
    generator: &mut Generator,
    modes: &[Mode],
    wanted: usize,
    with_coverage: bool,
) -> Summary {
    let started = Instant::now();
    let mut sequences = Sequences::new(generator);
    let mut coverage = with_coverage.then(Coverage::new);
    let mut comparison = Comparison { both, tracer: Tracer::new(), ways: Ways::new() };
    let mut summary = Summary::default();
    while summary.cases < wanted && summary.differing < MOST_FOUND {
        let image = generator.image();
        let (mut items, mut cases) = (Vec::new(), Vec::new());
        while cases.len() < BATCH.min(wanted - summary.cases) {
            let Some((code, case)) = sequences.make(modes, generator) else { continue };
            let mut stepped = Box::new(Outcome::NONE);
            match comparison.tracer.run(&image, &case, &mut stepped, |_, _| {}) {
                Ok(trace) => {
                    items.push(Item { code, trace, stepped });
                    cases.push(case);
                }
                Err(why) => *summary.unfit.entry(why).or_default() += 1,
            }
        }
        for item in &items {
            summary.instructions += item.trace.retired;
            if item.stepped.raised != Raised::NOTHING {
                *summary.raised.entry(item.stepped.raised.vector).or_default() += 1;
            }
        }
        summary.cases += cases.len();
        for index in comparison.batch(&image, &items, &cases, coverage.as_mut()) {
            let found =
                Found { code: items[index].code.clone(), case: cases[index], image: image.clone() };
            match comparison.diagnose(&found) {
                Cause::Explained(reason) => comparison.both.explained[reason] += 1,
                cause => {
                    if summary.differing < MOST_SHOWN {
                        comparison.show(found, cause);
                    }
                    summary.differing += 1;
                }
            }
        }
    }
    let speed = summary.cases as f64 / started.elapsed().as_secs_f64();
    summary.tell(speed);
    if let Some(coverage) = coverage {
        coverage.show();
    }
    summary
}

impl Summary {
    fn tell(&self, speed: f64) {
        let Self { cases, instructions, raised, differing, unfit } = self;
        let verdict =
            if *differing == 0 { "agree".to_owned() } else { format!("{differing} DIFFER") };
        eprintln!("{SEQUENCES:28}       × {cases:9} cases  {verdict:12} {speed:8.0}/s");
        eprintln!(
            "  {instructions} instructions; sequences that end with an exception, by vector: {raised:?}"
        );
        for (why, count) in unfit {
            eprintln!("  not compared: {count} sequences: {why:?}");
        }
    }
}

impl Comparison<'_> {
    /// The indices of the cases that differ.
    fn batch(
        &mut self,
        image: &Image,
        items: &[Item],
        cases: &[Case],
        mut coverage: Option<&mut Coverage>,
    ) -> Vec<usize> {
        self.both.silicon.begin(image, cases);
        let mut found = Vec::new();
        let mut out = Box::new(Outcome::NONE);
        for (index, (item, case)) in items.iter().zip(cases).enumerate() {
            let (slice, steps) = (1 + index as u64 % 7, 1 + index as u64 % 23);
            for way in [Way::New, Way::Again, Way::Sliced(slice), Way::Behind(steps), Way::Portable]
            {
                let retired = self.ways.run(way, image, case, &mut out);
                if *out != *item.stepped || retired != item.trace.retired {
                    found.push(index);
                    break;
                }
                if way == Way::New
                    && let Some(coverage) = &mut coverage
                {
                    coverage.count(&self.ways.interpreter);
                }
            }
        }
        let answers = self.both.silicon.finish().into_iter().zip(items).zip(cases);
        let differs = |((theirs, item), case)| !agrees(theirs, item, case);
        let doubtful: Vec<bool> = answers.map(differs).collect();
        for (index, _) in doubtful.into_iter().enumerate().filter(|it| it.1) {
            // AMD's processors lose the x87's pointers when Linux lets another program run.
            self.both.silicon.begin(image, slice::from_ref(&cases[index]));
            let theirs = self.both.silicon.finish()[0];
            if !agrees(theirs, &items[index], &cases[index]) && !found.contains(&index) {
                found.push(index);
            }
        }
        found
    }

    /// How a sequence differs: from the processor, and from itself in single steps.
    fn ask(&mut self, image: &Image, case: &Case) -> Vec<(String, Vec<Difference>)> {
        let mut stepped = Box::new(Outcome::NONE);
        let Ok(trace) = self.tracer.run(image, case, &mut stepped, |_, _| {}) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        let mut out = Box::new(Outcome::NONE);
        let sliced = (1..8).map(Way::Sliced);
        let behind = (1..24).map(Way::Behind);
        let ways = [Way::New, Way::Again, Way::Portable].into_iter().chain(sliced).chain(behind);
        for way in ways {
            let retired = self.ways.run(way, image, case, &mut out);
            let mut differences = compare::differences(&stepped, &out);
            if retired != trace.retired {
                differences.push(Difference {
                    what: "instructions retired".to_owned(),
                    silicon: trace.retired.to_string(),
                    interpreter: retired.to_string(),
                });
            }
            all.push((format!("in single steps beside {way:?}"), differences));
        }
        self.both.silicon.begin(image, slice::from_ref(case));
        let differences = match self.both.silicon.finish()[0] {
            Ok(theirs) => {
                let mut theirs = *theirs;
                defined(&mut theirs, case, trace);
                defined(&mut stepped, case, trace);
                compare::differences(&theirs, &stepped)
            }
            Err(Lost::Gone) => vec![Difference::lost()],
            Err(Lost::Refused(_)) => Vec::new(),
        };
        all.push(("the processor beside single steps".to_owned(), differences));
        all.retain(|(_, differences)| !differences.is_empty());
        all
    }
}

/// Whether the processor has left what single steps have.
fn agrees(theirs: Result<&Outcome, Lost>, item: &Item, case: &Case) -> bool {
    match theirs {
        Ok(theirs) => {
            let (mut theirs, mut ours) = (*theirs, *item.stepped);
            defined(&mut theirs, case, item.trace);
            defined(&mut ours, case, item.trace);
            theirs == ours
        }
        Err(Lost::Gone) => false,
        Err(Lost::Refused(_)) => true,
    }
}

/// An outcome without what is undefined.
fn defined(outcome: &mut Outcome, case: &Case, trace: Trace) {
    compare::defined(outcome, case, None);
    outcome.state.rflags &= !trace.undefined;
}
