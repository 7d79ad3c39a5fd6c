//! Each instruction group has tests: `core/tests/<group>.rs` for `core/src/execute/<group>.rs`, or
//! `#[cfg(test)]` in the group itself. A group may be a folder instead of a file, on either side.

use std::collections::BTreeSet;

use super::{Tree, Violation};

/// Files of `execute` that hold no instruction group, but what all groups stand on.
const NOT_GROUPS: &[&str] = &[
    "mod",
    "address",
    "call_out",
    "dispatch",
    "emit",
    "flags",
    "host_vector",
    "jump_cache",
    "materialize",
    "op",
    "operand",
    "table",
];

const GROUPS: &str = "core/src/execute/";

/// Checks `core`.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let tests = names(tree, "core/tests/");
    let missing = names(tree, GROUPS)
        .into_iter()
        .filter(|(name, _)| !NOT_GROUPS.contains(&name.as_str()))
        .filter(|(name, _)| !tests.iter().any(|(test, _)| test == name))
        .filter(|(name, _)| !has_tests_inside(tree, name));
    missing
        .map(|(name, path)| {
            let what = format!("the group `{name}` has no tests: write core/tests/{name}.rs");
            Violation::new(&path, 1, what)
        })
        .collect()
}

fn has_tests_inside(tree: &Tree, group: &str) -> bool {
    let (file, folder) = (format!("{GROUPS}{group}.rs"), format!("{GROUPS}{group}/"));
    tree.below(GROUPS)
        .filter(|source| source.path == file || source.path.starts_with(&folder))
        .any(|source| source.code.iter().any(|code| code.trim() == "#[cfg(test)]"))
}

/// The modules directly in a folder, with the path of a file of each.
fn names(tree: &Tree, folder: &str) -> BTreeSet<(String, String)> {
    let mut names: BTreeSet<(String, String)> = BTreeSet::new();
    for source in tree.below(folder) {
        let rest = source.path[folder.len()..].trim_end_matches(".rs");
        let name = rest.split('/').next().unwrap_or_default().to_owned();
        if !names.iter().any(|(known, _)| *known == name) {
            names.insert((name, source.path.clone()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn a_group_without_tests_is_found() {
        let files = [
            ("core/src/execute/mod.rs", ""),
            ("core/src/execute/op.rs", ""),
            ("core/src/execute/logical.rs", ""),
            ("core/src/execute/sse/mod.rs", ""),
            ("core/src/execute/sse/convert.rs", ""),
            ("core/src/execute/system.rs", "#[cfg(test)]\nmod tests {}\n"),
            ("core/tests/logical.rs", ""),
        ];
        assert_eq!(places(check, &files), ["core/src/execute/sse/mod.rs:1"]);
        let with_tests = [&files[..], &[("core/tests/sse/main.rs", "")]].concat();
        assert_eq!(places(check, &with_tests), [""; 0]);
    }
}
