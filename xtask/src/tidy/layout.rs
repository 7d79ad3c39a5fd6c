//! What files there are, how long they may be, and how they begin.

use super::{Tree, Violation};

/// No source file is longer.
const MAX_LINES: usize = 600;

/// The fixed top level, besides dot-files. `rustfmt.toml` may be written without its dot.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "core",
    "guest-tests",
    "host",
    "rustfmt.toml",
    "xtask",
];

/// Folders in which each file says what lives in it.
const WITH_HEADERS: &[&str] = &["core/src/", "host/src/", "guest-tests/src/", "xtask/src/"];

/// Checks the top level, and each source's length and header.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut last = "";
    for file in &tree.files {
        let top = file.path.split('/').next().unwrap_or_default();
        if top != last && !top.starts_with('.') && !TOP_LEVEL.contains(&top) {
            let what = format!("the top level is fixed and has no `{top}`: put it into a package");
            violations.push(Violation::new(&file.path, 1, what));
        }
        last = top;
    }
    for source in &tree.sources {
        let length = source.lines.len();
        if length > MAX_LINES {
            let what = format!("{length} lines, and {MAX_LINES} are the most: split it by subject");
            violations.push(Violation::new(&source.path, MAX_LINES + 1, what));
        }
        let first = source.lines.first().map_or("", String::as_str);
        let needs_header = WITH_HEADERS.iter().any(|folder| source.path.starts_with(folder));
        if needs_header && first.strip_prefix("//!").is_none_or(|words| words.trim().is_empty()) {
            let what = "does not begin with `//!`: say what lives here, what does not, and which \
                        invariant it keeps";
            violations.push(Violation::new(&source.path, 1, what));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn the_top_level_is_fixed() {
        let good = [("Cargo.toml", ""), (".ci/run", ""), ("core/x/y", "")];
        assert_eq!(places(check, &good), [""; 0]);
        assert_eq!(
            places(check, &[("docs/a.md", ""), ("docs/b.md", ""), ("notes.txt", "")]),
            ["docs/a.md:1", "notes.txt:1"]
        );
    }

    #[test]
    fn a_source_has_600_lines_at_most() {
        let line = "//! x\n";
        assert_eq!(places(check, &[("core/src/a.rs", &line.repeat(600))]), [""; 0]);
        assert_eq!(places(check, &[("core/src/a.rs", &line.repeat(601))]), ["core/src/a.rs:601"]);
    }

    #[test]
    fn a_source_says_what_it_is() {
        assert_eq!(
            places(check, &[("xtask/src/a.rs", "//! Words.\n"), ("core/tests/b.rs", "")]),
            [""; 0]
        );
        for text in ["", "//!\n", "// Words.\n", "\n//! Words.\n"] {
            assert_eq!(
                places(check, &[("xtask/src/a.rs", text)]),
                ["xtask/src/a.rs:1"],
                "{text:?}"
            );
        }
    }
}
