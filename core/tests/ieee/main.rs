//! IEEE vectors: operands, result and exception flags, as Berkeley TestFloat's generator makes them by
//! SoftFloat, through every instruction that computes the function, SSE to FMA and x87, in each rounding
//! mode and precision.
//!
//! `sample.txt` has a few vectors of each function. `cargo xtask testfloat` builds the generator, runs all
//! that it makes, and writes the sample. Minima, maxima and what has flags of x86 alone (denormal operands,
//! FTZ, DAZ) are no functions of TestFloat's; those are held against the processor (`../oracle`).

#[path = "../common/mod.rs"]
mod common;

mod execution;
mod instructions;
mod vectors;

use std::collections::BTreeMap;

use execution::Execution;
use instructions::{INSTRUCTIONS, Instruction};
use vectors::{Group, Source};

/// Differences of a group that are shown.
const MOST_SHOWN: usize = 3;

#[test]
fn every_instruction_computes_the_function() {
    let mut groups: BTreeMap<Group, Vec<&Instruction>> = BTreeMap::new();
    for instruction in INSTRUCTIONS {
        for group in instruction.groups() {
            groups.entry(group).or_default().push(instruction);
        }
    }
    let mut source = Source::open();
    let (mut executed, mut failed) = (0, 0);
    for (group, instructions) in &groups {
        let mut executions: Vec<_> =
            instructions.iter().map(|instruction| Execution::new(instruction, group)).collect();
        let (mut count, mut shown) = (0, 0);
        source.each(group, |vector| {
            count += 1;
            for execution in &mut executions {
                executed += 1;
                if let Err(difference) = execution.check(vector) {
                    failed += 1;
                    shown += 1;
                    if shown <= MOST_SHOWN {
                        eprintln!("{} by {}: {vector:x?}: {difference}", group, execution.name());
                    }
                }
            }
        });
        assert_ne!(count, 0, "there are vectors of {group}");
    }
    eprintln!("{executed} vectors executed");
    assert_eq!(failed, 0, "of {executed} vectors");
}
