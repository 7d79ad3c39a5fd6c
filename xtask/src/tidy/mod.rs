//! `cargo xtask tidy`: the house rules that a compiler can't check, one file per rule.
//!
//! A rule is a function from the tree's files to violations, and takes no part in finding files or
//! printing, so that each is tested with a tree of a few lines that breaks it.

mod comments;
mod floors;
mod guests;
mod layout;
mod manifests;
mod mirrors;
mod no_std;
mod safety;
mod seams;
mod source;

use std::fmt;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::workspace::Workspace;
use source::Source;

/// Checks the house rules that a compiler can't
///
/// File length and headers, SAFETY comments, no std in core, the floors of core's modules, who may not
/// know whom, a test file for each instruction group, valid guest headers, no leftovers, the fixed top
/// level, and inherited lints. Prints one line per violation: file:line: what is wrong, and what to do.
#[derive(Args)]
pub struct Tidy {}

/// A file of the repository, with a `/`-separated path from the root.
#[derive(Debug, Clone)]
pub struct File {
    /// The path from the root.
    pub path: String,
    /// The whole text; empty for a file that is not text.
    pub text: String,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file's path from the root.
    pub path: String,
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

/// A rule looks at all files at once.
type Rule = fn(&Tree) -> Vec<Violation>;

const RULES: &[Rule] = &[
    layout::check,
    comments::check,
    safety::check,
    no_std::check,
    floors::check,
    seams::check,
    mirrors::check,
    guests::check,
    manifests::check,
];

/// Every file of the repository, and every Rust file taken apart.
pub struct Tree {
    /// All files.
    pub files: Vec<File>,
    /// The Rust files among them.
    pub sources: Vec<Source>,
}

impl Tree {
    fn new(files: Vec<File>) -> Self {
        let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
        let sources = rust.map(|file| Source::new(&file.path, &file.text)).collect();
        Self { files, sources }
    }

    /// The Rust files below a folder, which is given with its last `/`.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Source> {
        self.sources.iter().filter(move |source| source.path.starts_with(folder))
    }
}

impl Tidy {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let tree = Tree::new(read_files(workspace)?);
        let mut violations: Vec<Violation> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
        violations.sort();
        for violation in &violations {
            println!("{violation}");
        }
        if violations.is_empty() {
            eprintln!("xtask: {} files keep all {} rules", tree.files.len(), RULES.len());
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("xtask: {} violations of the house rules", violations.len());
        Ok(ExitCode::FAILURE)
    }
}

/// What git tracks, and what it would offer to track.
fn read_files(workspace: &Workspace) -> Result<Vec<File>> {
    let shell = &workspace.shell;
    // CI may own the clone as another user, which git would refuse.
    let listing = cmd!(
        shell,
        "git -c safe.directory=* ls-files --cached --others --exclude-standard --deduplicate"
    );
    let listing = listing.quiet().read().context("asking git which files there are")?;
    let mut files = Vec::new();
    for path in listing.lines() {
        // A file that is removed but not committed yet is still listed.
        if let Ok(bytes) = std::fs::read(workspace.root.join(path)) {
            let text = String::from_utf8(bytes).unwrap_or_default();
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Violation {
    /// At this place, this is wrong.
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places where a rule is broken by a tree of these files, as `path:line`.
    pub fn places(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
        let file = |&(path, text): &(&str, &str)| File { path: path.into(), text: text.into() };
        let tree = Tree::new(files.iter().map(file).collect());
        let mut violations = rule(&tree);
        violations.sort();
        violations.iter().map(|found| format!("{}:{}", found.path, found.line)).collect()
    }
}
