//! Every `unsafe` block and implementation says why it is sound, and nothing else does.
//!
//! Clippy checks the first half where a block has a statement of its own; here are the blocks that
//! macros hide from it, and comments whose block has gone.

use super::source::{Source, find_word};
use super::{Tree, Violation};

const MARK: &str = "// SAFETY:";

/// Checks all Rust files.
pub fn check(tree: &Tree) -> Vec<Violation> {
    tree.sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for line in 0..source.code.len() {
        if obliges(source, line) && !is_covered(source, line) {
            let what = "`unsafe` without a `// SAFETY:` comment above it: name the invariant and who upholds it";
            violations.push(Violation::new(&source.path, line + 1, what));
        }
        if source.comment[line].contains(MARK) && !leads_to_unsafe(source, line) {
            let what = "a `// SAFETY:` comment without `unsafe` below it: remove it, or move it to its block";
            violations.push(Violation::new(&source.path, line + 1, what));
        }
    }
    violations
}

/// Whether the line opens an unsafe block or implementation: there the writer vouches for something.
fn obliges(source: &Source, line: usize) -> bool {
    let mut rest = source.code[line].as_str();
    while let Some(at) = find_word(rest, "unsafe") {
        rest = rest[at + "unsafe".len()..].trim_start();
        // A function, trait or extern block passes the duty on to others. An attribute needs no
        // words, and may have them.
        if rest.is_empty() || rest.starts_with('{') || rest.starts_with("impl") {
            return true;
        }
    }
    false
}

/// Whether a SAFETY comment stands on the line or directly above its statement.
fn is_covered(source: &Source, line: usize) -> bool {
    let marked = |line: usize| source.comment[line].contains(MARK);
    let mut above = line;
    loop {
        if marked(above) {
            return true;
        }
        if above == 0 {
            return false;
        }
        above -= 1;
        let code = source.code[above].trim();
        let comment = source.comment[above].trim();
        // Up through the comment, attributes, and the statement's own earlier lines.
        let ends_other = code.ends_with([';', '}', '{', ',']) && !code.ends_with("= {");
        let only_attribute = code.starts_with("#[");
        let only_comment = code.is_empty() && !comment.is_empty();
        let blank = code.is_empty() && comment.is_empty();
        if blank || ends_other && !only_attribute && !only_comment {
            return false;
        }
    }
}

/// Whether the statement below a comment has an unsafe block or implementation in it.
fn leads_to_unsafe(source: &Source, line: usize) -> bool {
    let mut seen_code = false;
    for below in line..source.code.len() {
        let code = source.code[below].trim();
        if obliges(source, below) || code.starts_with("#[unsafe") {
            return true;
        }
        seen_code |= !code.is_empty() && !code.starts_with("#[");
        if seen_code && code.ends_with([';', '}']) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        places(check, &[("a.rs", text)])
    }

    #[test]
    fn a_block_needs_its_reason() {
        assert_eq!(lines("let x = unsafe { f() };"), ["a.rs:1"]);
        assert_eq!(lines("unsafe impl Send for X {}"), ["a.rs:1"]);
        assert_eq!(lines("// SAFETY: one.\nunsafe { f() };\nunsafe { f() };"), ["a.rs:3"]);
        assert_eq!(lines("unsafe fn f() { unsafe { g() } }"), ["a.rs:1"]);
        assert_eq!(lines("f(); // SAFETY: not its.\nunsafe { f() };"), ["a.rs:1", "a.rs:2"]);
        assert_eq!(lines("// SAFETY: far.\n\nunsafe { f() };"), ["a.rs:3"]);
        assert_eq!(lines("// Not it.\nunsafe { f() };"), ["a.rs:2"]);
    }

    #[test]
    fn a_reason_counts_at_its_statement() {
        for text in [
            "// SAFETY: one\n// and more.\nunsafe { f() };",
            "// SAFETY: above an attribute.\n#[rustfmt::skip]\nunsafe impl Send for X {}",
            "// SAFETY: above a statement of two lines.\nlet value =\n    unsafe { f() };",
            "unsafe { f() } // SAFETY: beside it.",
            "// SAFETY: on its own line.\n#[unsafe(no_mangle)]\nfn f() {}",
            "#[unsafe(no_mangle)]\nfn f() {}",
            "/// # Safety\nunsafe fn f() {}",
            "#![deny(unsafe_code)]",
        ] {
            assert_eq!(lines(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_reason_needs_its_block() {
        assert_eq!(lines("// SAFETY: gone.\nlet x = f();\nunsafe fn g() {}"), ["a.rs:1"]);
        assert_eq!(lines("// SAFETY: gone."), ["a.rs:1"]);
    }
}
