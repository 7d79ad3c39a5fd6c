//! Every guest declares what it is expected to do, in a header that can be read.

use super::{Tree, Violation};
use crate::guest::header;

/// Checks the guests' files.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in tree.below("guest-tests/src/bin/") {
        if let Err(faults) = header::parse(&source.lines.join("\n")) {
            violations.extend(
                faults
                    .into_iter()
                    .map(|fault| Violation::new(&source.path, fault.line, fault.what)),
            );
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn a_slip_in_a_header_is_found() {
        let files = [
            ("guest-tests/src/bin/a.rs", "//! Docs.\n//@ exit: 33\n"),
            ("guest-tests/src/bin/b.rs", "//! Docs.\n//@ exits: 33\n"),
            ("guest-tests/src/lib.rs", "//! Docs.\n//@ not a guest\n"),
        ];
        assert_eq!(places(check, &files), ["guest-tests/src/bin/b.rs:2"]);
    }
}
