//! Every guest declares what it is expected to do, in a header that can be read.
//!
//! Files that start with `bench_`, and only those, say how to make them last.

use super::{Tree, Violation};
use crate::guest::{BENCH_PREFIX, header};

/// Checks the guests' files.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in tree.below("guest-tests/src/bin/") {
        let is_bench = source.path["guest-tests/src/bin/".len()..].starts_with(BENCH_PREFIX);
        match header::parse(&source.lines.join("\n")) {
            Ok(header) if header.bench.is_some() != is_bench => {
                let what = match is_bench {
                    true => {
                        "a benchmark without `//@ bench: words`: say what makes it last a second"
                    }
                    false => "`//@ bench` in a guest that is no benchmark: name the file `bench_…`",
                };
                violations.push(Violation::new(&source.path, 1, what));
            }
            Ok(_) => {}
            Err(faults) => violations.extend(
                faults
                    .into_iter()
                    .map(|fault| Violation::new(&source.path, fault.line, fault.what)),
            ),
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

    #[test]
    fn benchmarks_and_only_they_say_how_to_last() {
        let files = [
            ("guest-tests/src/bin/bench_a.rs", "//! Docs.\n//@ bench: size=9\n"),
            ("guest-tests/src/bin/bench_b.rs", "//! Docs.\n"),
            ("guest-tests/src/bin/c.rs", "//! Docs.\n//@ bench: size=9\n"),
        ];
        let found = places(check, &files);
        assert_eq!(found, ["guest-tests/src/bin/bench_b.rs:1", "guest-tests/src/bin/c.rs:1"]);
    }
}
