//! The guests: found as files, without a list.
//!
//! What a guest is expected to do stands in its own file (`header`); how it is started is `machine`'s.

pub mod header;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use header::{Header, Malformed};

/// Benchmark guests are the files that start so.
pub const BENCH_PREFIX: &str = "bench_";

/// A guest's source file and what it says about itself.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The file's stem, which is the image's name too.
    pub name: String,
    /// The source file.
    pub source: PathBuf,
    /// The first sentence of the file's documentation.
    pub summary: String,
    /// What it is expected to do, or what is wrong with the header that says so.
    pub header: Result<Header, Vec<Malformed>>,
}

impl Guest {
    fn read(source: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&source)
            .with_context(|| format!("reading {}", source.display()))?;
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let docs = text.lines().map_while(|line| line.strip_prefix("//!"));
        let docs: Vec<&str> = docs.map(str::trim).take_while(|line| !line.is_empty()).collect();
        let docs = docs.join(" ");
        let summary =
            docs.split_once(". ").map_or(docs.trim_end_matches('.'), |(first, _)| first).to_owned();
        Ok(Self { name, summary, header: header::parse(&text), source })
    }

    /// Whether this guest measures rather than tests.
    pub fn is_bench(&self) -> bool {
        self.name.starts_with(BENCH_PREFIX)
    }

    /// The header, or all its faults as one error.
    pub fn checked_header(&self) -> Result<&Header> {
        self.header.as_ref().map_err(|faults| {
            let lines: Vec<String> = faults
                .iter()
                .map(|fault| format!("{}:{}: {}", self.source.display(), fault.line, fault.what))
                .collect();
            anyhow::anyhow!("{}", lines.join("\n"))
        })
    }
}

/// Every guest in `folder`, by name.
pub fn find_all(folder: &Path) -> Result<Vec<Guest>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("looking for guests in {}", folder.display()))?;
    let mut guests = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            guests.push(Guest::read(path)?);
        }
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

/// The guest of that name; where there is none, an error that lists the nearest names.
pub fn find_by_name<'a>(guests: &'a [Guest], name: &str) -> Result<&'a Guest> {
    if let Some(guest) = guests.iter().find(|guest| guest.name == name) {
        return Ok(guest);
    }
    let near = nearest(guests.iter().map(|guest| guest.name.as_str()), name);
    let hint =
        if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) };
    bail!("there is no guest `{name}`{hint} (`cargo xtask run --list` shows all)")
}

/// Up to five names like `wanted`, the most alike first.
fn nearest<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| {
            let bonus = if name.contains(wanted) { 1.0 } else { 0.0 };
            (strsim::jaro_winkler(name, wanted) + bonus, name)
        })
        .filter(|(score, _)| *score > 0.7)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(5).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_finds_the_name() {
        let names = ["welcome", "page_fault_user", "page_fault_write", "hello"];
        assert_eq!(nearest(names.into_iter(), "welcom")[0], "welcome");
        assert_eq!(
            nearest(names.into_iter(), "page_fault"),
            ["page_fault_user", "page_fault_write"]
        );
        assert_eq!(nearest(names.into_iter(), "zzz"), [""; 0]);
    }
}
