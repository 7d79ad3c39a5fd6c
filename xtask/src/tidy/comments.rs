//! No leftovers: notes to oneself, debug prints, code that was commented out.

use super::source::{Source, find_word};
use super::{Tree, Violation};

/// Words of unfinished work.
const NOTES: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// How a line of code begins that may have been commented out.
const BEGINNINGS: &[&str] = &[
    "let ", "use ", "pub ", "fn ", "return ", "mod ", "struct ", "impl ", "if ", "for ", "match ",
    "#[",
];

/// Checks all Rust files.
pub fn check(tree: &Tree) -> Vec<Violation> {
    tree.sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, (code, comment)) in source.code.iter().zip(&source.comment).enumerate() {
        let mut fault =
            |what: String| violations.push(Violation::new(&source.path, index + 1, what));
        for note in NOTES {
            if find_word(comment, note).is_some() {
                fault(format!("a note of unfinished work, `{note}`: do it, or open an issue"));
            }
        }
        if code.contains("dbg!(") {
            fault("a debug print, `dbg!`: remove it".to_owned());
        }
        if looks_like_code(comment.trim()) {
            fault("code that is commented out: remove it, the history keeps it".to_owned());
        }
    }
    violations
}

/// A plain comment that begins like a statement and ends like one.
fn looks_like_code(comment: &str) -> bool {
    let Some(text) = comment.strip_prefix("//").filter(|text| !text.starts_with(['!', '/', '@']))
    else {
        return false;
    };
    let text = text.trim();
    let begins = BEGINNINGS.iter().any(|beginning| text.starts_with(beginning));
    begins && text.ends_with([';', '{', '}', ']'])
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn leftovers_are_found() {
        for text in [
            "// TODO: later",
            "/* FIXME */",
            "dbg!(x);",
            "// let x = 1;",
            "    // if x {",
            "//#[inline]",
        ] {
            assert_eq!(places(check, &[("core/src/a.rs", text)]), ["core/src/a.rs:1"], "{text}");
        }
    }

    #[test]
    fn words_in_their_place_are_not() {
        for text in [
            "let note = \"TODO\";",
            "/// let x = 1;",
            "// if it is odd, leave.",
            "// use the other; see above",
            "let TODOS = 1;",
        ] {
            assert_eq!(places(check, &[("core/src/a.rs", text)]), [""; 0], "{text}");
        }
    }
}
