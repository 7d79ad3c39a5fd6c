//! `core` runs without an operating system: no `std` outside its tests.
//!
//! The compiler would say so too, but not for code behind a `cfg` that this build leaves out.

use super::source::find_word;
use super::{Tree, Violation};

/// Checks `core/src`.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in tree.below("core/src/") {
        for (index, code) in source.code_without_tests().iter().enumerate() {
            let Some(at) = find_word(code, "std") else { continue };
            if code[at..].starts_with("std::") || code.contains("extern crate std") {
                let what = "`std` in core: take it from `core` or `alloc`, or let the host lend it";
                violations.push(Violation::new(&source.path, index + 1, what));
            }
        }
    }
    for lib in tree
        .below("core/src/lib.rs")
        .filter(|lib| !lib.code.iter().any(|code| code.contains("#![no_std]")))
    {
        violations.push(Violation::new(&lib.path, 1, "core's lib.rs must say `#![no_std]`"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn std_is_found_outside_tests_only() {
        assert_eq!(places(check, &[("core/src/a.rs", "use std::vec::Vec;")]), ["core/src/a.rs:1"]);
        assert_eq!(places(check, &[("core/src/a.rs", "extern crate std;")]), ["core/src/a.rs:1"]);
        assert_eq!(places(check, &[("core/src/lib.rs", "mod a;")]), ["core/src/lib.rs:1"]);
        let good =
            "// std::vec\nuse core::fmt;\n#[cfg(test)]\nmod tests {\n    use std::vec::Vec;\n}\n";
        let files = [
            ("core/src/a.rs", good),
            ("host/src/a.rs", "use std::fs;"),
            ("core/src/lib.rs", "#![no_std]"),
        ];
        assert_eq!(places(check, &files), [""; 0]);
    }
}
