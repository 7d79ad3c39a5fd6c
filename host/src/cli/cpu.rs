//! `monovisor cpu`: the processor as a guest sees it.

use std::fmt::Write as _;

use clap::Args;
use monovisor_core::cpuid::{Leaf, Model};

use super::Failure;
use crate::config::CpuModel;
use crate::engine;

/// Print the processor as a guest sees it: what CPUID returns, and which features that means
#[derive(Args, Debug)]
pub struct Arguments {
    /// Which processor: host (all that the interpreter has) or baseline (what every engine has
    /// everywhere) [default: host]
    #[arg(long, value_name = "MODEL", env = "MONOVISOR_CPU")]
    cpu: Option<CpuModel>,
}

/// Features on a line.
const COLUMNS: usize = 8;

pub(super) fn execute(arguments: Arguments) -> Result<u8, Failure> {
    let model = engine::offered(arguments.cpu.unwrap_or_default());
    super::print(&describe(&model))
}

fn describe(model: &Model) -> String {
    let mut text = String::new();
    let names: Vec<&str> = model.features().map(|feature| feature.name).collect();
    for line in names.chunks(COLUMNS) {
        text.push_str(&line.join(" "));
        text.push('\n');
    }
    text.push_str("\nleaf       subleaf  EAX       EBX       ECX       EDX\n");
    let mut rows = model.table(0);
    rows.sort_by_key(|row| (row.leaf, row.subleaf));
    for Leaf { leaf, subleaf, registers: [eax, ebx, ecx, edx] } in rows {
        let subleaf = subleaf.map_or("any".to_owned(), |subleaf| format!("{subleaf:#x}"));
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "{leaf:#010x} {subleaf:7}  {eax:08x}  {ebx:08x}  {ecx:08x}  {edx:08x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_leaves_are_there() {
        let text = describe(&Model::default());
        assert!(text.lines().any(|line| line.split(' ').any(|word| word == "LONG_MODE")));
        // "Genu", "ntel" and "ineI" of the vendor's name.
        assert!(text.contains("756e6547  6c65746e  49656e69"), "{text}");
    }
}
