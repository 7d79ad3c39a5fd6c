//! `cargo xtask isa`: the instruction table, and what is known of each row.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use crate::oracle;
use crate::workspace::Workspace;

/// Features of x86-64-v3 and of the processors that have it, as the decoder names them. An
/// instruction that needs another is a row of the table only if CPUID offers it.
const FEATURES: &[&str] = &[
    "INTEL8086",
    "INTEL186",
    "INTEL286",
    "INTEL386",
    "INTEL486",
    "X64",
    "CPUID",
    "CX8",
    "CMOV",
    "MSR",
    "TSC",
    "SEP",
    "SYSCALL",
    "RDPMC",
    "RDTSCP",
    "MULTIBYTENOP",
    "PAUSE",
    "PREFETCHW",
    "CLFSH",
    "FPU",
    "FPU287",
    "FPU387",
    "MMX",
    "FXSR",
    "SSE",
    "SSE2",
    "SSE3",
    "SSSE3",
    "SSE4_1",
    "SSE4_2",
    "POPCNT",
    "CMPXCHG16B",
    "MONITOR",
    "AES",
    "PCLMULQDQ",
    "SHA",
    "AVX",
    "AVX2",
    "F16C",
    "FMA",
    "BMI1",
    "BMI2",
    "LZCNT",
    "MOVBE",
    "ADX",
    "RDRAND",
    "RDSEED",
    "RDPID",
    "FSGSBASE",
    "INVPCID",
    "SMAP",
    "PKU",
    "XSAVE",
    "XSAVEOPT",
    "XSAVEC",
    "XSAVES",
    "CLFLUSHOPT",
    "CLWB",
    "CET_IBT",
    "CET_SS",
];

/// What the decoder has names for and no processor has an instruction: data, and WAIT together with the
/// instruction behind it.
const NO_INSTRUCTIONS: &[&str] = &[
    "Db",
    "Dw",
    "Dd",
    "Dq",
    "Zero_bytes",
    "Fstenv",
    "Fstcw",
    "Feni",
    "Fdisi",
    "Fclex",
    "Finit",
    "Fsetpm",
    "Fsave",
    "Fstsw",
];

/// What is undefined for good.
const UNDEFINED: &[&str] = &["Ud0", "Ud1", "Ud2"];

/// Prints which instructions the interpreter has, and what they were verified by
///
/// The rows are the decoder's instructions as far as x86-64-v3, the system features of its processors and
/// whatever else CPUID offers go. Cases are those of the last runs of `cargo xtask oracle`, which compares
/// with this machine's processor; the files are the group's own tests. What CPUID does not offer has a row to
/// say that it is not there.
#[derive(Args)]
pub struct Isa {
    /// Only rows that contain this
    filter: Option<String>,
    /// Only the sums of each group
    #[arg(long)]
    summary: bool,
}

/// A row as the oracle's program lists it.
#[derive(Deserialize)]
struct Row {
    instruction: String,
    mnemonic: String,
    features: Vec<String>,
    offered: bool,
    group: Option<String>,
    incomparable: Option<String>,
}

#[derive(Deserialize)]
struct Report {
    counts: Vec<Count>,
}

#[derive(Deserialize)]
struct Count {
    instruction: String,
    bitness: u32,
    cases: u64,
    differs: bool,
}

/// Sums of a group.
#[derive(Default)]
struct Sum {
    rows: u64,
    compared: u64,
    differing: u64,
    cases: u64,
}

impl Isa {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let rows = list(workspace)?;
        let counts = counts(workspace)?;
        if !self.summary {
            println!("{}", line("instruction", "group", "cases", "verified by"));
        }
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.is_relevant()) {
            let own: Vec<&Count> =
                counts.values().filter(|it| it.instruction == row.instruction).collect();
            let cases: u64 = own.iter().map(|count| count.cases).sum();
            let differs = own.iter().any(|count| count.differs);
            let verified = row.verified(workspace, cases, differs);
            let line = line(&row.instruction, row.group_name(), &cases.to_string(), &verified);
            if self.filter.as_ref().is_some_and(|filter| !line.contains(filter.as_str())) {
                continue;
            }
            if !self.summary {
                println!("{line}");
            }
            let sum = sums.entry(row.group_name().to_owned()).or_default();
            sum.rows += 1;
            sum.compared += u64::from(cases > 0);
            sum.differing += u64::from(differs);
            sum.cases += cases;
        }
        println!(
            "\n{:28} {:>6} {:>9} {:>8} {:>12}",
            "group", "rows", "compared", "differ", "cases"
        );
        let mut all = Sum::default();
        for (group, sum) in &sums {
            sum.print(group);
            all.add(sum);
        }
        all.print("all");
        if counts.is_empty() {
            eprintln!(
                "xtask: no instruction has been compared yet; `cargo xtask oracle` does that"
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line of the table.
fn line(instruction: &str, group: &str, cases: &str, verified: &str) -> String {
    format!("{instruction:44} {group:28} {cases:>10}  {verified}").trim_end().to_owned()
}

impl Sum {
    fn print(&self, group: &str) {
        let Self { rows, compared, differing, cases } = self;
        println!("{group:28} {rows:6} {compared:9} {differing:8} {cases:12}");
    }

    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.compared += other.compared;
        self.differing += other.differing;
        self.cases += other.cases;
    }
}

impl Row {
    fn is_relevant(&self) -> bool {
        let wanted = self.features.iter().all(|feature| FEATURES.contains(&feature.as_str()));
        !NO_INSTRUCTIONS.contains(&self.mnemonic.as_str()) && (self.offered || wanted)
    }

    /// What the interpreter has a row of its own table for.
    fn implemented(&self) -> Option<&str> {
        self.group.as_deref().filter(|_| self.offered)
    }

    fn group_name(&self) -> &str {
        match (self.implemented(), self.offered) {
            (Some(group), _) => group,
            (None, false) => "(not offered)",
            (None, true) if UNDEFINED.contains(&self.mnemonic.as_str()) => "(undefined)",
            (None, true) => "(not implemented)",
        }
    }

    /// What is there instead of an instruction.
    fn absent(&self) -> String {
        // Hints were reserved NOPs before their feature.
        let hint = self.group.is_some();
        match (self.group_name(), self.features.join(", ")) {
            ("(not offered)", features) if hint => format!("a NOP without {features}"),
            ("(not offered)", features) => format!("#UD without {features}"),
            ("(undefined)", _) => "#UD, always".to_owned(),
            _ => String::new(),
        }
    }

    /// What has looked at it: the processor, and the group's own tests.
    fn verified(&self, workspace: &Workspace, cases: u64, differs: bool) -> String {
        let Some(group) = self.implemented() else { return self.absent() };
        let silicon = match (&self.incomparable, cases, differs) {
            (_, _, true) => "DIFFERS from the processor",
            (Some(reason), ..) => reason,
            (None, 0, _) => "not compared yet",
            _ => "agrees with the processor",
        };
        let top = group.split('/').next().unwrap_or(group);
        let tests = ["core/tests", "core/src/execute"].into_iter().flat_map(|folder| {
            let name = if folder == "core/tests" { "main" } else { "tests" };
            [format!("{folder}/{top}.rs"), format!("{folder}/{top}/{name}.rs")]
        });
        let found = tests
            .filter(|path| !path.starts_with("core/src") || path.ends_with("tests.rs"))
            .find(|path| workspace.root.join(path).exists());
        match found {
            Some(path) => format!("{silicon}; {path}"),
            None => silicon.to_owned(),
        }
    }
}

/// All instructions, as the oracle's program lists them.
fn list(workspace: &Workspace) -> Result<Vec<Row>> {
    let path = workspace.target.join("instructions.json");
    oracle::command(workspace).arg("--list").arg(&path).run().context("listing instructions")?;
    let text = workspace.shell.read_file(&path)?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// The counts of all runs, the last for each instruction and width.
fn counts(workspace: &Workspace) -> Result<BTreeMap<(String, u32), Count>> {
    let mut files = Vec::new();
    for path in workspace.shell.read_dir(oracle::reports(workspace)?)? {
        let changed = path.metadata().and_then(|it| it.modified());
        files.push((changed.with_context(|| format!("looking at {}", path.display()))?, path));
    }
    files.sort();
    let mut counts = BTreeMap::new();
    for (_, path) in files {
        let report: Report = serde_json::from_str(&workspace.shell.read_file(&path)?)
            .with_context(|| format!("reading {}", path.display()))?;
        for count in report.counts {
            counts.insert((count.instruction.clone(), count.bitness), count);
        }
    }
    Ok(counts)
}
